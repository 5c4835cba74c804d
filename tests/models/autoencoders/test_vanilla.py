"""Compares the network with an implementation in NumPy."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoders.vanilla.model import VanillaAutoencoder
from models.autoencoders.vanilla.objective import squared_error

Array = NDArray[np.float64]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def feedforward(model: VanillaAutoencoder, prefix: str, x: Array, activation: str) -> Array:
    weights = {k: v.double().numpy() for k, v in model.state_dict().items() if k.startswith(prefix)}
    names = list(dict.fromkeys(key.rpartition(".")[0] for key in weights))
    for i, name in enumerate(names):
        x = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        if i < len(names) - 1:
            x = ACTIVATIONS[activation](x)
    return x


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("hidden", [(), (7,), (9, 5, 6)])
def test_it_computes_the_formula(activation: str, hidden: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    config = VanillaConfig(input_shape=(2, 3, 4), hidden_widths=hidden, latent_width=3, activation=activation)
    model = VanillaAutoencoder(config).eval()
    items = torch.rand(5, 2, 3, 4)
    with torch.inference_mode():
        latents, reconstructions = model.encoder(items), model(items)
    z = feedforward(model, "encoder", items.flatten(1).double().numpy(), activation)
    x = 1 / (1 + np.exp(-feedforward(model, "decoder", z, activation)))
    assert latents.shape == (5, 3)
    assert reconstructions.shape == items.shape
    np.testing.assert_allclose(latents.numpy(), z, rtol=0, atol=1e-5)
    np.testing.assert_allclose(reconstructions.flatten(1).numpy(), x, rtol=0, atol=1e-5)


def test_the_loss_is_the_squared_error_of_an_item() -> None:
    a, b = torch.rand(3, 2, 4), torch.rand(3, 2, 4)
    expected = ((a - b).numpy() ** 2).reshape(3, -1).sum(1).mean()
    np.testing.assert_allclose(squared_error(a, b).item(), expected, rtol=1e-6)


def test_the_decoder_has_the_encoders_widths_in_reverse() -> None:
    config = VanillaConfig(input_shape=(10,), hidden_widths=(8, 6), latent_width=2)
    shapes = [tuple(p.shape) for p in VanillaAutoencoder(config).parameters() if p.ndim == 2]
    assert shapes == [(8, 10), (6, 8), (2, 6), (6, 2), (8, 6), (10, 8)]

"""Compares the network with an implementation of the cells' equations in NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.autoencoders.recurrent.config import RecurrentConfig
from models.autoencoders.recurrent.model import RecurrentAutoencoder
from models.autoencoders.recurrent.objective import masked_squared_error

Array = NDArray[np.float64]
Step = Callable[[Array, Array, tuple[Array, ...]], tuple[Array, Array]]


def model(cell: str, n_layers: int = 2) -> RecurrentAutoencoder:
    torch.manual_seed(0)
    config = RecurrentConfig(
        cell=cell, n_channels=2, length=6, max_length=12, hidden_width=5, n_layers=n_layers, latent_width=3, n_waves=2
    )
    return RecurrentAutoencoder(config).eval().requires_grad_(False)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm_step(x: Array, state: Array, w: tuple[Array, ...]) -> tuple[Array, Array]:
    """Hochreiter and Schmidhuber 1997, with forget gates (Gers et al. 2000)."""
    h, c = np.split(state, 2)
    i, f, g, o = np.split(w[0] @ x + w[2] + w[1] @ h + w[3], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, np.concatenate([h, c])


def gru_step(x: Array, state: Array, w: tuple[Array, ...]) -> tuple[Array, Array]:
    """Cho et al. 2014, the reset gate after the product."""
    (rx, zx, nx), (rh, zh, nh) = np.split(w[0] @ x + w[2], 3), np.split(w[1] @ state + w[3], 3)
    r, z = sigmoid(rx + rh), sigmoid(zx + zh)
    h = (1 - z) * np.tanh(nx + r * nh) + z * state
    return h, h


STEPS: dict[str, tuple[Step, int]] = {"lstm": (lstm_step, 2), "gru": (gru_step, 1)}


def run(network: torch.nn.RNNBase, cell: str, x: Array) -> Array:
    """Return all hidden states `[T, H]` of the last layer for `x` `[T, C]`."""
    step, n_states = STEPS[cell]
    for layer in range(network.num_layers):
        names = [f"{kind}_l{layer}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weights = tuple(getattr(network, name).double().numpy() for name in names)
        state = np.zeros(n_states * network.hidden_size)
        outputs = []
        for row in x:
            h, state = step(row, state, weights)
            outputs.append(h)
        x = np.stack(outputs)
    return x


def affine(layer: torch.nn.Linear, x: Array) -> Array:
    return np.asarray(x @ layer.weight.double().numpy().T + layer.bias.double().numpy())


@pytest.mark.parametrize("cell", STEPS)
@pytest.mark.parametrize("n_steps", [1, 4, 6, 9])
def test_it_computes_the_equations(cell: str, n_steps: int) -> None:
    autoencoder = model(cell)
    series = torch.randn(n_steps, 2)
    states = run(autoencoder.encoder, cell, series.double().numpy())
    latent = affine(autoencoder.to_latent, np.concatenate([states[-1], states.mean(0)]))
    angles = (
        2 * np.pi * np.arange(n_steps)[:, None] / np.array([12.0, 6.0])
    )  # the periods are twice the length and the length
    inputs = np.concatenate([np.tile(latent, (n_steps, 1)), np.sin(angles), np.cos(angles)], 1)
    expected = affine(autoencoder.to_item, run(autoencoder.decoder, cell, inputs))[::-1]
    with torch.inference_mode():
        latents = autoencoder.latents_of([series])
        (reconstruction,) = autoencoder.items_of(latents, [(n_steps, 2)])
    np.testing.assert_allclose(latents[0], latent, rtol=0, atol=1e-5)
    np.testing.assert_allclose(reconstruction, expected, rtol=0, atol=1e-5)


@settings(max_examples=30)
@given(
    cell=st.sampled_from(sorted(STEPS)),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_padding_never_changes_a_result(cell: str, lengths: list[int], seed: int) -> None:
    """Put enormous numbers behind the end of each series."""
    autoencoder = model(cell)
    draw = torch.Generator().manual_seed(seed)
    series = [torch.randn(length, 2, generator=draw) for length in lengths]
    padded = torch.full((len(series), 12, 2), 1e6)
    for row, item in zip(padded, series, strict=True):
        row[: len(item)] = item
    with torch.inference_mode():
        batched = autoencoder(padded, torch.tensor(lengths))
        for row, item in zip(batched, series, strict=True):
            alone = autoencoder(item[None], torch.tensor([len(item)]))[0]
            torch.testing.assert_close(row[: len(item)], alone, rtol=0, atol=1e-5)


def test_the_loss_counts_real_steps_only() -> None:
    reconstructions, series = torch.randn(3, 5, 2), torch.randn(3, 5, 2)
    lengths = torch.tensor([5, 1, 3])
    errors = [(reconstructions[i, :n] - series[i, :n]).square().flatten() for i, n in enumerate(lengths)]
    expected = torch.cat(errors).mean()
    torch.testing.assert_close(masked_squared_error(reconstructions, series, lengths), expected)

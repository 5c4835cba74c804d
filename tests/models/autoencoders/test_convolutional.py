"""Compares shapes and values with direct sums over the kernels."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from models.autoencoders.convolutional.config import ConvolutionalConfig
from models.autoencoders.convolutional.model import ConvolutionalAutoencoder
from models.errors import ConfigError
from models.layers.convolution import Downsampling, Residual, Upsampling

Array = NDArray[np.float64]


@pytest.mark.parametrize("n_halvings", [1, 2, 3])
@pytest.mark.parametrize("height", range(5, 34))
def test_reconstructions_have_the_shape_of_the_items(height: int, n_halvings: int) -> None:
    width = 38 - height
    config = ConvolutionalConfig(input_shape=(3, height, width), channels=(2,) * n_halvings, latent_channels=2)
    model = ConvolutionalAutoencoder(config).eval().requires_grad_(False)
    items = torch.rand(2, 3, height, width)
    latents = model.encode(items)
    sides = []
    for side in (height, width):
        for _ in range(n_halvings):
            side = len(range(0, side, 2))  # where a stride of 2 puts the kernel's centre
        sides.append(side)
    assert latents.shape == (2, 2, *sides) == (2, *model.latent_shape)
    assert model.decode(latents).shape == items.shape


def convolved(layer: nn.Conv2d, image: Array) -> Array:
    """Convolve an image `[C, H, W]` as the definition says."""
    weight, stride = layer.weight.double().numpy(), layer.stride[0]
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    rows, columns = range(0, image.shape[1], stride), range(0, image.shape[2], stride)
    output: Array = np.zeros((len(weight), len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            patch = padded[:, row : row + 3, column : column + 3]
            output[:, i, j] = (weight * patch).sum((1, 2, 3))
    assert layer.bias is not None
    output += layer.bias.double().numpy()[:, None, None]
    return output


def transposed(layer: nn.ConvTranspose2d, image: Array, side: tuple[int, int]) -> Array:
    """Convolve an image `[C, H, W]` to a size `side`: each pixel adds its multiple of the kernel, two pixels apart."""
    weight = layer.weight.double().numpy()
    canvas: Array = np.zeros((weight.shape[1], 2 * image.shape[1] + 2, 2 * image.shape[2] + 2))
    for i in range(image.shape[1]):
        for j in range(image.shape[2]):
            scaled_kernel = np.einsum("c,cdkl->dkl", image[:, i, j], weight)
            canvas[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += scaled_kernel
    assert layer.bias is not None
    canvas += layer.bias.double().numpy()[:, None, None]
    return canvas[:, 1 : 1 + side[0], 1 : 1 + side[1]]


def gelu(x: Array) -> Array:
    return nn.functional.gelu(torch.from_numpy(x)).numpy()


def residual(block: Residual, image: Array) -> Array:
    _, first, _, second = block.branch
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    return image + convolved(second, gelu(convolved(first, gelu(image))))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 6), (5, 9)])
def test_downsampling_and_upsampling_are_sums_over_the_kernels(height: int, width: int) -> None:
    torch.manual_seed(0)
    down, up = (
        network.requires_grad_(False) for network in (Downsampling((2, 3), 1), Upsampling((3, 2), [(height, width)], 1))
    )
    image = torch.randn(2, height, width)
    with torch.inference_mode():
        small = down(image[None])
        large = up(small)
    strided, block, _ = down
    assert isinstance(strided, nn.Conv2d)
    assert isinstance(block, Residual)
    expected = gelu(residual(block, convolved(strided, image.double().numpy())))
    np.testing.assert_allclose(small[0], expected, rtol=0, atol=1e-5)
    block, _, doubling = up
    assert isinstance(block, Residual)
    assert isinstance(doubling, nn.ConvTranspose2d)
    expected = transposed(doubling, gelu(residual(block, expected)), (height, width))
    np.testing.assert_allclose(large[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": (4, 4, 4, 4)}, "fewer, for an image this small"),
        ({"latent_channels": 0}, "latent_width"),
        ({"latent_width": 3}, "latent_width"),
        ({"input_shape": (8, 8)}, "input_shape"),
        ({"channels": ()}, "channels"),
    ],
)
def test_impossible_configurations_are_refused(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"input_shape": (1, 8, 8), "channels": (4,), "latent_channels": 2}
    with pytest.raises(ConfigError, match=message):
        ConvolutionalConfig(**good | change)  # type: ignore[arg-type]

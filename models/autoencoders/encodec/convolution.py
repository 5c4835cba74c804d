"""Convolutions in time that keep the frames of a sound in place, whatever its length.

Shapes: `B` batch, `C` channels, `T` samples or frames.
"""

from math import ceil

from torch import Tensor, nn
from torch.nn import functional

from models.autoencoders.encodec.config import EncodecConfig


def normalisation(config: EncodecConfig, n_channels: int) -> nn.Module:
    """Return what follows a convolution. Normalised weights are normalised when they are loaded, and need nothing."""
    return nn.GroupNorm(1, n_channels) if config.norm == "time_group_norm" else nn.Identity()


class Convolution(nn.Module):
    """A convolution that maps T samples to ceil(T / stride), with padding by the rule of the configuration.

    Source: Defossez et al. 2022, section 3.1; all padding is before the sound where the convolution is causal.
    """

    def __init__(
        self, config: EncodecConfig, n_in: int, n_out: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(n_in, n_out, kernel_size, stride, dilation=dilation)
        self.norm = normalisation(config, n_out)
        self._padding, self._stride = config.padding, stride
        surplus = (kernel_size - 1) * dilation + 1 - stride
        self._right = 0 if config.causal else surplus // 2
        self._left = surplus - self._right

    def forward(self, sounds: Tensor) -> Tensor:
        """Map `[B, C, T]` to `[B, C_out, ceil(T / stride)]`."""
        right = self._right + (-sounds.shape[-1]) % self._stride  # up to a multiple of the stride
        output: Tensor = self.norm(self.convolution(self._pad(sounds, self._left, right)))
        return output

    def _pad(self, sounds: Tensor, left: int, right: int) -> Tensor:
        """Pad `[B, C, T]`. A sound that is too short to be mirrored has zeros behind it first."""
        if self._padding != "reflect":
            return functional.pad(sounds, (left, right), self._padding)
        n_zeros = max(0, max(left, right) + 1 - sounds.shape[-1])
        padded = functional.pad(functional.pad(sounds, (0, n_zeros)), (left, right), "reflect")
        return padded[..., : padded.shape[-1] - n_zeros]


class TransposedConvolution(nn.Module):
    """A transposed convolution that maps T frames to T * stride; its kernel is twice the stride.

    It is computed as a product of matrices, whose halves overlap. On CPUs, the function of PyTorch compiles a kernel
    for each number of frames, which takes longer than the product itself.
    """

    def __init__(self, config: EncodecConfig, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose1d(n_in, n_out, 2 * stride, stride)
        self.norm = normalisation(config, n_out)
        self._right = ceil(stride * config.trim_right_ratio) if config.causal else stride // 2
        self._left = stride - self._right

    def forward(self, frames: Tensor) -> Tensor:
        """Map `[B, C, T]` to `[B, C_out, T * stride]`."""
        output: Tensor = self.norm(self._convolve(frames))
        return output[..., self._left : output.shape[-1] - self._right]

    def _convolve(self, frames: Tensor) -> Tensor:
        """Map `[B, C, T]` to `[B, C_out, (T + 1) * stride]`, of which each frame makes two parts of the stride."""
        (n, _, n_frames), (_, n_out, length) = frames.shape, self.convolution.weight.shape
        products = self.convolution.weight.flatten(1).T @ frames  # (B, C_out * 2 stride, T)
        first, second = products.view(n, n_out, 2, length // 2, n_frames).transpose(3, 4).unbind(2)
        sounds = functional.pad(first, (0, 0, 0, 1)) + functional.pad(second, (0, 0, 1, 0))  # (B, C_out, T + 1, stride)
        sounds = sounds.flatten(2)
        return sounds if self.convolution.bias is None else sounds + self.convolution.bias[:, None]

"""The encoder and the decoder: convolutions that change the sampling rate, with residual blocks and an LSTM.

Shapes: `B` batch, `C` channels, `T` samples, `F` frames, `D` latent width.
"""

from torch import Tensor, nn
from torch.nn import functional

from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.convolution import Convolution, TransposedConvolution


class ResidualBlock(nn.Module):
    """s(x) + f(x), where f is a dilated convolution to fewer channels and one of width 1 back; s may be a convolution.

    Source: Defossez et al. 2022, section 3.1.
    """

    def __init__(self, config: EncodecConfig, n_channels: int, dilation: int) -> None:
        super().__init__()
        n_inner = n_channels // config.compress
        self.narrow = Convolution(config, n_channels, n_inner, config.residual_kernel_size, dilation=dilation)
        self.widen = Convolution(config, n_inner, n_channels, 1)
        self.shortcut = Convolution(config, n_channels, n_channels, 1) if config.conv_shortcut else nn.Identity()

    def forward(self, sounds: Tensor) -> Tensor:
        """Compute `[B, C, T]` from `[B, C, T]`."""
        inner = functional.elu(self.narrow(functional.elu(sounds)))
        output: Tensor = self.shortcut(sounds) + self.widen(inner)
        return output


def residual_blocks(config: EncodecConfig, n_channels: int) -> nn.Sequential:
    """Return the residual blocks of one sampling rate, each with a larger dilation than the one before."""
    dilations = (config.dilation_growth**i for i in range(config.n_residual_layers))
    return nn.Sequential(*(ResidualBlock(config, n_channels, dilation) for dilation in dilations))


class ResidualLstm(nn.LSTM):
    """x + LSTM(x), over the frames in time."""

    def __init__(self, config: EncodecConfig, width: int) -> None:
        super().__init__(width, width, config.n_lstm_layers)

    def forward(self, frames: Tensor) -> Tensor:  # type: ignore[override]
        """Compute `[B, C, F]` from `[B, C, F]`."""
        inputs = frames.permute(2, 0, 1)
        states, _ = super().forward(inputs)
        return (states + inputs).permute(1, 2, 0)


class DownsamplingStage(nn.Module):
    """Residual blocks, and a convolution that lowers the sampling rate and doubles the channels."""

    def __init__(self, config: EncodecConfig, n_channels: int, ratio: int) -> None:
        super().__init__()
        self.blocks = residual_blocks(config, n_channels)
        self.resample = Convolution(config, n_channels, 2 * n_channels, 2 * ratio, stride=ratio)

    def forward(self, sounds: Tensor) -> Tensor:
        """Map `[B, C, T]` to `[B, 2 C, ceil(T / ratio)]`."""
        output: Tensor = self.resample(functional.elu(self.blocks(sounds)))
        return output


class UpsamplingStage(nn.Module):
    """A transposed convolution that raises the sampling rate and halves the channels, and residual blocks."""

    def __init__(self, config: EncodecConfig, n_channels: int, ratio: int) -> None:
        super().__init__()
        self.resample = TransposedConvolution(config, n_channels, n_channels // 2, ratio)
        self.blocks = residual_blocks(config, n_channels // 2)

    def forward(self, frames: Tensor) -> Tensor:
        """Map `[B, C, T]` to `[B, C / 2, T * ratio]`."""
        output: Tensor = self.blocks(self.resample(functional.elu(frames)))
        return output


class Encoder(nn.Module):
    """Maps a sound to frames, of which each stands for `hop` samples."""

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        width = config.n_filters
        self.first = Convolution(config, config.n_channels, width, config.kernel_size)
        self.stages = nn.Sequential()
        for ratio in reversed(config.ratios):
            self.stages.append(DownsamplingStage(config, width, ratio))
            width *= 2
        self.lstm = ResidualLstm(config, width)
        self.last = Convolution(config, width, config.latent_width, config.last_kernel_size)

    def forward(self, sounds: Tensor) -> Tensor:
        """Map `[B, C, T]` to `[B, D, ceil(T / hop)]`."""
        output: Tensor = self.last(functional.elu(self.lstm(self.stages(self.first(sounds)))))
        return output


class Decoder(nn.Module):
    """Maps frames to a sound of `hop` samples for each."""

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        width = config.n_filters * 2 ** len(config.ratios)
        self.first = Convolution(config, config.latent_width, width, config.kernel_size)
        self.lstm = ResidualLstm(config, width)
        self.stages = nn.Sequential()
        for ratio in config.ratios:
            self.stages.append(UpsamplingStage(config, width, ratio))
            width //= 2
        self.last = Convolution(config, width, config.n_channels, config.last_kernel_size)

    def forward(self, frames: Tensor) -> Tensor:
        """Map `[B, D, F]` to `[B, C, F * hop]`."""
        output: Tensor = self.last(functional.elu(self.stages(self.lstm(self.first(frames)))))
        return output

"""The network: a recurrent encoder whose states are mapped to a latent, and a recurrent decoder that reads the latent.

Shapes: `B` batch, `T` steps of the longest series, `C` channels, `H` hidden width, `Z` latent width, `W` waves.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import override

from models.autoencoders.recurrent.config import RecurrentConfig
from models.autoencoding.autoencoder import Autoencoder
from models.ops.devices import to_cpu
from models.tasks import Task

COST_OF_STEP = 16
"""Cost of an element relative to one that passes through layers at once and not step after step."""

_CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentAutoencoder(Autoencoder):
    """z = U [h_T, mean h], where h are the encoder's states; x' = V s, where s are the decoder's states.

    At every step, the decoder reads z and `n_waves` sine and cosine waves, which tell it the time and make training
    much faster. It runs backwards, from the last step of the series to the first.

    Series of different lengths share a batch. Padding does not change a result, because both networks only read steps
    before the current one, and what lies behind the end of a series is dropped.

    Source: Srivastava, Mansimov, Salakhutdinov 2015, section 2.2 (unconditioned decoder, reversed target); Malhotra et
    al. 2016 for the detection of anomalies.
    """

    value_range = (-torch.inf, torch.inf)
    scores = ("mae", "mse")
    stored_bits = 32

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.input_shape = (config.length, config.n_channels)
        self.latent_shape = (config.latent_width,)
        self.max_length = config.max_length
        cell = _CELLS[config.cell]
        self.encoder = cell(config.n_channels, config.hidden_width, config.n_layers, batch_first=True)
        self.to_latent = nn.Linear(2 * config.hidden_width, config.latent_width)
        self.periods = [2 * config.length / (k + 1) for k in range(config.n_waves)]
        self.decoder = cell(
            config.latent_width + 2 * config.n_waves, config.hidden_width, config.n_layers, batch_first=True
        )
        self.to_item = nn.Linear(config.hidden_width, config.n_channels)

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        """Reconstruct `[B, T, C]`, padded behind the `lengths` `[B]`. There, the result has no meaning."""
        latents = self.encode(series, lengths)
        return self.decode(latents, lengths)

    def encode(self, series: Tensor, lengths: Tensor) -> Tensor:
        """Map `[B, T, C]`, padded behind the `lengths` `[B]`, to `[B, Z]`."""
        states, _ = self.encoder(series)  # (B, T, H)
        last = states[torch.arange(len(states)), lengths - 1]
        is_real = torch.arange(states.shape[1], device=lengths.device) < lengths[:, None]
        mean = (states * is_real[:, :, None]).sum(1) / lengths[:, None]
        latents: Tensor = self.to_latent(torch.cat([last, mean.to(last.dtype)], 1))
        return latents

    def decode(self, latents: Tensor, lengths: Tensor) -> Tensor:
        """Map `[B, Z]` to `[B, T, C]`, where T is the largest of the `lengths` `[B]`."""
        n_steps = int(lengths.max())
        time = torch.arange(n_steps, device=lengths.device)
        angles = 2 * torch.pi * time[:, None] / torch.tensor(self.periods, device=lengths.device)
        waves = torch.cat([angles.sin(), angles.cos()], 1).to(latents.dtype)  # (T, 2 W)
        inputs = [latents[:, None].expand(-1, n_steps, -1), waves.expand(len(latents), -1, -1)]
        states, _ = self.decoder(torch.cat(inputs, 2))
        backwards: Tensor = self.to_item(states)  # (B, T, C), the last step first
        sources = (lengths[:, None] - 1 - time).clamp(min=0)  # (B, T)
        return backwards.gather(1, sources[:, :, None].expand_as(backwards))

    @override
    def cost_of(self, task: Task, request: Any) -> int:
        """Return the elements that a request adds to a batch, times the cost of the steps."""
        return COST_OF_STEP * super().cost_of(task, request)

    @override
    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        lengths = torch.tensor([len(item) for item in items])
        padded = self.to_device(pad_sequence(list(items), batch_first=True))
        return to_cpu(self.encode(padded, lengths.to(padded.device)))

    @override
    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        lengths = torch.tensor([shape[0] for shape in shapes])
        on_device = self.to_device(latents)
        decoded = to_cpu(self.decode(on_device, lengths.to(on_device.device)))
        return [series[: int(length)] for series, length in zip(decoded, lengths, strict=True)]

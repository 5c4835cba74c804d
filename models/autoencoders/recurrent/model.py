"""The network: a recurrent encoder whose last state is squeezed into a latent, and a decoder that unfolds it.

Shapes: `B` batch, `T` steps of the longest series, `C` channels, `H` hidden width, `Z` latent width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from models.autoencoders.recurrent.config import RecurrentConfig
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.imputation import bridged
from models.errors import InvalidItems, Problem
from models.ops.devices import to_cpu
from models.tasks.autoencoding import InterpolateRequest

_CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentAutoencoder(Autoencoder):
    """z = W [h_T, mean h], h the states of an encoder over x; x' = V s, s those of a decoder that sees z at every step.

    Beside z the decoder sees waves of `n_waves` periods, by which it knows the time; it learns much faster with them.

    The decoder runs backwards in time, from the step the encoder saw last. Series of several lengths share a batch:
    both networks only ever look at steps they have passed, and what lies beyond a series' end is cut off, so that
    padding never changes a result.

    Source: Srivastava, Mansimov, Salakhutdinov 2015, section 2.2 (unconditioned decoder, reversed target); for
    anomalies: Malhotra et al. 2016.
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
        """Reconstruct `[B, T, C]`, of which `lengths` `[B]` steps are real; what lies beyond them means nothing."""
        return self.decoded(self.codes(series, lengths), lengths)

    def codes(self, series: Tensor, lengths: Tensor) -> Tensor:
        """`[B, T, C]` to `[B, Z]`."""
        states, _ = self.encoder(series)  # (B, T, H)
        last = states[torch.arange(len(states)), lengths - 1]
        real = torch.arange(states.shape[1], device=lengths.device) < lengths[:, None]
        mean = (states * real[:, :, None]).sum(1) / lengths[:, None]
        latents: Tensor = self.to_latent(torch.cat([last, mean.to(last.dtype)], 1))
        return latents

    def decoded(self, latents: Tensor, lengths: Tensor) -> Tensor:
        """`[B, Z]` to `[B, T, C]`, T the largest of `lengths` `[B]`."""
        n_steps = int(lengths.max())
        time = torch.arange(n_steps, device=lengths.device)
        angles = 2 * torch.pi * time[:, None] / torch.tensor(self.periods, device=lengths.device)
        waves = torch.cat([angles.sin(), angles.cos()], 1).to(latents.dtype)  # (T, 2 W)
        inputs = [latents[:, None].expand(-1, n_steps, -1), waves.expand(len(latents), -1, -1)]
        states, _ = self.decoder(torch.cat(inputs, 2))
        backwards: Tensor = self.to_item(states)  # (B, T, C), the last step first
        places = (lengths[:, None] - 1 - time).clamp(min=0)  # (B, T)
        return backwards.gather(1, places[:, :, None].expand_as(backwards))

    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        """See `Autoencoder.latents_of`; items are `[T, C]`, each of its own T."""
        lengths = torch.tensor([len(item) for item in items])
        padded = self.to_device(pad_sequence(list(items), batch_first=True))
        return to_cpu(self.codes(padded, lengths.to(padded.device)))

    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """See `Autoencoder.items_of`."""
        lengths = torch.tensor([shape[0] for shape in shapes])
        codes = self.to_device(latents)
        decoded = to_cpu(self.decoded(codes, lengths.to(codes.device)))
        return [series[: int(length)] for series, length in zip(decoded, lengths, strict=True)]

    def first_guess(self, item: Tensor, missing: Tensor) -> Tensor:
        """Gaps bridged by straight lines."""
        return bridged(item, missing)

    def _shape(self, length: int | None) -> tuple[int, ...]:
        if length is None:
            return self.input_shape
        if not 1 <= length <= self.max_length:
            raise InvalidItems(Problem(f"length is {length}; it must be 1 to {self.max_length}"))
        return (length, self.input_shape[1])

    def _shapes_between(self, request: InterpolateRequest) -> list[tuple[int, ...]]:
        """Lengths that go evenly from one series' to the other's."""
        lengths = torch.linspace(len(request.start), len(request.end), request.steps).round().int().tolist()
        return [(length, self.input_shape[1]) for length in lengths]

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or not 1 <= shape[0] <= self.max_length or shape[1] != self.input_shape[1]:
            expected = f"[1 to {self.max_length}, {self.input_shape[1]}]"
            raise InvalidItems(Problem(f"the stream's items have the shape {list(shape)}, the model's {expected}"))

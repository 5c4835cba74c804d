"""The network: a bidirectional GRU, whose states are projected on waves to a latent, and a GRU that writes a text.

Shapes: `B` batch, `T` tokens of the longest text, `E` embedding width, `M` memory width, `W` values of the waves,
`Z` latent width, `V` vocabulary.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from typing_extensions import override

from models.autoencoders.recurrent_text.coding import TextCoder, known_latents
from models.autoencoders.recurrent_text.config import RecurrentTextConfig
from models.autoencoders.recurrent_text.integer_decoder import IntegerDecoder, integer_waves, recurrent_weights
from models.autoencoders.recurrent_text.objective import token_losses
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.compression.fixed_point import has_linear_twin
from models.errors import InvalidItems, Problem
from models.ops.devices import to_cpu
from models.seeding import seeded
from models.tasks import COMPRESS_SENTENCES, Task
from models.tasks.autoencoding import (
    DecodeRequest,
    DecompressRequest,
    InterpolateRequest,
    ProjectRequest,
    SampleRequest,
)
from models.tasks.sentences import CompressSentencesRequest

COST_OF_TOKEN = 256
"""Cost of a token relative to an element of an item that passes through layers at once, and not token after token."""
MIN_PERIOD = 2.5
"""Period of the fastest wave, in tokens."""
MAX_CODED_VOCAB_SIZE, MAX_CODED_WAVES = 2**16, 2**15
"""Limits of the coder of streams: the number of token ids, and of values of waves over all positions."""
N_SCORED_AT_ONCE = 32
"""Maximum number of texts whose logits are held together."""


class RecurrentTextAutoencoder(Autoencoder):
    """z = norm(U vec(Σ_t A [h_t, e_t] ⊗ w_t)) of the encoder's states h, the embeddings e and waves w of the position.

    The decoder is a GRU. At each position it reads the token before it and R z, unfolded and multiplied by the waves:
    what the latent holds of this position, which the logits see as well. Its state begins as a function of z.

    A text is a tensor of token ids `[T]`, int64, without the end token. A latent has the mean 0 and the variance 1.
    `begins_word` `[V]` says which tokens begin a word; the others continue one.

    Source: Bowman et al. 2016, section 3 (one latent between two recurrent networks); Shen et al. 2020 (trained to
    remove noise); Cho et al. 2014 (GRU); Vaswani et al. 2017, section 3.5, and Voelker et al. 2019 for projecting a
    sequence on functions of time.
    """

    scores = ("nll",)
    reads_weights = True  # the coder of streams computes with them in integers
    begins_word: Tensor

    def __init__(self, config: RecurrentTextConfig) -> None:
        super().__init__()
        self.config = config
        self.input_shape = (config.max_tokens,)
        self.latent_shape = (config.latent_width,)
        n_functions = 1 + 2 * config.n_waves
        self.words = nn.Embedding(config.vocab_size, config.embedding_width)
        self.encoder = nn.GRU(config.embedding_width, config.encoder_width, batch_first=True, bidirectional=True)
        self.to_memory = nn.Linear(2 * config.encoder_width + config.embedding_width, config.memory_width)
        self.to_latent = nn.Linear(config.memory_width * n_functions, config.latent_width)
        self.from_latent = nn.Linear(config.latent_width, config.memory_width * n_functions)
        self.to_state = nn.Linear(config.latent_width, config.decoder_width)
        self.decoder = nn.GRU(config.embedding_width + config.memory_width, config.decoder_width, batch_first=True)
        self.to_word = nn.Linear(config.decoder_width + config.memory_width, config.embedding_width)
        self.word_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.register_buffer("begins_word", torch.ones(config.vocab_size, dtype=torch.bool))

    def waves(self, n_tokens: int) -> Tensor:
        """Return a constant and the waves at each position, `[n_tokens, W]`, in the dtype of the weights.

        The periods are a geometric series from `MIN_PERIOD` to twice the longest text.
        """
        weight = self.words.weight
        shares = torch.arange(self.config.n_waves) / max(self.config.n_waves - 1, 1)
        periods = MIN_PERIOD * (2 * self.config.max_tokens / MIN_PERIOD) ** shares
        angles = 2 * torch.pi * torch.arange(n_tokens)[:, None] / periods
        return torch.cat([torch.ones(n_tokens, 1), angles.sin(), angles.cos()], 1).to(weight.device, weight.dtype)

    def encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map `[B, T]` int64, padded behind the `lengths` `[B]`, to `[B, Z]`."""
        embedded = self.words(ids)
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.encoder(packed)[0], batch_first=True, total_length=ids.shape[1])
        is_real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        memory = self.to_memory(torch.cat([states, embedded], 2)) * is_real[:, :, None]  # (B, T, M)
        projected = torch.einsum("btm,tw->bmw", memory, self.waves(ids.shape[1])) / self.config.n_waves**0.5
        latents: Tensor = self.to_latent(projected.flatten(1))
        return functional.layer_norm(latents, latents.shape[1:])

    def logits(self, latents: Tensor, previous: Tensor) -> Tensor:
        """Return the logits of the token at each position, `[B, T, V]`, where `previous` `[B, T]` are the ones before.

        The first of `previous` is the start token.
        """
        reads = self._read(latents, self.waves(previous.shape[1]))
        states, _ = self.decoder(torch.cat([self.words(previous), reads], 2), self._first_state(latents))
        return self._word_logits(states, reads)

    def write(self, latents: Tensor) -> list[Tensor]:
        """Return the text of each latent of `[B, Z]`: always the likeliest token, until the end or the longest text.

        Raises:
            InvalidItems: a latent is so large that the result overflows.
        """
        n_positions = self.config.max_tokens
        reads = self._read(latents, self.waves(n_positions))
        if not reads.isfinite().all():
            raise InvalidItems(Problem("the numbers of the latent are too large: the result overflows"))
        state, n_texts = self._first_state(latents), len(latents)
        tokens = torch.full((n_texts, 1), self.config.start_id, device=latents.device)
        is_open, written = torch.ones(n_texts, dtype=torch.bool, device=latents.device), []
        for position in range(n_positions):
            read = reads[:, position : position + 1]
            states, state = self.decoder(torch.cat([self.words(tokens), read], 2), state)
            logits = self._word_logits(states, read)
            logits[..., [self.config.start_id, self.config.mask_id]] = -torch.inf
            tokens = logits.argmax(2)
            is_open = is_open & (tokens[:, 0] != self.config.end_id)
            if not is_open.any():
                break
            written.append(torch.where(is_open, tokens[:, 0], self.config.end_id))
        rows = torch.stack(written, 1).cpu() if written else torch.zeros(n_texts, 0, dtype=torch.int64)
        return [row[row != self.config.end_id] for row in rows]

    def token_losses(self, latents: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the negative log-likelihood in nats of each token of `[B, T]`, given the latents `[B, Z]`."""
        start = torch.full_like(ids[:, :1], self.config.start_id)
        return token_losses(self.logits(latents, torch.cat([start, ids[:, :-1]], 1)), ids, lengths)

    def fill(self, latent: Tensor, ids: Tensor) -> Tensor:
        """Return the tokens `[T]` of a text with the likeliest word in place of each mask, given a latent `[1, Z]`.

        A word goes on for as long as the likeliest token does not begin another, and the text has room for it.
        """
        on_device = self.to_device(latent)
        reads = self._read(on_device, self.waves(self.config.max_tokens))
        known, begins_word = ids.tolist(), self.begins_word
        n_free = self.config.max_tokens - 1 - len(known)
        written: list[int] = []
        state, logits = self._step(reads, self._first_state(on_device), written)
        for token in known:
            if token != self.config.mask_id:
                written.append(token)
                state, logits = self._step(reads, state, written)
                continue
            written.append(int(logits.masked_fill(~begins_word, -torch.inf).argmax()))
            state, logits = self._step(reads, state, written)
            while n_free > 0 and not self._ends_word(following := int(logits.argmax())):
                written.append(following)
                n_free -= 1
                state, logits = self._step(reads, state, written)
        return torch.tensor(written)

    def _ends_word(self, token: int) -> bool:
        """Return whether a token that follows a word is not a part of it."""
        return bool(self.begins_word[token]) or token == self.config.end_id

    def _step(self, reads: Tensor, state: Tensor, written: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the state and the logits `[V]` of the token behind those that are written."""
        last = torch.tensor([[written[-1] if written else self.config.start_id]], device=reads.device)
        read = reads[:, len(written) : len(written) + 1]
        states, state = self.decoder(torch.cat([self.words(last), read], 2), state)
        logits = self._word_logits(states, read)[0, 0].float()
        logits[[self.config.start_id, self.config.mask_id]] = -torch.inf
        return state, logits

    def _read(self, latents: Tensor, waves: Tensor) -> Tensor:
        """Return what the latents hold of each position, `[B, T, M]`."""
        unfolded = self.from_latent(latents).view(len(latents), self.config.memory_width, -1)
        reads: Tensor = torch.einsum("bmw,tw->btm", unfolded, waves) / self.config.n_waves**0.5
        return reads

    def _first_state(self, latents: Tensor) -> Tensor:
        """Return the state that the decoder begins with, `[1, B, H]`."""
        state: Tensor = self.to_state(latents).tanh()
        return state[None]

    def _word_logits(self, states: Tensor, reads: Tensor) -> Tensor:
        """Return the logits `[B, T, V]` of the states, and of what the latents hold of their positions."""
        hidden = self.to_word(torch.cat([states, reads], 2))
        return functional.linear(hidden, self.words.weight, self.word_bias)

    @cached_property
    @override
    def is_lossless(self) -> bool:
        """Return whether the decoder can be computed in integers."""
        config, layers = self.config, (self.from_latent, self.to_state, self.to_word)
        weights: list[tuple[Tensor, Tensor]] = [(layer.weight, layer.bias) for layer in layers]
        weights += [*recurrent_weights(self.decoder), (self.words.weight, self.word_bias)]
        is_small = config.vocab_size <= MAX_CODED_VOCAB_SIZE and config.max_tokens * config.n_waves <= MAX_CODED_WAVES
        return is_small and all(has_linear_twin(*pair) for pair in weights)

    @cached_property
    @override
    def lossless_coder(self) -> TextCoder | None:
        """Return the coder of streams of texts; None unless the model `is_lossless`."""
        if not self.is_lossless:
            return None
        decoder = IntegerDecoder(
            words=self.words.weight,
            word_bias=self.word_bias,
            recurrent=self.decoder,
            from_latent=self.from_latent,
            to_state=self.to_state,
            to_word=self.to_word,
            waves=integer_waves(self.config.max_tokens, self.config.n_waves, MIN_PERIOD),
        )
        return TextCoder(decoder, self.config, known_latents(self.calibration), self.losses_of)

    @override
    def cost_of(self, task: Task, request: Any) -> int:
        """Return the tokens that a request adds to a batch, times the cost of a token.

        A text that is compressed passes through the decoder with each latent that a stream may name.
        """
        n_written: int = self.config.max_tokens * getattr(request, "steps", 1)
        n_tokens: int = max(request.cost, n_written)
        n_passes = 1
        if isinstance(request, CompressSentencesRequest):
            n_passes += len(known_latents(self.calibration))
        return COST_OF_TOKEN * n_tokens * n_passes

    @override
    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        ids, lengths = self._padded(items)
        return to_cpu(self.encode(ids, lengths))

    @override
    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """Map latents `[B, Z]` to texts. The shapes are not used, because a text ends where the network ends it."""
        return self.write(self.to_device(latents))

    def losses_of(self, latents: Tensor, items: Sequence[Tensor]) -> list[Tensor]:
        """Return the negative log-likelihood of each token of each text, and of its end: `[T + 1]` in nats, float32."""
        end, found = torch.tensor([self.config.end_id]), []
        for start in range(0, len(items), N_SCORED_AT_ONCE):
            part = slice(start, start + N_SCORED_AT_ONCE)
            ids, lengths = self._padded([torch.cat([item, end]) for item in items[part]])
            losses = self.token_losses(self.to_device(latents[part]), ids, lengths).cpu()
            found += [row[:length] for row, length in zip(losses, lengths.tolist(), strict=True)]
        return found

    @override
    def score_contributions(self, items: Sequence[Tensor], score: str) -> list[Tensor]:
        """Return how much each token contributes to the mean negative log-likelihood of its text, `[T]`.

        The last token has the contribution of the end as well.
        """
        found = []
        for losses in self.losses_of(self.latents_of(items), items):
            contributions = losses / len(losses)
            contributions[-2] += contributions[-1]
            found.append(contributions[:-1])
        return found

    @override
    def random_codes(self, n: int) -> Tensor:
        shape = (n, self.config.max_tokens - 1)
        ids = torch.randint(self.config.vocab_size, shape, generator=seeded(n))
        return self.latents_of(list(ids))

    @override
    def example(self, task: Task) -> Any:
        """Return a request about texts of two tokens."""
        item = torch.tensor([self.config.vocab_size - 1, self.config.vocab_size - 2])
        if task.request is DecompressRequest:
            (compressed,) = self.run(COMPRESS_SENTENCES, [CompressSentencesRequest(items=(item,))])
            return DecompressRequest(stream=compressed.stream, max_items=1)
        arguments: dict[type, dict[str, Any]] = {
            CompressSentencesRequest: {"items": (item,)},
            DecodeRequest: {"latent": torch.zeros(self.latent_shape)},
            SampleRequest: {"seed": 0},
            InterpolateRequest: {"start": item, "end": item[:1], "steps": 2},
            ProjectRequest: {"items": (item, item[:1])},
        }
        return task.request(**arguments.get(task.request, {"item": item}))

    def _padded(self, items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return texts as `[B, T]` on the device of the weights, padded with the start token, and their lengths."""
        lengths = torch.tensor([len(item) for item in items])
        ids = pad_sequence(list(items), batch_first=True, padding_value=self.config.start_id)
        return ids.to(self.words.weight.device), lengths.to(self.words.weight.device)

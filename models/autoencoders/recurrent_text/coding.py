"""Lossless streams of texts: their tokens, entropy coded under the decoder's probabilities given a latent.

A text's own latent would take more bytes than it saves. So the stream names one of a few latents that both sides know,
the one under which the text is shortest.

Shapes: `N` texts, `T` tokens of the longest with its end, `K` known latents, `Z` latent width, `V` vocabulary.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.autoencoders.recurrent_text.config import RecurrentTextConfig
from models.autoencoders.recurrent_text.integer_decoder import IntegerDecoder, rounded
from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.entropy import TOTAL, Coder, Integers
from models.autoencoding.compression.fixed_point import SCALE

N_AT_ONCE = 32
"""Number of texts whose tokens take turns in a stream. It is a part of the format."""


def known_latents(calibration: Calibration) -> Tensor:
    """Return the latents that streams may name, in fixed point: `[K, Z]`.

    They are zeros, the mean of the latents of training texts and, if there is a mixture, the means of its components.
    """
    mean = rounded(calibration.latent_mean)
    latents = torch.stack([torch.zeros_like(mean), mean])
    mixture = calibration.mixture
    if mixture is None:
        return latents
    of_components = rounded(mixture.mean) + (rounded(mixture.means) @ rounded(mixture.basis).T / SCALE).floor()
    return torch.cat([latents, of_components])


class TextCoder:
    """Encodes texts as 32-bit words from which exactly these texts can be decoded again.

    The texts take turns in groups of `N_AT_ONCE`: the first tokens of all, then the second ones, until all have ended.
    Before the tokens stand the numbers of the latents.

    Source: Bowman et al. 2016, section 3 (the decoder is a model of language); Duda 2009 (the entropy coder).
    """

    def __init__(
        self,
        decoder: IntegerDecoder,
        config: RecurrentTextConfig,
        latents: Tensor,
        losses_of: Callable[[Tensor, Sequence[Tensor]], list[Tensor]],
    ) -> None:
        """Make a coder.

        Args:
            decoder: the decoder in integers.
            config: the hyperparameters of the network.
            latents: the known latents in fixed point, `[K, Z]`.
            losses_of: returns the losses of the tokens of texts given latents, by which a latent is chosen. It need not
                be exact.
        """
        self._decoder, self._config, self._latents, self._losses_of = decoder, config, latents, losses_of
        self._latent_frequencies = np.full(len(latents), TOTAL // len(latents), dtype=np.int64)
        self._latent_frequencies[0] += TOTAL - self._latent_frequencies.sum()

    def pack(self, texts: Sequence[Tensor]) -> NDArray[np.uint32]:
        """Return the words of texts `[T]`, int64, each with at least one token and without its end."""
        chosen = self._choose(texts)
        coder = Coder()
        for start in reversed(range(0, len(texts), N_AT_ONCE)):
            group = slice(start, start + N_AT_ONCE)
            self._push(coder, texts[group], chosen[group])
            coder.push_iid(chosen[group], self._latent_frequencies)
        return coder.words()

    def unpack(self, words: NDArray[np.uint32], n_texts: int) -> list[Tensor] | None:
        """Return the texts, or None if `pack` cannot have made the words."""
        if len(words) and words[-1] == 0:
            return None
        coder = Coder(words)
        texts: list[Tensor] = []
        for start in range(0, n_texts, N_AT_ONCE):
            n = min(N_AT_ONCE, n_texts - start)
            group = self._pop(coder, coder.pop_iid(n, self._latent_frequencies))
            if group is None:
                return None
            texts += group
        return None if len(coder.words()) else texts

    def _choose(self, texts: Sequence[Tensor]) -> Integers:
        """Return the number of the known latent under which each text is likeliest, `[N]`."""
        n_latents = len(self._latents)
        latents = (self._latents / SCALE).float().repeat(len(texts), 1)
        losses = self._losses_of(latents, [text for text in texts for _ in range(n_latents)])
        totals = torch.stack([loss.sum() for loss in losses]).view(len(texts), n_latents)
        found: Integers = totals.argmin(1).numpy().astype(np.int64)
        return found

    def _push(self, coder: Coder, texts: Sequence[Tensor], chosen: Integers) -> None:
        """Push the tokens of a group, the last ones first."""
        end = torch.tensor([self._config.end_id])
        tokens = pad_sequence([torch.cat([text, end]) for text in texts], batch_first=True, padding_value=end.item())
        lengths = torch.tensor([len(text) + 1 for text in texts])
        latents = self._latents[torch.from_numpy(chosen)]
        reads, state = self._decoder.reads(latents), self._decoder.first_state(latents)
        previous, states = torch.full_like(tokens[:, 0], self._config.start_id), []
        for place in range(tokens.shape[1]):
            state = self._decoder.next_state(previous, reads[:, place], state)
            states.append(state)
            previous = tokens[:, place]
        for place in reversed(range(tokens.shape[1])):
            is_open = lengths > place
            frequencies = self._decoder.frequencies(reads[is_open, place], states[place][is_open])
            coder.push(tokens[is_open, place].numpy(), frequencies)

    def _pop(self, coder: Coder, chosen: Integers) -> list[Tensor] | None:
        """Return the texts of a group; None if one is empty, does not end or holds the start token."""
        latents = self._latents[torch.from_numpy(chosen)]
        reads, state = self._decoder.reads(latents), self._decoder.first_state(latents)
        previous = torch.full((len(latents),), self._config.start_id)
        is_open, columns = torch.ones(len(latents), dtype=torch.bool), []
        for place in range(self._config.max_tokens):
            state = self._decoder.next_state(previous, reads[:, place], state)
            column = torch.full_like(previous, self._config.end_id)
            column[is_open] = torch.from_numpy(
                coder.pop(self._decoder.frequencies(reads[is_open, place], state[is_open]))
            )
            if bool((column == self._config.start_id).any()):
                return None
            is_open = column != self._config.end_id
            columns.append(column)
            previous = column
            if not is_open.any():
                break
        texts = [row[row != self._config.end_id] for row in torch.stack(columns, 1)]
        is_whole = not is_open.any() and all(len(text) for text in texts)
        return texts if is_whole else None

"""Noise on the words of texts: some are dropped, masked or moved. Shapes: `B` texts, `T` tokens of the longest."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class WordNoise:
    """Adds noise to texts, of which a share stays clean and another is scrambled: all its words change their places.

    In the others, a word moves by at most `reach` places. The tokens of a word are dropped, moved or masked together;
    one mask stands for the whole word.

    Source: Lample, Conneau, Denoyer, Ranzato 2018, section 2.3 (dropping and moving); Shen et al. 2020, section 5.

    Attributes:
        mask_id: id of the token that replaces a masked word.
        padding_id: id of the token behind the end of a text.
        clean_share: probability of a text to stay as it is.
        scrambled_share: probability of a text to be scrambled.
        dropped_share: probability of a word of a noisy text to be dropped.
        masked_share: probability of a word of a noisy text to be masked.
        reach: the largest number of places that a word moves by.
    """

    mask_id: int
    padding_id: int
    clean_share: float
    scrambled_share: float
    dropped_share: float
    masked_share: float
    reach: int

    def __call__(
        self, ids: Tensor, begins_word: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return texts `[B, T]` int64, padded behind the lengths `[B]`, with noise, and their new lengths.

        `begins_word` `[B, T]` says which tokens begin a word. A text that would lose all its words keeps one.
        """
        n_texts, n_tokens = ids.shape
        counts = begins_word.long().cumsum(1)
        words = counts - counts[:, :1]  # the number of the word, from 0, of each token
        draws = torch.rand((3, n_texts, n_tokens), generator=generator)
        moving, dropping, masking = draws.gather(2, words.expand(3, -1, -1))
        kind = torch.rand((n_texts, 1), generator=generator)
        is_noisy, is_scrambled = kind >= self.clean_share, kind >= 1 - self.scrambled_share
        is_behind = torch.arange(n_tokens) >= lengths[:, None]
        is_masked = is_noisy & (masking < self.masked_share)
        continues = torch.zeros_like(is_behind)
        continues[:, 1:] = words[:, 1:] == words[:, :-1]
        removed = (is_noisy & (dropping < self.dropped_share)) | (is_masked & continues)
        loses_all = (removed | is_behind).all(1, keepdim=True)
        is_last = dropping == dropping.masked_fill(is_behind, -1).amax(1, keepdim=True)
        removed &= ~(loses_all & is_last) | (is_masked & continues)
        removed |= is_behind
        reach = torch.where(is_scrambled, n_tokens, torch.where(is_noisy, self.reach + 1, 0))
        places = words + moving * reach + 3 * n_tokens * removed
        order = places.argsort(dim=1, stable=True)
        noisy = torch.where(is_masked, self.mask_id, ids).gather(1, order)
        new_lengths = (~removed).sum(1)
        is_kept = torch.arange(n_tokens) < new_lengths[:, None]
        return noisy.where(is_kept, self.padding_id), new_lengths

"""Mask tokens for masked language modelling (Devlin et al. 2019, section 3.1; Liu et al. 2019, section 4.1).

Shapes: `B` rows, `T` tokens of each row, `V` tokens of the vocabulary.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Shares of the chosen tokens that become the mask and a random token; the rest stays as it is."""

MaskingKind = Literal["static", "dynamic", "whole-word"]


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Chooses the tokens that a model has to predict.

    `static` masking chooses the same tokens of a row each time, `dynamic` chooses anew each time, and `whole-word` also
    chooses all tokens of a word or none. `begins_word` `[V]` tells which tokens begin a word. Tokens with ids below
    `n_special` are never chosen.
    """

    kind: MaskingKind
    share: float
    mask_id: int
    n_special: int
    begins_word: Tensor

    def __call__(self, ids: Tensor, numbers: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mask rows `[B, T]`; `numbers` `[B]` are their indices in the corpus, which seed static masks.

        Returns:
            The masked rows, and the original tokens where they were chosen and -1 elsewhere; both `[B, T]`.
        """
        chosen = self._draw(ids, numbers, generator) < self.share
        chosen &= ids >= self.n_special
        actions = torch.rand(ids.shape, generator=generator)
        random_ids = torch.randint(
            self.n_special, len(self.begins_word), ids.shape, generator=generator, dtype=ids.dtype
        )
        masked = torch.where(chosen & (actions < MASK_SHARE), self.mask_id, ids)
        masked = torch.where(chosen & (actions >= 1.0 - RANDOM_SHARE), random_ids, masked)
        return masked, torch.where(chosen, ids, -1)

    def _draw(self, ids: Tensor, numbers: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a number in [0, 1) for each token, `[B, T]`; with whole words, tokens of a word share one."""
        if self.kind == "static":
            generators = (torch.Generator().manual_seed(number) for number in numbers.tolist())
            return torch.stack([torch.rand(ids.shape[1], generator=row_generator) for row_generator in generators])
        draws = torch.rand(ids.shape, generator=generator)
        if self.kind == "whole-word":
            words = self.begins_word[ids].long().cumsum(1)  # counts from 0 if the row begins within a word
            draws = draws.gather(1, words.clamp(max=ids.shape[1] - 1))
        return draws


def begins_word_table(tokenizer: Tokenizer) -> Tensor:
    """Return whether each token of the vocabulary begins a word, `[V]` bool.

    In WordPiece, these are all tokens but `##…`; elsewhere, those with a leading space and those of punctuation.
    """
    tokens = [tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size())]
    if any(token.startswith("##") for token in tokens):
        return torch.tensor([not token.startswith("##") for token in tokens])
    return torch.tensor([token.startswith(("Ġ", "▁")) or not token[:1].isalnum() for token in tokens])

"""Words behind masks (Devlin et al. 2019, section 3.1; Liu et al. 2019, section 4.1).

Shapes: `B` rows, `T` tokens of each.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Of the chosen tokens, these shares become the mask, and any token of the vocabulary; the rest stays."""

MaskingKind = Literal["static", "dynamic", "whole-word"]


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Which tokens a model has to guess.

    `static`: a row's are the same whenever it comes; `dynamic`: chosen anew each time; `whole-word`: anew, and all of a
    word's pieces or none. `begins_word` `[V]` tells pieces that begin a word from those that go on. Ids below
    `n_special` are never chosen.
    """

    kind: MaskingKind
    share: float
    mask_id: int
    n_special: int
    begins_word: Tensor

    def __call__(self, ids: Tensor, numbers: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows `[B, T]` and their `numbers` in the corpus `[B]`, to masked rows, and what they hide, -1 elsewhere."""
        chosen = self._lots(ids, numbers, generator) < self.share
        chosen &= ids >= self.n_special
        actions = torch.rand(ids.shape, generator=generator)
        others = torch.randint(self.n_special, len(self.begins_word), ids.shape, generator=generator, dtype=ids.dtype)
        masked = torch.where(chosen & (actions < MASK_SHARE), self.mask_id, ids)
        masked = torch.where(chosen & (actions >= 1.0 - RANDOM_SHARE), others, masked)
        return masked, torch.where(chosen, ids, -1)

    def _lots(self, ids: Tensor, numbers: Tensor, generator: torch.Generator) -> Tensor:
        """A number in [0, 1) for each token, `[B, T]`; one for all tokens of a word where words are whole."""
        if self.kind == "static":
            draws = (torch.Generator().manual_seed(number) for number in numbers.tolist())
            return torch.stack([torch.rand(ids.shape[1], generator=draw) for draw in draws])
        lots = torch.rand(ids.shape, generator=generator)
        if self.kind == "whole-word":
            words = self.begins_word[ids].long().cumsum(1)  # one more than there are tokens, where the first goes on
            lots = lots.gather(1, words.clamp(max=ids.shape[1] - 1))
        return lots


def begins_word_table(tokenizer: Tokenizer) -> Tensor:
    """Which tokens begin a word, `[V]` bool: all but `##…` of WordPiece; those with a space before them elsewhere."""
    tokens = [tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size())]
    if any(token.startswith("##") for token in tokens):
        return torch.tensor([not token.startswith("##") for token in tokens])
    return torch.tensor([token.startswith(("Ġ", "▁")) or not token[:1].isalnum() for token in tokens])

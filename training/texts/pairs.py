"""Two parts of texts, words behind masks, and a question on the two: how BERT and ALBERT are trained.

Shapes: `B` rows, `n` tokens of both parts together, without the three special ones.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.layers.encoder import TextEncoder
from models.layers.packing import Packed
from training.recipe import Batch, Resources
from training.texts.corpus import PADDING, document_pieces, sentence_rows
from training.texts.pretraining import MaskedBatch, MaskedPretraining, add_special_tokens

PairLoss = Callable[[TextEncoder, Packed, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TextPairs:
    """`rows` `[B, n]` are first parts, then second ones; `firsts` and `sizes` `[B, 1]` count the first, and both."""

    rows: Tensor
    firsts: Tensor
    sizes: Tensor

    def join(self, start: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """[CLS] first [SEP] second [SEP] `[B, n + 3]`, filled up with -1; its types, and the lengths `[B]`."""
        spread = torch.arange(self.rows.shape[1] + 1)
        moved = self.rows.gather(1, (spread - (spread > self.firsts).long()).clamp(0))
        spread, lasts = torch.arange(self.rows.shape[1] + 3), self.sizes + 2
        pairs = add_special_tokens(moved.where(torch.arange(moved.shape[1]) != self.firsts, end), start, end)
        pairs = pairs.where(spread != lasts, end).where(spread <= lasts, PADDING)
        return pairs, ((spread > self.firsts + 1) & (spread <= lasts)).int(), lasts[:, 0] + 1


class MaskedPairPretraining(MaskedPretraining):
    """Rows of two parts; half of them, those with the label 1, are not as they stood in the document."""

    def __init__(self, *, loss_of: PairLoss, **settings: Any) -> None:
        super().__init__(**settings)
        self._loss_of = loss_of

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of the words behind masks, and of the pairs."""
        masked_batch = self.masked_batch(batch, generator)
        return self._loss_of(model, masked_batch.packed, masked_batch.targets, masked_batch.labels)

    @override
    def masked_batch(self, batch: Batch, generator: torch.Generator) -> MaskedBatch:
        """See `MaskedTexts.riddle`."""
        rows, numbers, *others = (tensor.cpu() for tensor in batch)
        labels = torch.randint(2, (len(rows),), generator=generator)
        pairs, types, lengths = self.make_pairs((rows, *others), labels, generator).join(self._start, self._end)
        masked, targets = self._masking(pairs, numbers, generator)
        return MaskedBatch.of(masked, types, targets, labels, lengths.tolist(), batch[0].device)

    @abstractmethod
    def make_pairs(self, rows: Batch, labels: Tensor, generator: torch.Generator) -> TextPairs:
        """Of some of what `rows` gave."""


class NextSentences(MaskedPairPretraining):
    """Pieces of documents, cut in two behind a full stop; or the second part is that of another document.

    Source: Devlin et al. 2019, section 3.1.
    """

    MARGIN = 16
    """The fewest tokens of a part, as long as the row has them."""

    @override
    def rows(self, resources: Resources) -> Batch:
        """`[R, n]`."""
        self._stop = self._vocabulary.tokenizer(resources).token_to_id(".") or 0
        return (document_pieces(self.tokenise_documents(resources), self.length - 3),)

    @override
    def make_pairs(self, rows: Batch, labels: Tensor, generator: torch.Generator) -> TextPairs:
        """See `MaskedPairs.parts`."""
        (whole,) = rows
        firsts, n = self._cuts(whole, generator)[:, None], whole.shape[1]
        is_other = labels[:, None].bool() & (torch.arange(n) >= firsts)
        return TextPairs(torch.where(is_other, self._others(whole, firsts), whole), firsts, torch.full_like(firsts, n))

    def _others(self, rows: Tensor, cuts: Tensor) -> Tensor:
        """`[B, n]`: from a row's cut on, the row before it in the batch, from where one of its sentences begins on."""
        previous, positions = rows.roll(1, 0), torch.arange(rows.shape[1])
        begins = torch.where(previous.roll(1, 1) == self._stop, positions, 0).cummax(1).values.gather(1, cuts)
        return previous.gather(1, (positions - cuts + begins).clamp(0))

    def _cuts(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The length of each row's first part: where a sentence ends, if one ends between the margins."""
        n = rows.shape[1]
        margin = min(self.MARGIN, n // 4)
        draws = torch.rand(rows.shape, generator=generator)
        draws[:, :margin] = -1.0
        draws[:, n - margin :] = -1.0
        follows_stop = rows.roll(1, 1) == self._stop
        return torch.where(follows_stop & (draws >= 0), draws + 1.0, draws).argmax(1)


class SentenceOrder(MaskedPairPretraining):
    """Whole sentences that follow one another, cut in two between two of them; or the two the other way round.

    Half a sentence at the end of a row would tell which part came last; a title, which came first: sources have none.

    Source: Lan et al. 2020, section 3.1.
    """

    @override
    def rows(self, resources: Resources) -> Batch:
        """`[R, n]`, filled up with -1, and where in it a sentence begins; `n_tokens` counts the tokens there are."""
        texts = [text for source in self._sources for text in source.texts(resources.data)]
        rows, begins = sentence_rows(self._vocabulary.tokenizer(resources), texts, self.length - 3)
        self.units_per_item = 3 + (rows != PADDING).sum().item() / len(rows)
        return rows, begins

    @override
    def make_pairs(self, rows: Batch, labels: Tensor, generator: torch.Generator) -> TextPairs:
        """See `MaskedPairs.parts`."""
        whole, begins = rows
        positions, sizes = torch.arange(whole.shape[1]), (whole != PADDING).sum(1, keepdim=True)
        draws = torch.rand(whole.shape, generator=generator)
        cuts = draws.where(begins & (positions > 0), -1.0).argmax(1, keepdim=True)
        shifts = torch.where(labels[:, None].bool(), cuts, 0)
        return TextPairs(
            whole.gather(1, (positions + shifts) % sizes), torch.where(shifts > 0, sizes - cuts, cuts), sizes
        )

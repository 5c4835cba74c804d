"""Pretraining on pairs of texts with masked words: next sentences (BERT) and sentence order (ALBERT).

Shapes: `B` rows, `n` tokens of both parts of a row together, without the three special tokens.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from training.recipe import Batch, Resources
from training.texts.corpus import PADDING, document_pieces, sentence_rows
from training.texts.pretraining import MaskedBatch, MaskedPretraining, add_special_tokens

PairLoss = Callable[[TextEncoder, RaggedBatch, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TextPairs:
    """Rows `[B, n]` of a first part followed by a second part.

    `firsts` `[B, 1]` are the lengths of the first parts, `sizes` `[B, 1]` those of both parts together.
    """

    rows: Tensor
    firsts: Tensor
    sizes: Tensor

    def join(self, start: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Add special tokens: [CLS] first [SEP] second [SEP].

        Returns:
            The pairs `[B, n + 3]`, padded with -1, their token types `[B, n + 3]`, and their lengths `[B]`.
        """
        positions = torch.arange(self.rows.shape[1] + 1)
        with_gap = self.rows.gather(1, (positions - (positions > self.firsts).long()).clamp(0))
        pairs = add_special_tokens(with_gap.where(positions != self.firsts, end), start, end)
        positions, lasts = torch.arange(self.rows.shape[1] + 3), self.sizes + 2
        pairs = pairs.where(positions != lasts, end).where(positions <= lasts, PADDING)
        return pairs, ((positions > self.firsts + 1) & (positions <= lasts)).int(), lasts[:, 0] + 1


class MaskedPairPretraining(MaskedPretraining):
    """Base of the stages on rows of two parts; pairs with the label 1, half of them, are not as in the document."""

    def __init__(self, *, loss_of: PairLoss, **settings: Any) -> None:
        super().__init__(**settings)
        self._loss_of = loss_of

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the sum of the losses of masked words and of pairs."""
        masked_batch = self.masked_batch(batch, generator)
        return self._loss_of(model, masked_batch.texts, masked_batch.targets, masked_batch.labels)

    @override
    def masked_batch(self, batch: Batch, generator: torch.Generator) -> MaskedBatch:
        """Make pairs with random labels and mask them."""
        rows, numbers, *others = (tensor.cpu() for tensor in batch)
        labels = torch.randint(2, (len(rows),), generator=generator)
        pairs, types, lengths = self.make_pairs((rows, *others), labels, generator).join(self._start, self._end)
        masked, targets = self._masking(pairs, numbers, generator)
        return MaskedBatch.from_rows(masked, types, targets, labels, lengths.tolist(), batch[0].device)

    @abstractmethod
    def make_pairs(self, rows: Batch, labels: Tensor, generator: torch.Generator) -> TextPairs:
        """Make pairs from rows, and whatever else `rows` returned, according to the labels `[B]`."""


class NextSentences(MaskedPairPretraining):
    """Pieces of documents, split after a full stop; with label 1, the second part comes from another document.

    Source: Devlin et al. 2019, section 3.1.
    """

    MARGIN = 16
    """Minimum tokens of a part, in rows that are long enough for it."""

    @override
    def rows(self, resources: Resources) -> Batch:
        """Return pieces of documents, `[R, n]`."""
        self._stop = self._vocabulary.tokenizer(resources).token_to_id(".") or 0
        return (document_pieces(self.tokenise_documents(resources), self.length - 3),)

    @override
    def make_pairs(self, rows: Batch, labels: Tensor, generator: torch.Generator) -> TextPairs:
        (whole,) = rows
        firsts, n = self._cuts(whole, generator)[:, None], whole.shape[1]
        is_other = labels[:, None].bool() & (torch.arange(n) >= firsts)
        return TextPairs(torch.where(is_other, self._others(whole, firsts), whole), firsts, torch.full_like(firsts, n))

    def _others(self, rows: Tensor, cuts: Tensor) -> Tensor:
        """Return second parts from other documents, `[B, n]`, which count from each row's cut on.

        They are tokens of the previous row of the batch, from the beginning of one of its sentences on.
        """
        previous, positions = rows.roll(1, 0), torch.arange(rows.shape[1])
        begins = torch.where(previous.roll(1, 1) == self._stop, positions, 0).cummax(1).values.gather(1, cuts)
        return previous.gather(1, (positions - cuts + begins).clamp(0))

    def _cuts(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the length of each row's first part, after a random full stop between the margins, if there is one."""
        n = rows.shape[1]
        margin = min(self.MARGIN, n // 4)
        draws = torch.rand(rows.shape, generator=generator)
        draws[:, :margin] = -1.0
        draws[:, n - margin :] = -1.0
        follows_stop = rows.roll(1, 1) == self._stop
        return torch.where(follows_stop & (draws >= 0), draws + 1.0, draws).argmax(1)


class SentenceOrder(MaskedPairPretraining):
    """Consecutive whole sentences, split between two of them; with label 1, the two parts are swapped.

    A truncated sentence at the end of a row would show which part comes last, and a title which comes first, so that
    rows hold whole sentences and the sources have no titles.

    Source: Lan et al. 2020, section 3.1.
    """

    @override
    def rows(self, resources: Resources) -> Batch:
        """Return rows of sentences `[R, n]`, padded with -1, and where in them a sentence begins.

        It also sets the number of tokens per row, by which `n_tokens` is counted, to their mean without padding.
        """
        texts = [text for source in self._sources for text in source.texts(resources.data)]
        rows, begins = sentence_rows(self._vocabulary.tokenizer(resources), texts, self.length - 3)
        self.units_per_item = 3 + (rows != PADDING).sum().item() / len(rows)
        return rows, begins

    @override
    def make_pairs(self, rows: Batch, labels: Tensor, generator: torch.Generator) -> TextPairs:
        whole, begins = rows
        positions, sizes = torch.arange(whole.shape[1]), (whole != PADDING).sum(1, keepdim=True)
        draws = torch.rand(whole.shape, generator=generator)
        cuts = draws.where(begins & (positions > 0), -1.0).argmax(1, keepdim=True)
        shifts = torch.where(labels[:, None].bool(), cuts, 0)
        return TextPairs(
            whole.gather(1, (positions + shifts) % sizes), torch.where(shifts > 0, sizes - cuts, cuts), sizes
        )

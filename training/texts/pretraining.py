"""What language models are trained on before anything else: masked words, pairs of texts, continuations.

Shapes: `B` rows, `T` tokens of each, `N` = B T.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self

import torch
from torch import Tensor, nn

from models.layers.encoder import TextEncoder
from models.layers.losses import causal_loss
from models.layers.packing import Packed, flat_rows
from models.layers.padding import PaddedTexts
from models.layers.transformer import Block
from models.transformers.gpt.model import Gpt
from models.transformers.gpt.objective import loss as gpt_loss
from models.transformers.roberta.objective import loss as masked_text_loss
from training.data.files import DataFolder
from training.optimisers import muon_and_adamw
from training.recipe import Batch, ModelT, Shelf, Stage
from training.texts.corpus import FILL, documents, pieces, stream
from training.texts.masking import Kind, Masking, word_beginnings
from training.texts.vocabulary import Vocabulary

PairLoss = Callable[[TextEncoder, Packed, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """Texts of a name, each a document."""

    name: str
    texts: Callable[[DataFolder], Sequence[str]]


class Pretraining(Stage[ModelT], Generic[ModelT]):
    """`n_tokens` tokens of the sources, in rows of `length`, `batch_size` rows a step; `rate` scales both rates."""

    n_epochs = 0
    unit = "tokens"
    max_gradient_norm = 1.0

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        sources: Sequence[Source],
        n_tokens: int,
        length: int = 128,
        batch_size: int = 32,
        muon_lr: float = 0.01,
        adamw_lr: float = 5e-3,
        rate: float = 1.0,
        name: str = "pretraining",
    ) -> None:
        self.name, self.batch_size, self.length = name, batch_size, length
        self.units_per_item = float(length)
        self._vocabulary, self._sources, self._n_tokens = vocabulary, sources, n_tokens
        self._muon_lr, self._adamw_lr = rate * muon_lr, rate * adamw_lr

    def total_steps(self, n_items: int) -> int:
        """As many as the tokens fill."""
        return self._n_tokens // (self.length * self.batch_size)

    def documents(self, shelf: Shelf) -> Iterator[Any]:
        """The tokens of each document."""
        tokenizer = self._vocabulary.tokenizer(shelf)
        for source in self._sources:
            yield from documents(tokenizer, source.texts(shelf.data), source.name)

    def optimisers(self, model: ModelT) -> list[torch.optim.Optimizer]:
        """Muon for matrices but embeddings, AdamW for the rest."""
        return muon_and_adamw(model, muon_lr=self._muon_lr, adamw_lr=self._adamw_lr, weight_decay=0.1)

    @abstractmethod
    def items(self, shelf: Shelf) -> Batch:
        """Rows, and what they need beside them."""


@dataclass(frozen=True)
class Riddle:
    """A batch with masks: `targets` `[N]`, int64, what they hide and -1 elsewhere; `labels` `[B]`, those of pairs."""

    packed: Packed
    targets: Tensor
    labels: Tensor

    @classmethod
    def of(
        cls, rows: Tensor, types: Tensor, targets: Tensor, labels: Tensor, lengths: Sequence[int], device: torch.device
    ) -> Self:
        """Of rows, types and targets `[B, T]`, of which the first `lengths` count."""
        packed = Packed.of_rows(rows.to(device), lengths, types.to(device))
        return cls(packed, flat_rows(targets, lengths).long().to(device), labels.to(device))


class MaskedTexts(Pretraining[TextEncoder]):
    """Rows of whole texts, one after the other, with words behind masks (Liu et al. 2019, 4.2: FULL-SENTENCES)."""

    def __init__(self, *, masking: Kind = "dynamic", share: float = 0.15, **settings: Any) -> None:
        super().__init__(**settings)
        self._kind, self._share = masking, share
        self._masking: Masking

    def items(self, shelf: Shelf) -> Batch:
        """The rows `[n, T - 2]`, and their numbers, which a static mask is drawn by."""
        rows = self._rows(shelf)
        tokenizer = self._vocabulary.tokenizer(shelf)
        roles = self._vocabulary.roles
        self._start, self._end = (self._vocabulary.id_of(tokenizer, role) for role in ("cls_token", "sep_token"))
        self._masking = Masking(
            kind=self._kind,
            share=self._share,
            mask_id=self._vocabulary.id_of(tokenizer, "mask_token"),
            n_special=len(set(roles.values())),
            begins_word=word_beginnings(tokenizer),
        )
        return rows, torch.arange(len(rows))

    def _rows(self, shelf: Shelf) -> Tensor:
        end = self._vocabulary.id_of(self._vocabulary.tokenizer(shelf), "sep_token")
        return stream(self.documents(shelf), end, self.length - 2)

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of the words behind masks."""
        riddle = self.riddle(batch, generator)
        return masked_text_loss(model, riddle.packed, riddle.targets)

    def riddle(self, batch: Batch, generator: torch.Generator) -> Riddle:
        """What a model is to guess of some of the items; made on the CPU, where the generator is."""
        rows, numbers = (tensor.cpu() for tensor in batch)
        labels = torch.zeros(len(rows), dtype=torch.int64)
        masked, targets = self._masking(_enclosed(rows, self._start, self._end), numbers, generator)
        lengths = [masked.shape[1]] * len(masked)
        return Riddle.of(masked, torch.zeros_like(masked), targets, labels, lengths, batch[0].device)


class MaskedPairs(MaskedTexts):
    """Two neighbouring parts of a document, words behind masks, and whether they are neighbours.

    `ordered`: the parts of the others are the other way round (Lan et al. 2020, section 3.1); otherwise their second
    part is that of another document (Devlin et al. 2019, section 3.1). A row is cut in two behind a full stop. Where
    order is asked for, both parts are whole sentences, and what a row begins and ends with is left out: half a sentence
    would tell which part was the first.
    """

    MARGIN = 16
    """The fewest tokens of a part, as long as the row has them."""

    def __init__(self, *, loss_of: PairLoss, ordered: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self._loss_of, self._ordered = loss_of, ordered

    def items(self, shelf: Shelf) -> Batch:
        """See `MaskedTexts.items`; of a row `[n, T - 3]`, all is of one document."""
        self._stop = self._vocabulary.tokenizer(shelf).token_to_id(".") or 0
        return super().items(shelf)

    def _rows(self, shelf: Shelf) -> Tensor:
        return pieces(self.documents(shelf), self.length - 3)

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of the words behind masks, and of the pairs."""
        riddle = self.riddle(batch, generator)
        return self._loss_of(model, riddle.packed, riddle.targets, riddle.labels)

    def riddle(self, batch: Batch, generator: torch.Generator) -> Riddle:
        """See `MaskedTexts.riddle`; half of the pairs are no neighbours."""
        rows, numbers = (tensor.cpu() for tensor in batch)
        labels = torch.randint(2, (len(rows),), generator=generator)
        pairs, types, lengths = self.pairs(rows, labels, generator)
        masked, targets = self._masking(pairs, numbers, generator)
        return Riddle.of(masked, types, targets, labels, lengths.tolist(), batch[0].device)

    def pairs(self, rows: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """[CLS] first [SEP] second [SEP] of each row, neighbours where the label is 0; the types, and the lengths.

        `[B, T]` twice, filled up with -1 and 0, and `[B]`.
        """
        n = rows.shape[1]
        places, changed = torch.arange(n), labels[:, None].bool()
        if self._ordered:
            starts, cuts, ends = self._sentences(rows, generator)
            sizes, firsts = ends - starts, torch.where(changed, ends - cuts, cuts - starts)
            turned = starts + (places + torch.where(changed, cuts - starts, 0)) % sizes
            rows = rows.gather(1, turned)
        else:
            firsts = self._cuts(rows, generator)[:, None]
            sizes = torch.full_like(firsts, n)
            rows = torch.where(changed & (places >= firsts), self._others(rows, firsts), rows)
        spread = torch.arange(n + 1)
        with_gap = torch.where(
            spread == firsts, self._end, rows.gather(1, (spread - (spread > firsts).long()).clamp(0))
        )
        pairs, spread = _enclosed(with_gap, self._start, self._end), torch.arange(n + 3)
        pairs = torch.where(spread == sizes + 2, self._end, pairs).where(spread <= sizes + 2, FILL)
        return pairs, ((spread > firsts + 1) & (spread <= sizes + 2)).int(), sizes[:, 0] + 3

    def _others(self, rows: Tensor, cuts: Tensor) -> Tensor:
        """`[B, n]`: from a row's cut on, the row before it in the batch, from where one of its sentences begins on."""
        before, places = rows.roll(1, 0), torch.arange(rows.shape[1])
        begins = torch.where(before.roll(1, 1) == self._stop, places, 0).cummax(1).values.gather(1, cuts)
        return before.gather(1, (places - cuts + begins).clamp(0))

    def _sentences(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Where the first whole sentence of each row begins, one in the middle, and the last ends: three of `[B, 1]`.

        Of rows with less than two whole sentences all is taken, and they are cut anywhere.
        """
        n = rows.shape[1]
        places, is_stop = torch.arange(n), rows == self._stop
        first, last = is_stop.int().argmax(1, keepdim=True), n - 1 - is_stop.flip(1).int().argmax(1, keepdim=True)
        is_inner = is_stop & (places > first) & (places < last)
        has_inner = is_inner.any(1, keepdim=True)
        lots = torch.rand(rows.shape, generator=generator)
        anywhere = lots.where((places >= 1) & (places < n - 1), -1.0)
        cuts = torch.where(has_inner, lots.where(is_inner, -1.0), anywhere).argmax(1, keepdim=True) + 1
        return torch.where(has_inner, first + 1, 0), cuts, torch.where(has_inner, last + 1, n)

    def _cuts(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The length of each row's first part: where a sentence ends, if one ends between the margins."""
        n = rows.shape[1]
        margin = min(self.MARGIN, n // 4)
        lots = torch.rand(rows.shape, generator=generator)
        lots[:, :margin] = -1.0
        lots[:, n - margin :] = -1.0
        follows_stop = rows.roll(1, 1) == self._stop
        return torch.where(follows_stop & (lots >= 0), lots + 1.0, lots).argmax(1)


class ReadingOn(MaskedTexts):
    """Pieces of documents, each token guessed from those before it alone: what an encoder learns first.

    A row has a guess at every token instead of at one in seven, and words are learned in a fraction of the time; the
    masks come after. Source: Gisserot-Boukhlef et al. 2025, section 4.
    """

    def _rows(self, shelf: Shelf) -> Tensor:
        return pieces(self.documents(shelf), self.length - 2)

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of all tokens but a row's first."""
        packed = Packed.of_rows(_enclosed(batch[0], self._start, self._end))
        hidden = model.hidden(packed, PaddedTexts(packed.segments, causal=True))
        return causal_loss(packed, hidden, model.masked_logits)


class Continuations(Pretraining[Gpt]):
    """Rows of whole texts, one after the other, each token guessed from those before it (Radford et al. 2018)."""

    def items(self, shelf: Shelf) -> Batch:
        """The rows `[n, T]`."""
        tokenizer = self._vocabulary.tokenizer(shelf)
        return (stream(self.documents(shelf), self._vocabulary.id_of(tokenizer, "eos_token"), self.length),)

    def loss(self, model: Gpt, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of all tokens but a row's first."""
        return gpt_loss(model, Packed.of_rows(batch[0]))


def first_weights(model: nn.Module) -> None:
    """Embeddings of deviation 0.02; matrices that keep a deviation, those at the end of a part so that the sum does.

    Source: Radford et al. 2019, section 2.3.
    """
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for block in blocks:
        for last in (block.attention.out, block.feedforward[-1]):
            last.weight.data *= (2 * len(blocks)) ** -0.5


def _enclosed(rows: Tensor, start: int, end: int) -> Tensor:
    return nn.functional.pad(nn.functional.pad(rows, (1, 0), value=start), (0, 1), value=end)

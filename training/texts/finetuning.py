"""What a pretrained encoder is tuned to do: classes of texts, of words, answers, vectors.

Shapes: `B` texts, `N` tokens of all of them, `D` width.
"""

import re
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.codecs.text.codec import FastCodec
from models.errors import InvalidItems
from models.layers.encoder import TextEncoder
from models.layers.packing import Packed
from models.layers.padding import PaddedTexts
from models.tasks.text import Tokens
from training.data.files import DataFolder
from training.data.labelled import Labelled
from training.data.names import TAGS, Tagged
from training.data.questions import Question
from training.data.stsb import Scored
from training.errors import TrainingError
from training.optimisers import muon_and_adamw
from training.recipe import Batch, Shelf
from training.texts.averaging import Averaged
from training.texts.corpus import Rows, encoded, filled, packed
from training.texts.vocabulary import Vocabulary

_WORD = re.compile(r"\w+|[^\w\s]")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+")
EMBEDDING_RATE = 0.3
"""Of the peak: words that the data hardly has are to stay where pretraining put them."""
HINTS = "hints"


class FineTuning(Averaged[TextEncoder]):
    """AdamW on all parameters, dropout, a rise over the first tenth of the steps and a straight line down to zero.

    With `muon_lr`, matrices but embeddings are Muon's: for what is learned rather than remembered. Of stages that hide,
    `hidden_share` of the tokens are behind masks, so that nothing is known by one word alone.
    """

    unit = "texts"
    max_gradient_norm = 1.0

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        max_tokens: int,
        n_epochs: int,
        batch_size: int = 32,
        lr: float = 5e-4,
        dropout: float = 0.1,
        hidden_share: float = 0.0,
        muon_lr: float | None = None,
        averaged: float = 0.0,
        name: str = "fine-tuning",
    ) -> None:
        self.name, self.n_epochs, self.batch_size, self.averaged = name, n_epochs, batch_size, averaged
        self._vocabulary, self._max_tokens = vocabulary, max_tokens
        self._lr, self._muon_lr, self._dropout, self._hidden_share = lr, muon_lr, dropout, hidden_share
        self._mask_id, self._n_special = 0, len(set(vocabulary.roles.values()))

    def codec(self, shelf: Shelf) -> FastCodec:
        """How the texts are read."""
        codec = self._vocabulary.codec(shelf, self._max_tokens)
        self._mask_id = codec.special.mask or 0
        return codec

    def hide(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Ids `[B, T]` with some of the words behind masks; special tokens, and what fills rows up, stay."""
        lots = torch.rand(ids.shape, generator=generator).to(ids.device)
        return ids.masked_fill((lots < self._hidden_share) & (ids >= self._n_special), self._mask_id)

    def begin(self, model: TextEncoder, items: Batch) -> nn.Module:
        """Set the probability of dropout."""
        set_dropout(model, self._dropout)
        return super().begin(model, items)

    def optimisers(self, model: TextEncoder) -> list[torch.optim.Optimizer]:
        """AdamW, slower for embeddings; or Muon and AdamW."""
        if self._muon_lr is not None:
            return muon_and_adamw(model, muon_lr=self._muon_lr, adamw_lr=self._lr, weight_decay=0.01)
        embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
        known = {id(weight) for weight in embeddings}
        others = [p for p in model.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [{"params": others}, {"params": embeddings, "lr": self._lr * EMBEDDING_RATE}]
        return [torch.optim.AdamW(groups, lr=self._lr, weight_decay=0.01, betas=(0.9, 0.98))]

    def learning_rate(self, progress: float) -> float:
        """A rise over the first tenth."""
        return min(1.0, progress / 0.1) * (1.0 - progress)

    @abstractmethod
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """See `Stage.loss`."""


class TextClasses(FineTuning):
    """Cross-entropy of texts' classes, with labels smoothed.

    With `consistency`, each text is read twice, with other dropout and other masks, and so many times the divergence of
    the two answers, the mean of both directions, is added (Wu et al., NeurIPS 2021, equation 3).
    """

    def __init__(
        self,
        *,
        rows_of: Callable[[DataFolder], Sequence[Labelled]],
        smoothing: float = 0.1,
        consistency: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._rows_of, self._smoothing, self._consistency = rows_of, smoothing, consistency

    def items(self, shelf: Shelf) -> Batch:
        """The texts and their labels."""
        rows = self._rows_of(shelf.data)
        texts = Rows.of(encoded(self.codec(shelf), [row.text for row in rows], "labelled texts"))
        return *texts.batch, torch.tensor([row.label for row in rows])

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch."""
        ids, types, lengths, labels = (torch.cat([one, one]) for one in batch) if self._consistency else batch
        row = packed((self.hide(ids, generator), types, lengths))
        logits = _head(model, "sequence_head")(model.pooled(row, _hidden(model, row))).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        return loss + self._consistency * _divergence(*logits.log_softmax(1).chunk(2)) if self._consistency else loss


class WordClasses(FineTuning):
    """Cross-entropy of the classes of words, each judged by its first token."""

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[Tagged]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    def items(self, shelf: Shelf) -> Batch:
        """The texts, and each token's tag, -1 where it counts not."""
        codec, rows = self.codec(shelf), self._rows_of(shelf.data)
        texts = encoded(codec, [" ".join(row.words) for row in rows], "tagged texts")
        tags = [token_tags(*pair) for pair in zip(texts, rows, strict=True)]
        return *Rows.of(texts).batch, filled(tags)

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch."""
        ids, types, lengths, tags = batch
        row = packed((self.hide(ids, generator), types, lengths))
        targets = Packed.of_rows(tags, row.segments.lengths).token_ids
        logits = _head(model, "token_head")(_hidden(model, row))
        return functional.cross_entropy(logits.float(), targets, ignore_index=-1)


class Capitals(FineTuning):
    """Which words are parts of names, by their capitals: for models of lower case.

    The loss is of the chance that a word has a tag other than `O`, whichever.

    Source: Mayhew, Gupta, Roth, AAAI 2020, section 3, with the tags of the task in place of a head of its own.
    """

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    def items(self, shelf: Shelf) -> Batch:
        """Sentences, and for each token 1 for a name, 0 for none, -1 where nobody knows."""
        rows = [capitals(text) for text in self._rows_of(shelf.data)]
        texts = encoded(self.codec(shelf), [" ".join(words) for words, _ in rows], "sentences")
        return *Rows.of(texts).batch, filled([token_values(text, *row) for text, row in zip(texts, rows, strict=True)])

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch."""
        *texts, names = batch
        row = packed(tuple(texts))
        targets = Packed.of_rows(names, row.segments.lengths).token_ids
        log_probs = _head(model, "token_head")(_hidden(model, row)).float().log_softmax(-1)
        either = torch.stack([log_probs[:, 0], log_probs[:, 1:].logsumexp(-1)], 1)
        return functional.nll_loss(either, targets, ignore_index=-1)


class Spans(FineTuning):
    """Cross-entropy of the first and of the last token of an answer.

    With `hints`, the loss has so many times those of telling, of each token of the context, whether the question has it
    too, from the states half-way up, and whether it is in the answer's sentence, from the last ones; by heads for the
    time being. A small model learns to compare question and context in some hundred steps then, low enough that the
    layers above can count by sentences; it hardly learns either from answers alone.
    """

    def __init__(
        self, *, rows_of: Callable[[DataFolder], Sequence[Question]], hints: float = 0.0, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._rows_of, self._hints = rows_of, hints

    def items(self, shelf: Shelf) -> Batch:
        """A window of each context that has the answer, with its question; the places of the answer's ends; of each
        token, whether it is in the answer's sentence, -1 outside the context.
        """
        codec = self.codec(shelf)
        rows = [(one, row) for row in self._rows_of(shelf.data) if (one := answered(codec, row)) is not None]
        texts = Rows.of([window for (window, _), _ in rows])
        sentences = filled([in_sentence(window, row) for (window, _), row in rows])
        return *texts.batch, torch.tensor([ends for (_, ends), _ in rows]), sentences

    def begin(self, model: TextEncoder, items: Batch) -> nn.Module:
        """Give the model the heads of the hints."""
        if self._hints:
            width = cast("nn.Linear", _head(model, "span_head")).in_features
            heads = {"shared": nn.Linear(width, 1), "sentence": nn.Linear(width, 1)}
            model.add_module(HINTS, nn.ModuleDict(heads).to(items[0].device))
        return super().begin(model, items)

    def end(self, model: TextEncoder, companion: nn.Module) -> None:
        """Take them away."""
        super().end(model, companion)
        if self._hints:
            delattr(model, HINTS)

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch."""
        *texts, ends, sentences = batch
        row = packed(tuple(texts))
        low, hidden = _low_and_last(model, row)
        logits = _head(model, "span_head")(hidden).float()
        padded = nn.utils.rnn.pad_sequence(
            list(row.segments.split(logits)), batch_first=True, padding_value=-torch.inf
        )  # [B, T, 2]
        loss = functional.cross_entropy(padded, ends)
        if not self._hints:
            return loss
        heads = cast("nn.ModuleDict", _head(model, HINTS))
        shared = shared_tokens(texts[0], texts[1], self._n_special)
        hints = _told(heads["shared"], low, shared, row) + _told(heads["sentence"], hidden, sentences, row)
        return loss + self._hints * hints


class Neighbours(FineTuning):
    """Pairs that belong together, among all second texts of the batch (van den Oord et al. 2018, equation 4)."""

    TEMPERATURE = 0.05

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[tuple[str, str]]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    def items(self, shelf: Shelf) -> Batch:
        """Both texts of each pair."""
        codec, rows = self.codec(shelf), self._rows_of(shelf.data)
        firsts, seconds = (Rows.of(encoded(codec, [row[side] for row in rows], "pairs")) for side in (0, 1))
        return *firsts.batch, *seconds.batch

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch, either way."""
        firsts, seconds = (embedded(model, packed(batch[start : start + 3])) for start in (0, 3))
        scores = firsts @ seconds.T / self.TEMPERATURE
        places = torch.arange(len(scores), device=scores.device)
        return (functional.cross_entropy(scores, places) + functional.cross_entropy(scores.T, places)) / 2


class Similarities(FineTuning):
    """Pairs in the order of their similarity: log(1 + sum over i more alike than j of exp(20 (cos_j - cos_i))).

    Source: Su, CoSENT, 2022, equation 7.
    """

    SHARPNESS = 20.0

    def __init__(self, *, rows_of: Callable[[DataFolder], Sequence[Scored]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows_of = rows_of

    def items(self, shelf: Shelf) -> Batch:
        """Both texts of each pair, and how alike people find them."""
        codec, rows = self.codec(shelf), self._rows_of(shelf.data)
        firsts = Rows.of(encoded(codec, [row.first for row in rows], "pairs"))
        seconds = Rows.of(encoded(codec, [row.second for row in rows], "pairs"))
        return *firsts.batch, *seconds.batch, torch.tensor([row.score for row in rows])

    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of all pairs of pairs of a batch."""
        firsts, seconds = (embedded(model, packed(batch[start : start + 3])) for start in (0, 3))
        cosines, likeness = (firsts * seconds).sum(1) * self.SHARPNESS, batch[6]
        wrong = (cosines[None, :] - cosines[:, None])[likeness[:, None] > likeness[None, :]]
        return torch.cat([wrong.new_zeros(1), wrong]).logsumexp(0)


def embedded(model: TextEncoder, row: Packed) -> Tensor:
    """One vector of unit length a text, `[B, D]`: the mean of its tokens'."""
    hidden = _hidden(model, row).float()
    sums = hidden.new_zeros(len(row.segments), hidden.shape[1]).index_add(0, row.segments.owners, hidden)
    return functional.normalize(sums, dim=1)


def capitals(text: str) -> tuple[list[str], list[int]]:
    """The words and marks of a text, and of each whether it has a capital: 1, 0, or -1 where that tells nothing.

    It tells nothing of the first word, of one after a mark, of one between two with capitals, and of marks and numbers.
    """
    words = _WORD.findall(text)
    kinds = [int(word[0].isupper()) if word[0].isalpha() else -1 for word in words]
    known = [
        before >= 0 and not (kind == 0 and before == after == 1)
        for before, kind, after in zip([-1, *kinds], kinds, [*kinds[1:], -1], strict=False)
    ]
    return words, [kind if is_known else -1 for kind, is_known in zip(kinds, known, strict=True)]


def first_tokens(text: Tokens, words: Sequence[str]) -> dict[int, int]:
    """The place of each word's first token, by the word's number; a word without tokens, or cut off, is left out.

    The text is of the words, with a space between each two.
    """
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))
    places: dict[int, int] = {}
    for place, (part, (_, end)) in enumerate(zip(text.texts, text.offsets, strict=True)):
        if part is not None and end > 0:
            places.setdefault(bisect_right(starts, end - 1) - 1, place)
    return places


def token_values(text: Tokens, words: Sequence[str], values: Sequence[int]) -> Tensor:
    """Each word's value at its first token, -1 at all others: `[T]`, int64."""
    found = torch.full((len(text.ids),), -1)
    for word, place in first_tokens(text, words).items():
        found[place] = values[word]
    return found


def token_tags(text: Tokens, row: Tagged) -> Tensor:
    """For each token the place of its word's tag in `TAGS`; -1 but for the first token of each word: `[T]`, int64."""
    return token_values(text, row.words, [TAGS.index(tag) for tag in row.tags])


def answered(codec: FastCodec, row: Question) -> tuple[Tokens, tuple[int, int]] | None:
    """The first window of the context with the whole answer, and the places of the answer's first and last token.

    None where there is no such window, or the question is too long to leave room for one.
    """
    if row.start is None:
        return None
    start, end = row.start, row.start + len(row.answers[0])
    try:
        windows = codec.windows(row.question, row.context, codec.max_tokens // 4)
    except InvalidItems:
        return None
    for window in windows:
        inside = [(place, window.offsets[place]) for place, text in enumerate(window.texts) if text == 1]
        firsts = [place for place, (first, last) in inside if first <= start < last]
        lasts = [place for place, (first, last) in inside if first < end <= last]
        if firsts and lasts:
            return window, (firsts[0], lasts[-1])
    return None


def _divergence(first: Tensor, second: Tensor) -> Tensor:
    """Of log-probabilities `[B, C]`: the mean of both directions of Kullback and Leibler's, a text."""
    both = (first.exp() - second.exp()) * (first - second)
    return both.sum(1).mean() / 2


def in_sentence(window: Tokens, row: Question) -> Tensor:
    """Of each token whether it is in the sentence of the answer, which has a start; -1 outside the context: `[T]`."""
    start = cast("int", row.start)
    breaks = [match.span() for match in _BETWEEN_SENTENCES.finditer(row.context)]
    first = max((end for _, end in breaks if end <= start), default=0)
    last = min((at for at, _ in breaks if at >= start + len(row.answers[0])), default=len(row.context))
    places = zip(window.texts, window.offsets, strict=True)
    return torch.tensor([int(first <= at and end <= last) if text == 1 else -1 for text, (at, end) in places])


def shared_tokens(ids: Tensor, types: Tensor, n_special: int) -> Tensor:
    """Of pairs `[B, T]`, of each word of the second text whether the first one has it too; -1 for all else."""
    is_word = ids >= n_special
    firsts = torch.where(is_word & (types == 0), ids, -1)
    firsts = firsts[:, (firsts >= 0).any(0)]
    is_shared = (ids[:, :, None] == firsts[:, None, :]).any(2)
    return torch.where(is_word & (types == 1), is_shared.long(), -1)


def _told(head: nn.Module, states: Tensor, targets: Tensor, row: Packed) -> Tensor:
    """Cross-entropy of the targets `[B, T]` that are 0 or 1, by the states `[N, D]`."""
    flat = Packed.of_rows(targets, row.segments.lengths).token_ids
    counts = flat >= 0
    return functional.binary_cross_entropy_with_logits(head(states)[counts, 0].float(), flat[counts].float())


def _low_and_last(model: TextEncoder, row: Packed) -> tuple[Tensor, Tensor]:
    """The states half-way up, and the last ones, `[N, D]` both; of models with blocks."""
    blocks = cast("nn.ModuleList", model.get_submodule("blocks"))
    caught: list[Tensor] = []
    handle = blocks[(len(blocks) - 1) // 2].register_forward_hook(lambda _block, _inputs, states: caught.append(states))
    with handle:
        last = _hidden(model, row)
    return caught[0], last


def set_dropout(model: nn.Module, probability: float) -> None:
    """For all of its dropout; it counts while training only."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def _hidden(model: TextEncoder, row: Packed) -> Tensor:
    return model.hidden(row, PaddedTexts(row.segments))


def _head(model: TextEncoder, name: str) -> nn.Module:
    head = getattr(model, name)
    if head is None:
        raise TrainingError(f"{type(model).__name__} was built without {name}")
    return cast("nn.Module", head)

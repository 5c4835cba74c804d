"""Answers: the first and the last token of a span of a context, and what helps a small model to find it.

Shapes: `B` texts, `T` tokens of one, `N` tokens of all of them, `D` width.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.codecs.text.codec import FastCodec
from models.errors import InvalidItems
from models.layers.encoder import TextEncoder
from models.layers.packing import Packed
from models.tasks.text import Tokens
from training.data.files import DataFolder
from training.data.questions import Question
from training.recipe import Batch, Resources
from training.texts.corpus import Rows, pack, pad_rows
from training.texts.finetuning import FineTuning, last_hidden_states, require_head
from training.texts.scores import SENTENCE_END

HINTS = "hints"


class SpanExtraction(FineTuning):
    """Cross-entropy of the first and of the last token of an answer.

    With `hints`, the loss has so many times those of telling, of each token of the context, whether the question has it
    too, from the states half-way up, and whether it is in the answer's sentence, from the last ones; by heads for the
    time being. A small model learns to compare question and context in some hundred steps then, low enough that the
    layers above can count by sentences; it hardly learns either from answers alone.
    """

    def __init__(
        self, *, rows_of: Callable[[DataFolder], Sequence[Question]], hint_weight: float = 0.0, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._rows_of, self._hint_weight = rows_of, hint_weight

    @override
    def items(self, resources: Resources) -> Batch:
        """A window of each context that has the answer, with its question; the places of the answer's ends; of each
        token, whether it is in the answer's sentence, -1 outside the context.
        """
        codec = self.codec(resources)
        rows = [
            (one, row) for row in self._rows_of(resources.data) if (one := find_answer_window(codec, row)) is not None
        ]
        texts = Rows.of([window for (window, _), _ in rows])
        sentences = pad_rows([answer_sentence_labels(window, row) for (window, _), row in rows])
        return *texts.batch, torch.tensor([ends for (_, ends), _ in rows]), sentences

    @override
    def begin(self, model: TextEncoder, items: Batch) -> nn.Module:
        """Give the model the heads of the hints."""
        if self._hint_weight:
            width = cast("nn.Linear", require_head(model, "span_head")).in_features
            heads = {"shared": nn.Linear(width, 1), "sentence": nn.Linear(width, 1)}
            model.add_module(HINTS, nn.ModuleDict(heads).to(items[0].device))
        return super().begin(model, items)

    @override
    def end(self, model: TextEncoder, companion: nn.Module) -> None:
        """Take them away."""
        super().end(model, companion)
        if self._hint_weight:
            delattr(model, HINTS)

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Of a batch."""
        *texts, ends, sentences = batch
        row = pack(tuple(texts))
        if not self._hint_weight:
            return _span_loss(model, last_hidden_states(model, row), ends, row)
        low, last = _middle_and_last_states(model, row)
        heads = cast("nn.ModuleDict", require_head(model, HINTS))
        shared = shared_token_labels(texts[0], texts[1], self._n_special)
        hint_weight = _hint_loss(heads["shared"], low, shared, row) + _hint_loss(
            heads["sentence"], last, sentences, row
        )
        return _span_loss(model, last, ends, row) + self._hint_weight * hint_weight


def find_answer_window(codec: FastCodec, row: Question) -> tuple[Tokens, tuple[int, int]] | None:
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
        details = window.details()
        inside = [(position, details.offsets[position]) for position, text in enumerate(details.texts) if text == 1]
        firsts = [position for position, (first, last) in inside if first <= start < last]
        lasts = [position for position, (first, last) in inside if first < end <= last]
        if firsts and lasts:
            return window, (firsts[0], lasts[-1])
    return None


def answer_sentence_labels(window: Tokens, row: Question) -> Tensor:
    """Of each token whether it is in the sentence of the answer, which has a start; -1 outside the context: `[T]`."""
    start = cast("int", row.start)
    breaks = [match.span() for match in SENTENCE_END.finditer(row.context)]
    first = max((end for _, end in breaks if end <= start), default=0)
    last = min((at for at, _ in breaks if at >= start + len(row.answers[0])), default=len(row.context))
    details = window.details()
    positions = zip(details.texts, details.offsets, strict=True)
    return torch.tensor([int(first <= at and end <= last) if text == 1 else -1 for text, (at, end) in positions])


def shared_token_labels(ids: Tensor, types: Tensor, n_special: int) -> Tensor:
    """Of pairs `[B, T]`, of each word of the second text whether the first one has it too; -1 for all else."""
    is_word = ids >= n_special
    firsts = torch.where(is_word & (types == 0), ids, -1)
    firsts = firsts[:, (firsts >= 0).any(0)]
    is_shared = (ids[:, :, None] == firsts[:, None, :]).any(2)
    return torch.where(is_word & (types == 1), is_shared.long(), -1)


def _span_loss(model: TextEncoder, states: Tensor, ends: Tensor, row: Packed) -> Tensor:
    """Cross-entropy of the places `[B, 2]`, by the states `[N, D]`."""
    logits = require_head(model, "span_head")(states).float()
    padded = nn.utils.rnn.pad_sequence(
        list(row.segments.split(logits)), batch_first=True, padding_value=-torch.inf
    )  # [B, T, 2]
    return functional.cross_entropy(padded, ends)


def _hint_loss(head: nn.Module, states: Tensor, targets: Tensor, row: Packed) -> Tensor:
    """Cross-entropy of the targets `[B, T]` that are 0 or 1, by the states `[N, D]`."""
    flat = Packed.of_rows(targets, row.segments.lengths).token_ids
    counts = flat >= 0
    return functional.binary_cross_entropy_with_logits(head(states)[counts, 0].float(), flat[counts].float())


def _middle_and_last_states(model: TextEncoder, row: Packed) -> tuple[Tensor, Tensor]:
    """The states half-way up, and the last ones, `[N, D]` both; of models with blocks."""
    blocks = cast("nn.ModuleList", model.get_submodule("blocks"))
    caught: list[Tensor] = []
    handle = blocks[(len(blocks) - 1) // 2].register_forward_hook(lambda _block, _inputs, states: caught.append(states))
    with handle:
        last = last_hidden_states(model, row)
    return caught[0], last

"""Fine-tuning to extract answers: the first and the last token of a span of a context.

Shapes: `B` texts, `T` tokens of each text, `N` tokens of all texts together, `D` width.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.codecs.text import TokenizersCodec
from models.errors import InvalidItems
from models.tasks.text import Tokens
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from training.data.files import DataFolder
from training.data.questions import Question
from training.recipe import Batch, Resources
from training.texts.corpus import Rows, pad_rows, ragged_batch
from training.texts.finetuning import FineTuning, last_hidden_states, require_head
from training.texts.scores import SENTENCE_END

HINTS = "hints"
"""Name of the module with the temporary heads."""


class SpanExtraction(FineTuning):
    """Minimises the cross-entropy of the first and the last token of an answer.

    With `hint_weight`, two auxiliary losses with this weight are added, from temporary heads that predict for each
    token of the context whether the question contains it as well, from the states of the middle layer, and whether it
    is in the answer's sentence, from the last states. With them a small model learns within some hundred steps to
    compare question and context, in layers low enough for the layers above to use it; from answers alone it hardly
    learns either.
    """

    def __init__(
        self, *, rows_of: Callable[[DataFolder], Sequence[Question]], hint_weight: float = 0.0, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._rows_of, self._hint_weight = rows_of, hint_weight

    @override
    def items(self, resources: Resources) -> Batch:
        """Return windows of contexts with their question, the positions of the answer's ends, and sentence labels.

        Each window contains the answer. The labels tell for each token whether it is in the answer's sentence, -1
        outside the context.
        """
        codec = self.codec(resources)
        rows = self._rows_of(resources.data)
        found = [(*answer, row) for row in rows if (answer := find_answer_window(codec, row)) is not None]
        texts = Rows.of([window for window, _, _ in found])
        sentences = pad_rows([answer_sentence_labels(window, row) for window, _, row in found])
        return *texts.batch, torch.tensor([ends for _, ends, _ in found]), sentences

    @override
    def begin(self, model: TextEncoder, items: Batch) -> nn.Module:
        """Add the temporary heads of the auxiliary losses."""
        if self._hint_weight:
            width = cast("nn.Linear", require_head(model, "span_head")).in_features
            heads = {"shared": nn.Linear(width, 1), "sentence": nn.Linear(width, 1)}
            model.add_module(HINTS, nn.ModuleDict(heads).to(items[0].device))
        return super().begin(model, items)

    @override
    def end(self, model: TextEncoder, companion: nn.Module) -> None:
        """Remove the temporary heads."""
        super().end(model, companion)
        if self._hint_weight:
            delattr(model, HINTS)

    @override
    def loss(self, model: TextEncoder, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the loss of the spans, plus the weighted auxiliary losses if there are any."""
        *texts, ends, sentences = batch
        row = ragged_batch(tuple(texts))
        if not self._hint_weight:
            return _span_loss(model, last_hidden_states(model, row), ends, row)
        middle, last = _middle_and_last_states(model, row)
        heads = cast("nn.ModuleDict", require_head(model, HINTS))
        shared = shared_token_labels(texts[0], texts[1], self._n_special)
        shared_loss = _hint_loss(heads["shared"], middle, shared, row)
        sentence_loss = _hint_loss(heads["sentence"], last, sentences, row)
        return _span_loss(model, last, ends, row) + self._hint_weight * (shared_loss + sentence_loss)


def find_answer_window(codec: TokenizersCodec, row: Question) -> tuple[Tokens, tuple[int, int]] | None:
    """Return the first window with the whole answer, and the positions of the answer's first and last token.

    It is None if there is no such window, or if the question leaves no room for one.
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
    """Return whether each token is in the answer's sentence: 1, 0, or -1 outside the context, `[T]`.

    The question must have a `start`.
    """
    start = cast("int", row.start)
    breaks = [match.span() for match in SENTENCE_END.finditer(row.context)]
    first = max((end for _, end in breaks if end <= start), default=0)
    last = min((begin for begin, _ in breaks if begin >= start + len(row.answers[0])), default=len(row.context))
    details = window.details()
    tokens = zip(details.texts, details.offsets, strict=True)
    return torch.tensor([int(first <= begin and end <= last) if text == 1 else -1 for text, (begin, end) in tokens])


def shared_token_labels(ids: Tensor, types: Tensor, n_special: int) -> Tensor:
    """Return whether each word of the second text is in the first as well: 1, 0, or -1 for other tokens.

    All tensors are `[B, T]`.
    """
    is_word = ids >= n_special
    firsts = torch.where(is_word & (types == 0), ids, -1)
    firsts = firsts[:, (firsts >= 0).any(0)]
    is_shared = (ids[:, :, None] == firsts[:, None, :]).any(2)
    return torch.where(is_word & (types == 1), is_shared.long(), -1)


def _span_loss(model: TextEncoder, states: Tensor, ends: Tensor, row: RaggedBatch) -> Tensor:
    """Return the cross-entropy of the positions `ends` `[B, 2]`, from the states `[N, D]`."""
    logits = require_head(model, "span_head")(states).float()
    padded = nn.utils.rnn.pad_sequence(
        list(row.segments.split(logits)), batch_first=True, padding_value=-torch.inf
    )  # [B, T, 2]
    return functional.cross_entropy(padded, ends)


def _hint_loss(head: nn.Module, states: Tensor, targets: Tensor, row: RaggedBatch) -> Tensor:
    """Return the binary cross-entropy of targets `[B, T]`, from the states `[N, D]`; targets of -1 do not count."""
    flat = RaggedBatch.of_rows(targets, row.segments.lengths).token_ids
    counts = flat >= 0
    return functional.binary_cross_entropy_with_logits(head(states)[counts, 0].float(), flat[counts].float())


def _middle_and_last_states(model: TextEncoder, row: RaggedBatch) -> tuple[Tensor, Tensor]:
    """Return the states of the middle and of the last block, both `[N, D]`."""
    blocks = cast("nn.ModuleList", model.get_submodule("blocks"))
    middle: list[Tensor] = []
    handle = blocks[(len(blocks) - 1) // 2].register_forward_hook(lambda _block, _inputs, states: middle.append(states))
    with handle:
        last = last_hidden_states(model, row)
    return middle[0], last

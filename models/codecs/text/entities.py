"""Classes of tokens to entities: `B-X` and `I-X` begin and continue one of the kind X, `O` is none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from models.tasks.text import Tokens

Aggregation = Literal["simple", "none", "first", "average", "max"]
OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class Entity:
    """Characters `start` to `end` of the text, and what they are."""

    kind: str
    score: float
    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A token or a word: its characters, and the probabilities `[n_labels]`."""

    start: int
    end: int
    scores: Tensor


def entities(tokens: Tokens, scores: Tensor, labels: Sequence[str], aggregation: Aggregation) -> list[Entity]:
    """Of a text's tokens, with the probabilities `[T, n_labels]` of their `labels`.

    `none` names each token. The others name runs of one kind: `simple` of tokens; the rest of whole words, whose
    probabilities are those of their first token, the mean, or those of the token that is surest.
    """
    details = tokens.details()
    places = [place for place, text in enumerate(details.texts) if text == 0]
    pieces = [_Piece(*details.offsets[place], scores[place]) for place in places]
    if aggregation in _WORDS:
        words = groupby(zip(places, pieces, strict=True), key=lambda pair: details.words[pair[0]])
        pieces = [_word([piece for _, piece in parts], _WORDS[aggregation]) for _, parts in words]
    text = tokens.sources[0] if tokens.sources else ""
    named = [(piece, int(piece.scores.argmax())) for piece in pieces]
    if aggregation == "none":
        return [
            Entity(labels[best], float(piece.scores[best]), text[piece.start : piece.end], piece.start, piece.end)
            for piece, best in named
            if labels[best] != OUTSIDE
        ]
    return _runs(text, [(piece, *_parted(labels[best]), float(piece.scores[best])) for piece, best in named])


def _runs(text: str, named: Sequence[tuple[_Piece, str, str, float]]) -> list[Entity]:
    """Neighbours of one kind, up to the next that begins a new one."""
    found: list[Entity] = []
    run: list[tuple[_Piece, float]] = []
    kind = OUTSIDE
    for piece, prefix, its_kind, score in [*named, (None, "B", OUTSIDE, 0.0)]:
        if run and (its_kind != kind or prefix == "B"):
            start, end = run[0][0].start, run[-1][0].end
            mean = sum(score for _, score in run) / len(run)
            found.append(Entity(kind, mean, text[start:end], start, end))
            run = []
        if piece is not None and its_kind != OUTSIDE:
            run.append((piece, score))
        kind = its_kind
    return found


def _parted(label: str) -> tuple[str, str]:
    """`B-PER` to `B` and `PER`; a label without a prefix continues its kind."""
    prefix, dash, kind = label.partition("-")
    return (prefix, kind) if dash and prefix in ("B", "I") else ("I", label)


def _word(parts: Sequence[_Piece], combine: Callable[[Tensor], Tensor]) -> _Piece:
    return _Piece(parts[0].start, parts[-1].end, combine(torch.stack([part.scores for part in parts])))


_WORDS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "first": lambda scores: scores[0],
    "average": lambda scores: scores.mean(0),
    "max": lambda scores: scores[int(scores.amax(1).argmax())],
}

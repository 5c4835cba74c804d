"""Converting the classes of tokens to entities.

The labels `B-X` and `I-X` stand for the first and a further token of an entity of the kind X, and `O` for no entity.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from models.tasks.text import Tokens

Aggregation = Literal["simple", "none", "first", "average", "max"]
OUTSIDE = "O"

_WORD_SCORES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "first": lambda scores: scores[0],
    "average": lambda scores: scores.mean(0),
    "max": lambda scores: scores[int(scores.amax(1).argmax())],
}
"""Functions that reduce the probabilities of a word's tokens, `[T, n_labels]`, to those of the word, `[n_labels]`."""


@dataclass(frozen=True, slots=True)
class Entity:
    """The characters `start` to `end` of a text, and the kind of thing that they name."""

    kind: str
    score: float
    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """The characters of a token or a word, and the probabilities `[n_labels]`."""

    start: int
    end: int
    scores: Tensor


@dataclass(frozen=True, slots=True)
class _LabelledPiece:
    """A piece with its likeliest label, which is split into prefix and kind, and the probability of the label."""

    start: int
    end: int
    prefix: str
    kind: str
    score: float


def entities(tokens: Tokens, scores: Tensor, labels: Sequence[str], aggregation: Aggregation) -> list[Entity]:
    """Return the entities of a text, given the probabilities `[T, n_labels]` of its tokens' labels.

    With the aggregation `none`, each token is an entity. With the others, neighbours of the same kind form one. These
    are tokens with `simple`, and whole words otherwise. The probabilities of a word are those of its first token
    (`first`), the mean of all (`average`), or those of the token that has the largest one (`max`).
    """
    details = tokens.details()
    places = [place for place, text in enumerate(details.texts) if text == 0]
    pieces = [_Piece(*details.offsets[place], scores[place]) for place in places]
    if aggregation in _WORD_SCORES:
        words = groupby(zip(places, pieces, strict=True), key=lambda pair: details.words[pair[0]])
        pieces = [_join([piece for _, piece in parts], aggregation) for _, parts in words]
    text = tokens.sources[0] if tokens.sources else ""
    best = [(piece, int(piece.scores.argmax())) for piece in pieces]
    if aggregation == "none":
        return [
            Entity(labels[label], float(piece.scores[label]), text[piece.start : piece.end], piece.start, piece.end)
            for piece, label in best
            if labels[label] != OUTSIDE
        ]
    labelled = [
        _LabelledPiece(piece.start, piece.end, *_split_label(labels[label]), float(piece.scores[label]))
        for piece, label in best
    ]
    return [_entity(text, run) for run in _runs(labelled)]


def _runs(pieces: Sequence[_LabelledPiece]) -> Iterator[list[_LabelledPiece]]:
    """Yield the neighbours that form an entity; it ends where the kind changes or the next entity begins."""
    run: list[_LabelledPiece] = []
    for piece in pieces:
        if run and (piece.kind != run[-1].kind or piece.prefix == "B"):
            yield run
            run = []
        if piece.kind != OUTSIDE:
            run.append(piece)
    if run:
        yield run


def _entity(text: str, run: Sequence[_LabelledPiece]) -> Entity:
    start, end = run[0].start, run[-1].end
    mean = sum(piece.score for piece in run) / len(run)
    return Entity(run[0].kind, mean, text[start:end], start, end)


def _split_label(label: str) -> tuple[str, str]:
    """Split `B-PER` into `B` and `PER`; a label without a prefix continues an entity of its kind."""
    prefix, dash, kind = label.partition("-")
    return (prefix, kind) if dash and prefix in ("B", "I") else ("I", label)


def _join(parts: Sequence[_Piece], aggregation: Aggregation) -> _Piece:
    scores = torch.stack([part.scores for part in parts])
    return _Piece(parts[0].start, parts[-1].end, _WORD_SCORES[aggregation](scores))

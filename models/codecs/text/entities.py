"""Converting the classes of tokens to entities."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from models.codecs.text.label_schemes import LabelScheme, Tag, read_label_scheme
from models.codecs.text.words import is_within_word, trim, whole_words
from models.tasks.text import Tokens

Aggregation = Literal["simple", "none", "first", "average", "max"]

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
class _TaggedPiece:
    """A piece with the meaning of its likeliest label, and the probability of the label."""

    start: int
    end: int
    tag: Tag
    score: float


def entities(tokens: Tokens, scores: Tensor, labels: Sequence[str], aggregation: Aggregation) -> list[Entity]:
    """Return the entities of a text, given the probabilities `[T, n_labels]` of its tokens' labels.

    With the aggregation `none`, each token is an entity, whose kind is its label. With the others, neighbours form one
    as the scheme of the labels says. These are tokens with `simple`, and whole words otherwise. The probabilities of a
    word are those of its first token (`first`), the mean of all (`average`), or those of the token that has the largest
    one (`max`). Tokens of white space are ignored.
    """
    text, scheme = tokens.sources[0] if tokens.sources else "", read_label_scheme(tuple(labels))
    words = _words(text, _pieces(tokens, scores))
    if aggregation in _WORD_SCORES:
        pieces = [_join(text, word, aggregation) for word in words]
    else:
        pieces = [piece for word in words for piece in word if not text or text[piece.start : piece.end].strip()]
    tagged = [_tagged(text, piece, scheme) for piece in pieces]
    if aggregation == "none":
        return [_entity(text, piece.tag.label, [piece]) for piece in tagged if piece.tag.kind is not None]
    return [_entity(text, run[0].tag.kind or "", run) for run in _runs(tagged, scheme)]


def _pieces(tokens: Tokens, scores: Tensor) -> list[_Piece]:
    """Return the tokens of the text, without the special ones."""
    details = tokens.details()
    places = [place for place, text in enumerate(details.texts) if text == 0]
    return [_Piece(*details.offsets[place], scores[place]) for place in places]


def _words(text: str, pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Yield the pieces of each word.

    A piece of white space, such as a mark before a word, is part of a word that follows without further space, and is
    left out otherwise. If the text is unknown, every piece is a word.
    """
    word: list[_Piece] = []
    for piece in pieces:
        if word and not _continues(text, word[-1], piece):
            if not _is_blank(text, word):
                yield word
            word = []
        word.append(piece)
    if word and not _is_blank(text, word):
        yield word


def _continues(text: str, previous: _Piece, piece: _Piece) -> bool:
    """Return whether two neighbours are of one word. Pieces of one character, such as its bytes, always are."""
    if piece.start < previous.end:
        return True
    if _is_blank(text, [previous]):
        return piece.start == previous.end and text[piece.start : piece.start + 1].strip() != ""
    return all(is_within_word(text, place) for place in range(previous.end, piece.start + 1))


def _is_blank(text: str, pieces: Sequence[_Piece]) -> bool:
    return text != "" and not text[pieces[0].start : pieces[-1].end].strip()


def _tagged(text: str, piece: _Piece, scheme: LabelScheme) -> _TaggedPiece:
    label = int(piece.scores.argmax())
    start, end = trim(text, piece.start, piece.end)
    return _TaggedPiece(start, end, scheme.tags[label], float(piece.scores[label]))


def _runs(pieces: Sequence[_TaggedPiece], scheme: LabelScheme) -> Iterator[list[_TaggedPiece]]:
    """Yield the neighbours that form an entity."""
    run: list[_TaggedPiece] = []
    for piece in pieces:
        if run and scheme.parts(run[-1].tag, piece.tag):
            yield run
            run = []
        if piece.tag.kind is not None:
            run.append(piece)
    if run:
        yield run


def _entity(text: str, kind: str, run: Sequence[_TaggedPiece]) -> Entity:
    start, end = run[0].start, run[-1].end
    mean = sum(piece.score for piece in run) / len(run)
    return Entity(kind, mean, text[start:end], start, end)


def _join(text: str, parts: Sequence[_Piece], aggregation: Aggregation) -> _Piece:
    """Return the word of these pieces, with characters of it that the tokenizer left out."""
    start, end = whole_words(text, *trim(text, parts[0].start, parts[-1].end))
    scores = torch.stack([part.scores for part in parts])
    return _Piece(start, end, _WORD_SCORES[aggregation](scores))

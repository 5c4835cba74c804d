"""Finding the tokens that a request names as targets."""

from collections.abc import Iterator, Sequence

from models.codecs.arrays import Limits, limit_problems
from models.codecs.text.codec import TextCodec
from models.codecs.text.items import clean_text
from models.errors import InvalidItems, Problem

MAX_TARGET_CHARACTERS = 256
"""Maximum number of characters of a target; no token is longer."""
WORD_MARK = "▁"
"""Beginning of the tokens that begin a word, in vocabularies of SentencePiece."""


def find_targets(targets: Sequence[str], codec: TextCodec, limits: Limits) -> tuple[int, ...]:
    """Return the ids of the tokens that the targets name, each once.

    A target names every token whose text it is. If there is none, it is a token as the vocabulary writes it, or the
    tokenizer makes a single token of it, by itself or after a space.

    Raises:
        InvalidItems: a target is empty, unknown or several tokens; each problem points at its target.
    """
    found: list[int] = []
    problems: list[Problem] = []
    for index, target in enumerate(targets):
        try:
            found += _find_target(target, codec, limits)
        except ValueError as error:
            problems.append(Problem(str(error), parameter=f"targets/{index}"))
    if problems:
        raise InvalidItems(*limit_problems(problems))
    return tuple(dict.fromkeys(found))


def _find_target(target: str, codec: TextCodec, limits: Limits) -> list[int]:
    """Return the ids of the tokens that a target names.

    Raises:
        ValueError: there are none; the message says why.
    """
    word = clean_text(target, limits)
    if not word:
        raise ValueError("the target is empty")
    if len(word) > MAX_TARGET_CHARACTERS:
        raise ValueError(f"the target has {len(word)} characters; the limit is {MAX_TARGET_CHARACTERS}")
    candidates = list(dict.fromkeys(_candidates(word, codec)))
    if named := [token_id for token_id in candidates if codec.token_text(token_id) == word]:
        return named
    if candidates:
        return candidates[:1]
    pieces = [codec.token(token_id) for token_id in _encode(word, codec)]
    if len(pieces) > 1:
        raise ValueError(f"the target {word[:40]!r} is {len(pieces)} tokens, {pieces[:8]}; it must be a single one")
    raise ValueError(f"the target {word[:40]!r} is no token of this model's vocabulary")


def _candidates(word: str, codec: TextCodec) -> Iterator[int]:
    """Yield the ids of tokens that a target may name, the closest first."""
    for name in filter(str.strip, (word, codec.normalize(word))):
        for spelling in (name, WORD_MARK + name):
            if (token_id := codec.id_of(spelling)) is not None:
                yield token_id
    for text in (word, f" {word}"):
        ids = _encode(text, codec)
        if len(ids) == 1 and ids[0] != codec.special.unknown:
            yield ids[0]


def _encode(text: str, codec: TextCodec) -> list[int]:
    """Return the ids of a text, without a mark of the word's beginning that is a token by itself."""
    ids: list[int] = codec.encode(text, add_special_tokens=False).ids.tolist()
    is_marked = len(ids) > 1 and not codec.token_text(ids[0]).strip()
    return ids[1:] if is_marked else ids

"""What every codec of texts does, and the one on the `tokenizers` library."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, processors

from models.codecs.arrays import MAX_PROBLEMS, Limits, check_count, limited
from models.errors import CheckpointError, InvalidItems, Problem
from models.tasks.text import Details, Tokens

_SURROGATES = re.compile("[\ud800-\udfff]")
_KEYS = ({"text"}, {"text", "text_pair"})
MAX_WINDOWS = 128
"""Of one context."""
PAIR_REQUIRED = 'the item must be a pair: {"text": …, "text_pair": …}'


@dataclass(frozen=True, kw_only=True)
class Special:
    """The ids of special tokens, None where a model has none; `all` has those that are no text."""

    mask: int | None = None
    padding: int | None = None
    unknown: int | None = None
    start: int | None = None
    end: int | None = None
    all: frozenset[int] = frozenset()


class Text(NamedTuple):
    """An item as it came: a text, or a pair, or ids."""

    text: str
    pair: str | None = None
    ids: tuple[int, ...] | None = None


class TextCodec(ABC):
    """Texts to tokens and back. `max_tokens` is the model's context; `vocab_size` counts the ids that have a token."""

    special: Special
    max_tokens: int
    vocab_size: int
    crosses = False
    """Whether the model reads one text and writes another."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the longest item."""
        return (self.max_tokens,)

    @abstractmethod
    def encode(self, text: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Tokens:
        """Of any length."""

    def encode_all(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Tokens]:
        """The same of several."""
        return [self.encode(text, add_special_tokens=add_special_tokens) for text in texts]

    def encode_target(self, text: str) -> Tokens:
        """A text as a model that crosses writes it."""
        return self.encode(text)

    @abstractmethod
    def encode_truncated(self, text: str, pair: str | None = None) -> Tokens:
        """Of `max_tokens` at most, special ones included: cut at the end, of a pair the longer text first."""

    @abstractmethod
    def windows(self, text: str, pair: str, stride: int) -> list[Tokens]:
        """The pair with one window of `pair` after another, as long as fits, `stride` tokens shared by neighbours."""

    @abstractmethod
    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of these tokens."""

    @abstractmethod
    def token(self, token_id: int) -> str:
        """A token, as the vocabulary has it."""

    @abstractmethod
    def id_of(self, token: str) -> int | None:
        """The id of a token of the vocabulary."""

    def token_text(self, token_id: int) -> str:
        """A token as a part of a text."""
        return self.decode([token_id], skip_special_tokens=False)

    def texts(self, values: object, limits: Limits) -> list[Text]:
        """Items as they came in JSON: a bare one or a list; each a string, a pair or a list of ids.

        Raises:
            InvalidItems: none of that, too many items, too long a text, or an id that the vocabulary lacks.
        """
        items = values if isinstance(values, list) and not _is_ids(values) else [values]
        check_count(len(items), limits.max_items)
        texts: list[Text] = []
        problems: list[Problem] = []
        for place, item in enumerate(items):
            try:
                texts.append(self._text(item, limits))
            except ValueError as error:
                problems.append(Problem(str(error), place))
            if len(problems) > MAX_PROBLEMS:
                break
        if problems:
            raise InvalidItems(*limited(problems))
        return texts

    def tokens(
        self,
        texts: Iterable[Text],
        *,
        truncate: bool = False,
        limited_length: bool = True,
        add_special_tokens: bool = True,
    ) -> list[Tokens]:
        """The model's view of the items.

        Raises:
            InvalidItems: a text is longer than the model's context, and may not be cut.
        """
        items = list(texts)
        results = self._whole(items, add_special_tokens)
        most = self.max_tokens
        if truncate:
            its = zip(items, results, strict=True)
            results = [self._cut(item) if len(tokens) > most else tokens for item, tokens in its]
        if limited_length:
            lengths = [len(tokens.ids) for tokens in results]
            if wrong := [place for place, n in enumerate(lengths) if not 1 <= n <= most]:
                raise InvalidItems(*limited([Problem(self._misfit(lengths[place]), place) for place in wrong]))
        return results

    def _misfit(self, n_tokens: int) -> str:
        hint = "; `truncate` cuts it" if n_tokens else ""
        return f"the text has {n_tokens} tokens; this model takes 1 to {self.max_tokens}{hint}"

    def check_fits(self, name: str, n_embeddings: int) -> None:
        """Raise a CheckpointError if an id of the tokenizer has no embedding in the model."""
        if self.vocab_size > n_embeddings:
            given, taken = self.vocab_size - 1, n_embeddings - 1
            raise CheckpointError(f"{name}: the tokenizer has ids up to {given}, the model embeddings up to {taken}")

    def of_ids(self, ids: Sequence[int]) -> Tokens:
        """Return tokens whose text is not known: their offsets are empty."""
        return Tokens.of_ids(ids, self.special.all)

    def _whole(self, items: Sequence[Text], add_special_tokens: bool) -> list[Tokens]:
        """Of any length; an empty text is one that has only begun."""
        if len(items) > 1 and all(item.ids is None and item.pair is None for item in items):
            its = self.encode_all([item.text for item in items], add_special_tokens=add_special_tokens)
        else:
            its = [
                self.encode(item.text, item.pair, add_special_tokens=add_special_tokens)
                if item.ids is None
                else self.of_ids(item.ids)
                for item in items
            ]
        start = self.special.start if add_special_tokens else None
        if start is None:
            return its
        return [
            self.of_ids([start]) if item.ids is None and not len(tokens) else tokens
            for item, tokens in zip(items, its, strict=True)
        ]

    def _cut(self, item: Text) -> Tokens:
        if item.ids is not None:
            return self.of_ids(item.ids[: self.max_tokens])
        return self.encode_truncated(item.text, item.pair)

    def _text(self, item: object, limits: Limits) -> Text:
        """Raises ValueError, to be told with the item's place."""
        if isinstance(item, str):
            return Text(checked(item, limits))
        if _is_ids(item):
            return self._ids(item, limits)  # type: ignore[arg-type]
        if not isinstance(item, dict) or set(item) not in _KEYS:
            raise ValueError('the item is no text: it must be a string, {"text", "text_pair"} or a list of token ids')
        return Text(checked(item["text"], limits), checked(item["text_pair"], limits) if "text_pair" in item else None)

    def _ids(self, ids: Sequence[int], limits: Limits) -> Text:
        if len(ids) > limits.max_characters:
            raise ValueError(f"the item has {len(ids)} token ids; the limit is {limits.max_characters}")
        if wrong := [one for one in ids if not 0 <= one < self.vocab_size]:
            raise ValueError(f"the token id {wrong[0]} is unknown; this model's are 0 to {self.vocab_size - 1}")
        return Text("", ids=tuple(ids))


def checked(text: object, limits: Limits) -> str:
    """A text within its limit, each lone surrogate, which no encoding has, replaced by U+FFFD.

    Raises:
        ValueError: it is none, or too long.
    """
    if not isinstance(text, str):
        raise ValueError(f"{str(text)[:40]!r} is not a string")
    if len(text) > limits.max_characters:
        raise ValueError(f"the text has {len(text)} characters; the limit is {limits.max_characters}")
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


class FastCodec(TextCodec):
    """On the `tokenizers` library. The tokenizer is shared by threads and never changed."""

    def __init__(self, tokenizer: Tokenizer, special: Special, max_tokens: int, *, crosses: bool = False) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self.crosses = tokenizer, crosses
        self._bare = Tokenizer.from_str(tokenizer.to_str())  # what is cut is processed afterwards, and only once
        self._bare.post_processor = processors.Sequence([])
        self._has_types = _has_types(tokenizer)
        self.special, self.max_tokens = special, max_tokens
        self.vocab_size = max(tokenizer.get_vocab().values(), default=-1) + 1

    def encode(self, text: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Tokens:
        """See `TextCodec.encode`."""
        cut = partial(self._tokenizer.encode, text, pair, add_special_tokens=add_special_tokens)
        return _view(cut(), cut, text, pair)

    def encode_all(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Tokens]:
        """See `TextCodec.encode_all`: on all cores, and without the interpreter's lock."""
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
        again = partial(self._tokenizer.encode, add_special_tokens=add_special_tokens)
        ids = _row([encoding.ids for encoding in encodings])
        types = _row([encoding.type_ids for encoding in encodings]) if self._has_types else np.zeros_like(ids)
        bounds = pairwise(accumulate(map(len, encodings), initial=0))
        return [
            Tokens(
                ids=ids[start:end],
                type_ids=types[start:end],
                details=partial(_details, again, text),
                sources=(text,),
            )
            for text, (start, end) in zip(texts, bounds, strict=True)
        ]

    def encode_truncated(self, text: str, pair: str | None = None) -> Tokens:
        """See `TextCodec.encode_truncated`."""
        cut = partial(self._truncated, text, pair)
        return _view(cut(), cut, text, pair)

    def windows(self, text: str, pair: str, stride: int) -> list[Tokens]:
        """See `TextCodec.windows`.

        Raises:
            InvalidItems: `text` leaves no room for `pair`, or the stride fills it.
        """
        first = self._bare.encode(text, add_special_tokens=False)
        second = self._bare.encode(pair, add_special_tokens=False)
        room = self._room(is_pair=True) - len(first.ids)
        if room < 1:
            raise InvalidItems(
                Problem(f"the question has {len(first.ids)} tokens; there is room for {room - 1 + len(first.ids)}")
            )
        if len(second.ids) > room:
            if stride >= room:
                raise InvalidItems(Problem(f"stride is {stride}; beside this question it must be below {room}"))
            n_windows = 1 - (room - len(second.ids)) // (room - stride)
            if n_windows > MAX_WINDOWS:
                advice = f"the limit is {MAX_WINDOWS}: a shorter stride makes fewer"
                raise InvalidItems(Problem(f"the context makes {n_windows} windows; {advice}"))
            second.truncate(room, stride=stride)
        cuts = [partial(self._tokenizer.post_process, first, window) for window in (second, *second.overflowing)]
        return [_view(cut(), cut, text, pair) for cut in cuts]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """See `TextCodec.decode`."""
        return self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)

    def token(self, token_id: int) -> str:
        """See `TextCodec.token`."""
        return self._tokenizer.id_to_token(token_id) or ""

    def id_of(self, token: str) -> int | None:
        """See `TextCodec.id_of`."""
        return self._tokenizer.token_to_id(token)

    def _truncated(self, text: str, pair: str | None) -> Encoding:
        first = self._bare.encode(text, add_special_tokens=False)
        second = self._bare.encode(pair, add_special_tokens=False) if pair is not None else None
        room = self._room(is_pair=pair is not None)
        if second is None:
            first.truncate(room)
        else:
            shares = _longest_first(len(first.ids), len(second.ids), room)
            for encoding, share in zip((first, second), shares, strict=True):
                encoding.truncate(share)
        return self._tokenizer.post_process(first, second)

    def _room(self, *, is_pair: bool) -> int:
        return self.max_tokens - self._tokenizer.num_special_tokens_to_add(is_pair)


def _row(parts: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """One after the other; for all of them at once, it takes less than for each."""
    return np.fromiter(chain.from_iterable(parts), np.int64, sum(map(len, parts)))


def _has_types(tokenizer: Tokenizer) -> bool:
    """Whether tokens of a text that is no pair may be of another type than 0: as far as those of a sample tell."""
    try:
        sample = tokenizer.encode("a", add_special_tokens=False)
    except Exception:  # the library has no other: the vocabulary lacks the letter, and a token for what is unknown
        return True
    return not sample.ids or any(tokenizer.post_process(sample).type_ids)


def _view(encoding: Encoding, cut: Callable[[], Encoding], text: str, pair: str | None = None) -> Tokens:
    """As a model reads it. `cut` makes it anew for details: all of them kept would slow down the cutting of others."""
    types = encoding.type_ids
    return Tokens(
        ids=np.array(encoding.ids, np.int64),
        type_ids=np.array(types, np.int64) if any(types) else np.zeros(len(types), np.int64),
        details=partial(_details, cut),
        sources=(text,) if pair is None else (text, pair),
    )


def _details(cut: Callable[..., Encoding], *texts: str) -> Details:
    encoding = cut(*texts)
    return Details(offsets=encoding.offsets, texts=encoding.sequence_ids, words=encoding.word_ids)


def _longest_first(n_first: int, n_second: int, room: int) -> tuple[int, int]:
    """What is kept of each when the longer one is cut first, both equally once they are of one length."""
    if n_first + n_second <= room:
        return n_first, n_second
    shorter = min(n_first, n_second)
    if shorter <= room - shorter:
        return (shorter, room - shorter) if n_first <= n_second else (room - shorter, shorter)
    half = room // 2
    return (half, room - half) if n_first <= n_second else (room - half, half)


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(one) is int for one in value)

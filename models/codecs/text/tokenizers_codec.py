"""The codec on the `tokenizers` library."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain, pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, normalizers
from tokenizers.models import BPE
from typing_extensions import override

from models.cancellation import stop_if_abandoned
from models.codecs.text.codec import TextCodec
from models.codecs.text.long_texts import Frame, PartEncoder, find_frame
from models.codecs.text.parting import PART_CHARACTERS, places_for
from models.codecs.text.sizes import sizes_for
from models.codecs.text.special_tokens import SpecialTokens, check_templates, declare_added_tokens, find_special_tokens
from models.codecs.text.windows import cut_windows
from models.published_tokenizer import EncodingSettings, TokenizerSource
from models.tasks.text import Details, Tokens, TruncationSide

MAX_LOCKED_CHARACTERS = 1024
"""Maximum number of characters of texts that are tokenised by the call that is fastest, but holds the interpreter."""
CHARACTERS_AT_ONCE = 2**16
"""Maximum number of characters of several texts that one call tokenises; the work can end between two calls."""

MAX_VOCAB_SIZE = 2**24
"""Number that all ids of tokens are below."""

_ENDINGS = (".", "?", "!", ",", "' ", "n't", "'m", "'s", "'ve", "'re")


class TokenizersCodec(TextCodec):
    """A codec on the `tokenizers` library. The tokenizer is never changed, because threads share it."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        special: SpecialTokens,
        max_tokens: int,
        *,
        has_target: bool = False,
        encoding: EncodingSettings | None = None,
    ) -> None:
        self.vocab_size = max(tokenizer.get_vocab().values(), default=-1) + 1
        if self.vocab_size > MAX_VOCAB_SIZE:  # the library enumerates all ids up to the largest
            raise ValueError(f"a token has the id {self.vocab_size - 1}; ids must be below {MAX_VOCAB_SIZE}")
        check_templates(tokenizer)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self.has_target = tokenizer, has_target
        self.encoding = encoding or EncodingSettings()
        self.n_added_tokens = tokenizer.get_vocab_size() - tokenizer.get_vocab_size(with_added_tokens=False)
        tokenizer.encode_special_tokens = self.encoding.splits_special_tokens
        self.sizes, self.places = sizes_for(tokenizer), places_for(tokenizer)
        self._parts = PartEncoder(tokenizer, self.places)
        self._has_types = self.encoding.has_types and _has_types(tokenizer)
        self._truncation_side: TruncationSide = "left" if self.encoding.truncates_left else "right"
        self._cleans_up = self.encoding.cleans_up_spaces and not isinstance(tokenizer.model, BPE)
        self.special, self.max_tokens = special, max_tokens

    @classmethod
    def of_checkpoint(cls, tokenizer: Tokenizer, source: TokenizerSource) -> Self:
        """Return the codec of a checkpoint's tokenizer."""
        if source.lowercase:
            after = [tokenizer.normalizer] if tokenizer.normalizer else []
            tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *after])
        if isinstance(tokenizer.model, BPE):
            tokenizer.model.dropout = None  # it is for training: the tokens of a text would differ each time
        declare_added_tokens(tokenizer, source)
        special = find_special_tokens(tokenizer, source.settings)
        return cls(tokenizer, special, source.max_tokens, has_target=source.has_target, encoding=source.encoding)

    @override
    def encode(self, text: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Tokens:
        sources = (text,) if pair is None else (text, pair)
        if len(text) + len(pair or "") > PART_CHARACTERS and (frame := self._frame(len(sources), add_special_tokens)):
            return self._encode_long(sources, frame)
        encode = partial(self._encoding, text, pair, add_special_tokens)
        return self._to_tokens(encode(), encode, sources)

    @override
    def encode_all(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Tokens]:
        """Return the tokens of each text, of any length; runs on all cores, without the interpreter's lock."""
        if sum(map(len, texts)) <= PART_CHARACTERS:
            return self._encode_together(texts, add_special_tokens)
        results: list[Tokens] = []
        for group in _groups(texts):
            stop_if_abandoned()
            if len(group[0]) > PART_CHARACTERS:
                results.append(self.encode(group[0], add_special_tokens=add_special_tokens))
            else:
                results += self._encode_together(group, add_special_tokens)
        return results

    @override
    def encode_truncated(self, text: str, pair: str | None = None, side: TruncationSide | None = None) -> Tokens:
        side = side or self._truncation_side
        n_free = max(0, self.truncated_length - self._tokenizer.num_special_tokens_to_add(pair is not None))
        sources = (text,) if pair is None else (text, pair)
        n_kept = (n_free,) if pair is None else divide_room(self._count(text), self._count(pair), n_free)
        places = [self._parts.holding(each, n, side) for each, n in zip(sources, n_kept, strict=True)]
        held = [each[start:end] for each, (start, end) in zip(sources, places, strict=True)]
        encode = partial(self._encoding, held[0], None if pair is None else held[1], True)
        encoding = encode()
        tokens = self._to_tokens(encoding, encode, sources)
        kept = _kept(encoding.sequence_ids, n_kept, side)
        starts = [start for start, _ in places]
        return Tokens(
            ids=tokens.ids[kept],
            type_ids=tokens.type_ids[kept],
            details=partial(_kept_details, encode, kept, starts),
            sources=sources,
        )

    @override
    def beginning(self, text: str, n_tokens: int) -> str:
        return text[: self._parts.holding(text, n_tokens + 1, "right")[1]]

    @override
    def windows(self, text: str, pair: str, stride: int | None = None) -> list[Tokens]:
        whole = self.encode(text, pair)
        self.check_ids([whole])
        n_special = self._tokenizer.num_special_tokens_to_add(True)
        side = self._truncation_side
        return cut_windows(whole, self._count(text), n_special, self.max_tokens, stride=stride, side=side)

    @override
    def normalize(self, text: str) -> str:
        return str(self._tokenizer.normalizer.normalize_str(text)) if self._tokenizer.normalizer else text

    @override
    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        if len(ids) <= MAX_LOCKED_CHARACTERS:
            text = self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        else:
            (text,) = self._tokenizer.decode_batch([ids], skip_special_tokens=skip_special_tokens)
        return clean_up_spaces(text) if self._cleans_up else text

    @override
    def token(self, token_id: int) -> str:
        return self._tokenizer.id_to_token(token_id) or ""

    @override
    def id_of(self, token: str) -> int | None:
        token_id = self._tokenizer.token_to_id(token)
        return None if token_id is None or token_id >= self.n_embeddings else token_id

    @override
    def largest_needed_id(self) -> int:
        added = self._tokenizer.get_added_tokens_decoder()
        has_unknown = not isinstance(self._tokenizer.model, BPE) or bool(self._tokenizer.model.unk_token)
        in_every_text = set(self._tokenizer.encode("", "").ids) | ({self.special.unknown} if has_unknown else set())
        written = {token_id for token_id, token in added.items() if token.special} - in_every_text
        return max(set(self._tokenizer.get_vocab().values()) - written, default=-1)

    def _encoding(self, text: str, pair: str | None, add_special_tokens: bool) -> Encoding:
        """Return the encoding of a text or a pair, unless they are short without the interpreter's lock."""
        if len(text) + len(pair or "") <= MAX_LOCKED_CHARACTERS:
            return self._tokenizer.encode(text, pair, add_special_tokens=add_special_tokens)
        source = text if pair is None else (text, pair)
        (encoding,) = self._tokenizer.encode_batch([source], add_special_tokens=add_special_tokens)
        return encoding

    def _encode_together(self, texts: Sequence[str], add_special_tokens: bool) -> list[Tokens]:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
        bounds = [*accumulate(map(len, encodings), initial=0)]
        # One array for all texts takes less time than an array for each.
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), np.int64, bounds[-1])
        all_types = chain.from_iterable(encoding.type_ids for encoding in encodings)
        types = np.fromiter(all_types, np.int64, bounds[-1]) if self._has_types else np.zeros_like(ids)
        encode = self._encoding
        return [
            Tokens(
                ids=ids[start:end],
                type_ids=types[start:end],
                details=partial(_details, partial(encode, text, None, add_special_tokens)),
                sources=(text,),
            )
            for text, (start, end) in zip(texts, pairwise(bounds), strict=True)
        ]

    def _encode_long(self, sources: tuple[str, ...], frame: Frame) -> Tokens:
        """Return the tokens of a text or a pair part by part."""
        ids, types = frame.around([self._parts.ids(source) for source in sources])
        has_types = self.encoding.has_types and bool(types.any())
        return Tokens(
            ids=ids,
            type_ids=types if has_types else np.zeros_like(ids),
            details=lambda: frame.details_around([self._parts.offsets(source) for source in sources]),
            sources=sources,
        )

    def _frame(self, n_texts: int, add_special_tokens: bool) -> Frame | None:
        """Return the special tokens around texts that are tokenised in parts; None if these texts cannot be parted."""
        if self.places is None:
            return None
        return find_frame(self._tokenizer, n_texts, add_special_tokens=add_special_tokens)

    def _count(self, text: str) -> int:
        """Return the number of tokens of a text, without special ones."""
        return len(self.encode(text, add_special_tokens=False))

    def _to_tokens(self, encoding: Encoding, encode: Callable[[], Encoding], sources: tuple[str, ...]) -> Tokens:
        """Return the tokens of an encoding.

        `encode` makes it once more if the details are asked for: keeping every encoding would slow down the making of
        others.
        """
        types = encoding.type_ids
        has_types = self.encoding.has_types and any(types)
        return Tokens(
            ids=np.array(encoding.ids, np.int64),
            type_ids=np.array(types, np.int64) if has_types else np.zeros(len(types), np.int64),
            details=partial(_details, encode),
            sources=sources,
        )


def _groups(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts in groups for one call each; a text that is tokenised in parts is a group by itself."""
    first = n_characters = 0
    for index, text in enumerate(texts):
        is_long = len(text) > PART_CHARACTERS
        if first < index and (is_long or n_characters + len(text) > CHARACTERS_AT_ONCE):
            yield texts[first:index]
            first, n_characters = index, 0
        n_characters += CHARACTERS_AT_ONCE + 1 if is_long else len(text)
    if first < len(texts):
        yield texts[first:]


def clean_up_spaces(text: str) -> str:
    """Return the text without the spaces that tokenizers of words leave before punctuation and English endings."""
    for ending in _ENDINGS:
        text = text.replace(f" {ending}", ending.strip())
    return text


def divide_room(n_first: int, n_second: int, n_free: int) -> tuple[int, int]:
    """Return how many tokens of each text of a pair are kept if there is room for `n_free` tokens.

    The longer text is truncated first; once both have the same length, they are truncated equally.
    """
    if n_first + n_second <= n_free:
        return n_first, n_second
    shorter = min(n_first, n_second)
    if shorter <= n_free - shorter:
        return (shorter, n_free - shorter) if n_first <= n_second else (n_free - shorter, shorter)
    half = n_free // 2
    return (half, n_free - half) if n_first <= n_second else (n_free - half, half)


def _has_types(tokenizer: Tokenizer) -> bool:
    """Return whether tokens of a single text may have another type than 0, as far as a sample shows it."""
    try:
        sample = tokenizer.encode("a", add_special_tokens=True)
    except Exception:  # the library has no narrower one; the vocabulary lacks the letter and an unknown token
        return True
    return 0 not in sample.sequence_ids or any(sample.type_ids)


def _details(encode: Callable[[], Encoding]) -> Details:
    encoding = encode()
    return Details(offsets=encoding.offsets, texts=encoding.sequence_ids)


def _kept(texts: Sequence[int | None], n_kept: Sequence[int], side: TruncationSide) -> NDArray[np.int64]:
    """Return the places of the special tokens and of the first, or last, `n_kept` tokens of each text."""
    numbers = np.array([-1 if text is None else text for text in texts], np.int64)
    is_kept = numbers < 0
    for index, n in enumerate(n_kept):
        places = np.flatnonzero(numbers == index)
        is_kept[places[max(0, len(places) - n) :] if side == "left" else places[:n]] = True
    return np.flatnonzero(is_kept)


def _kept_details(encode: Callable[[], Encoding], kept: NDArray[np.int64], starts: Sequence[int]) -> Details:
    """Return the details of some tokens of texts, the sources of which begin at `starts`."""
    details = _details(encode)
    places = kept.tolist()
    texts = [details.texts[place] for place in places]
    offsets = [details.offsets[place] for place in places]
    if any(starts):
        shifts = [0 if text is None else starts[text] for text in texts]
        offsets = [(first + shift, last + shift) for (first, last), shift in zip(offsets, shifts, strict=True)]
    return Details(offsets=offsets, texts=texts)

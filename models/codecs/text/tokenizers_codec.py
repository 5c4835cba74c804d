"""The codec on the `tokenizers` library."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, chain, pairwise
from typing import Self

import numpy as np
from tokenizers import Encoding, Tokenizer, normalizers, processors
from tokenizers.models import BPE
from typing_extensions import override

from models.codecs.text.codec import TextCodec
from models.codecs.text.special_tokens import SpecialTokens, declare_added_tokens, find_special_tokens
from models.errors import InvalidItems, Problem
from models.published_tokenizer import EncodingSettings, TokenizerSource
from models.tasks.text import Details, Tokens, TruncationSide

DEFAULT_STRIDE = 128
"""Maximum number of tokens that neighbouring windows share unless a request says how many."""
MAX_WINDOWS = 128
"""Maximum number of windows of one text."""

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
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self.has_target = tokenizer, has_target
        self.encoding = encoding or EncodingSettings()
        self.n_added_tokens = tokenizer.get_vocab_size() - tokenizer.get_vocab_size(with_added_tokens=False)
        self._plain = Tokenizer.from_str(tokenizer.to_str())  # truncated texts get their special tokens afterwards
        self._plain.post_processor = processors.Sequence([])
        for each in (self._tokenizer, self._plain):
            each.encode_special_tokens = self.encoding.splits_special_tokens
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
        encode = partial(self._tokenizer.encode, text, pair, add_special_tokens=add_special_tokens)
        return self._to_tokens(encode, text, pair)

    @override
    def encode_all(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Tokens]:
        """Return the tokens of each text, of any length; runs on all cores, without the interpreter's lock."""
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
        encode = partial(self._tokenizer.encode, add_special_tokens=add_special_tokens)
        bounds = [*accumulate(map(len, encodings), initial=0)]
        # One array for all texts takes less time than an array for each.
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), np.int64, bounds[-1])
        all_types = chain.from_iterable(encoding.type_ids for encoding in encodings)
        types = np.fromiter(all_types, np.int64, bounds[-1]) if self._has_types else np.zeros_like(ids)
        return [
            Tokens(
                ids=ids[start:end],
                type_ids=types[start:end],
                details=partial(_details, encode, text),
                sources=(text,),
            )
            for text, (start, end) in zip(texts, pairwise(bounds), strict=True)
        ]

    @override
    def encode_truncated(self, text: str, pair: str | None = None, side: TruncationSide | None = None) -> Tokens:
        return self._to_tokens(partial(self._truncated_encoding, text, pair, side or self._truncation_side), text, pair)

    @override
    def windows(self, text: str, pair: str, stride: int | None = None) -> list[Tokens]:
        first = self._plain.encode(text, add_special_tokens=False)
        second = self._plain.encode(pair, add_special_tokens=False)
        n_free = self.max_tokens - self._tokenizer.num_special_tokens_to_add(True) - len(first.ids)
        if n_free < 1:
            n_room = max(0, n_free - 1 + len(first.ids))
            detail = f"the question has {len(first.ids)} tokens; there is room for {n_room} beside the context"
            raise InvalidItems(Problem(detail))
        if len(second.ids) > n_free:
            if stride is None:
                stride = min(DEFAULT_STRIDE, self.max_tokens // 4, n_free // 2)
            elif stride >= n_free:
                detail = f"stride is {stride}; beside this question it must be below {n_free}"
                raise InvalidItems(Problem(detail, parameter="stride"))
            n_windows = 1 - (n_free - len(second.ids)) // (n_free - stride)
            if n_windows > MAX_WINDOWS:
                most = MAX_WINDOWS * n_free
                advice = (
                    "a shorter stride makes fewer" if len(second.ids) <= most else f"they hold {most} tokens at most"
                )
                detail = (
                    f"the context of {len(second.ids)} tokens makes {n_windows} windows; the limit is {MAX_WINDOWS}"
                )
                raise InvalidItems(Problem(f"{detail}: {advice}"))
            second.truncate(n_free, stride=stride, direction=self._truncation_side)
        parts = (second, *second.overflowing)
        windows = [self._to_tokens(partial(self._tokenizer.post_process, first, part), text, pair) for part in parts]
        self.check_ids(windows)
        return windows

    @override
    def normalize(self, text: str) -> str:
        return str(self._tokenizer.normalizer.normalize_str(text)) if self._tokenizer.normalizer else text

    @override
    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
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

    def _truncated_encoding(self, text: str, pair: str | None, side: TruncationSide) -> Encoding:
        first = self._plain.encode(text, add_special_tokens=False)
        second = self._plain.encode(pair, add_special_tokens=False) if pair is not None else None
        n_free = self.truncated_length - self._tokenizer.num_special_tokens_to_add(pair is not None)
        if second is None:
            first.truncate(n_free, direction=side)
        else:
            n_first, n_second = divide_room(len(first.ids), len(second.ids), n_free)
            first.truncate(n_first, direction=side)
            second.truncate(n_second, direction=side)
        return self._tokenizer.post_process(first, second)

    def _to_tokens(self, encode: Callable[[], Encoding], text: str, pair: str | None = None) -> Tokens:
        """Return the tokens of an encoding.

        `encode` runs once more if the details are asked for: keeping every encoding would slow down the making of
        others.
        """
        encoding = encode()
        types = encoding.type_ids
        has_types = self.encoding.has_types and any(types)
        return Tokens(
            ids=np.array(encoding.ids, np.int64),
            type_ids=np.array(types, np.int64) if has_types else np.zeros(len(types), np.int64),
            details=partial(_details, encode),
            sources=(text,) if pair is None else (text, pair),
        )


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
        sample = tokenizer.encode("a", add_special_tokens=False)
    except Exception:  # the library has no narrower one; the vocabulary lacks the letter and an unknown token
        return True
    return not sample.ids or any(tokenizer.post_process(sample).type_ids)


def _details(encode: Callable[..., Encoding], *texts: str) -> Details:
    encoding = encode(*texts)
    return Details(offsets=encoding.offsets, texts=encoding.sequence_ids)

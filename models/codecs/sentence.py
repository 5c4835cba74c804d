"""Sentences: short texts, each of which a model reads as a whole. Shapes: `T` tokens of a sentence."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from models.codecs.arrays import MAX_PROBLEMS, Limits, Shape, limit_problems
from models.codecs.text.items import TextItem
from models.codecs.text.special_tokens import find_special_tokens
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.errors import CheckpointError, ConfigError, InvalidItems, Problem
from models.regular_files import read_file

TOKENIZER_FILE = "tokenizer.json"


class SentenceCodec:
    """The codec of sentences, which clients see as strings and models as int64 tensors of token ids `[T]`.

    The end of a sentence has a token of its own, which models add. An unknown word is null in a list of words, or the
    mask token, which may be written out.

    Attributes:
        shape: the maximum number of tokens, with the end token, as the shape of an item.
        value_range: smallest and largest token id.
        stored_bits: size of a token id before compression, in bits.
        has_columns: whether items are made of named columns.
        tokenizer_sha256: the digest of the tokenizer's file.
    """

    has_columns: ClassVar[bool] = False
    stored_bits: ClassVar[int] = 16

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, mask_token: str, tokenizer_sha256: str) -> None:
        special = find_special_tokens(tokenizer, {"mask_token": mask_token})
        if special.mask is None:
            raise ConfigError(f"codec.mask_token is {mask_token!r}; the tokenizer has no such token")
        self.shape: Shape = (max_tokens,)
        self.tokenizer_sha256 = tokenizer_sha256
        self._texts = TokenizersCodec(tokenizer, special, max_tokens - 1)
        self._mask_token, self._mask_id = mask_token, special.mask
        self._attached_mask = re.compile(rf"\S{re.escape(mask_token)}")
        self._refused = special.all - {special.mask}
        self.value_range = (0.0, float(self._texts.vocab_size - 1))

    def decode(self, values: object, limits: Limits, *, gaps: bool = False) -> list[Tensor]:
        """Return the tokens of one sentence or several.

        A sentence is a string or a list of token ids; with `gaps`, it may be a list of words, where null stands for an
        unknown one. Sentences in a list of words may not be given without a list around them.

        Raises:
            InvalidItems: an item is no sentence, is empty or too long, holds a special token other than the mask, or a
                mask inside a word; or there are too many.
        """
        _check_forms(values, limits, gaps=gaps)
        items = self._texts.parse(self._with_masks(values) if gaps else values, limits)
        rows = self._texts.tokenize(items, check_length=False, add_special_tokens=False)
        problems = [
            Problem(detail, index)
            for index, (item, row) in enumerate(zip(items, rows, strict=True))
            if (detail := self._problem_of(item, row.ids.tolist()))
        ]
        if problems:
            raise InvalidItems(*limit_problems(problems[: MAX_PROBLEMS + 1]))
        return [torch.from_numpy(row.ids) for row in rows]

    def encode(self, item: NDArray[Any]) -> str:
        """Return the text of token ids `[T]`."""
        text = self._texts.decode(item.tolist(), skip_special_tokens=False)
        return text.replace(self._mask_token, f" {self._mask_token}").strip() if self._mask_id in item else text

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, without the end token."""
        return len(self._texts.encode(text, add_special_tokens=False))

    def token_texts(self, item: NDArray[Any]) -> list[str]:
        """Return each of the tokens `[T]` as a part of the text."""
        return [self._texts.token_text(token_id) for token_id in item.tolist()]

    def tokens(self, item: NDArray[Any]) -> list[str]:
        """Return each of the tokens `[T]` as the vocabulary writes it."""
        return [self._texts.token(token_id) for token_id in item.tolist()]

    def _with_masks(self, values: object) -> object:
        """Return the items with a string in place of each list of words."""
        if not isinstance(values, list):
            return values
        return [self._join(item) if _has_words(item) else item for item in values]

    def _join(self, words: Sequence[str | None]) -> str:
        return " ".join(self._mask_token if word is None else word for word in words)

    def _problem_of(self, item: TextItem, ids: Sequence[int]) -> str | None:
        """Return why an item is refused; None if it is not."""
        (max_tokens,) = self.shape
        if item.pair is not None:
            return "the item is a pair of texts; this model reads single ones"
        if attached := self._attached_mask.search(item.text):
            return (
                f"the text has {attached.group()!r}; {self._mask_token} stands for a whole word, with a space before it"
            )
        if not 1 <= len(ids) < max_tokens:
            return f"the text has {len(ids)} tokens; this model takes 1 to {max_tokens - 1}"
        if refused := self._refused.intersection(ids):
            return f"the text holds the special token {self._texts.token(min(refused))!r}"
        return None


def _has_words(item: object) -> bool:
    """Return whether an item is a list of words, some of which may be unknown."""
    return isinstance(item, list) and bool(item) and all(isinstance(word, str | None) for word in item)


def _check_forms(values: object, limits: Limits, *, gaps: bool) -> None:
    """Check the types of the items, if there are not too many; with `gaps`, an item may be a list of words.

    Raises:
        InvalidItems: an item is neither a string, an object, a list of token ids nor a list of words.
    """
    items = values if isinstance(values, list) else []
    if len(items) > limits.max_items or all(type(item) is int for item in items):
        return
    with_words = ", a list of words with null for each unknown one" if gaps else ""
    problems = []
    for index, item in enumerate(items):
        is_ids = isinstance(item, list) and all(type(element) is int for element in item)
        if not (isinstance(item, str | dict) or is_ids or (gaps and _has_words(item))):
            detail = f"the item is no sentence: it must be a string{with_words} or a list of token ids"
            problems.append(Problem(detail, index))
    if problems:
        raise InvalidItems(*limit_problems(problems[: MAX_PROBLEMS + 1]))


def read_sentence_codec(folder: Path, name: str, spec: Mapping[str, Any]) -> SentenceCodec:
    """Return the codec that a checkpoint describes as `{"modality": "sentence", "shape": [48], …}`.

    The further keys are `mask_token` and `tokenizer_sha256`, the digest of `tokenizer.json` beside it.

    Raises:
        ConfigError: a value of the description is missing or out of range.
        CheckpointError: the tokenizer is missing or damaged, or has another digest.
    """
    shape, mask_token, sha256 = (spec.get(key) for key in ("shape", "mask_token", "tokenizer_sha256"))
    if not (isinstance(shape, list) and len(shape) == 1 and type(shape[0]) is int and shape[0] > 1):
        raise ConfigError(f"codec.shape is {shape!r}; of sentences, it must be a list of one number of at least 2")
    for key, value in (("mask_token", mask_token), ("tokenizer_sha256", sha256)):
        if not isinstance(value, str):
            raise ConfigError(f"codec.{key} is {value!r}; it must be a string")
    place = f"{name}/{TOKENIZER_FILE}"
    data = bytes(read_file(folder / TOKENIZER_FILE, place))
    if (digest := hashlib.sha256(data).hexdigest()) != sha256:
        raise CheckpointError(f"{place} has the SHA-256 {digest}; config.json says {sha256}")
    try:
        tokenizer = Tokenizer.from_buffer(data)
        return SentenceCodec(tokenizer, shape[0], str(mask_token), digest)
    except Exception as error:  # `tokenizers` raises no narrower one
        raise CheckpointError(f"{place} is not readable: {error}") from error

"""The base class of the codecs of texts."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import numpy as np

from models.cancellation import stop_if_abandoned
from models.codecs.arrays import MAX_PROBLEMS, Limits, limit_problems
from models.codecs.text.items import TextItem, clean_text, parse_text_items
from models.codecs.text.parting import MAX_RUN, PART_CHARACTERS, Places, part_bounds
from models.codecs.text.prompts import Prompts
from models.codecs.text.sizes import TextSizes
from models.codecs.text.special_tokens import SpecialTokens
from models.errors import CheckpointError, InvalidItems, Problem
from models.published_tokenizer import EncodingSettings
from models.tasks.text import Tokens, TruncationSide

TRUNCATE_HINT = "; `truncate` cuts it"
"""End of the error that a text is too long. Dialects without such a parameter leave it out."""
SHORT_TEXT = 512
"""Number of characters up to which the size of a normalised text is not computed, unless the limit is low."""
MAX_GROWTH = 18
"""Largest number of characters that Unicode's normalisations make of one: NFKD of U+FDFA."""
CHARACTERS_AT_ONCE = 2**16
"""Number of characters of items that are tokenised before their lengths are checked; the work can end in between."""


class TextCodec(ABC):
    """Converts texts to tokens and back. All methods may be called by several threads at a time.

    Attributes:
        task_names: the tasks that a codec answers without the model.
        special: the ids of the special tokens.
        max_tokens: the maximum number of tokens that the model takes.
        vocab_size: one more than the largest id of a token.
        n_embeddings: the number of ids that the model has embeddings for, once `limit_ids` was called.
        has_target: whether the model reads one text and writes another, the target.
        encoding: what the tokenizer's settings say about the encoding of texts.
        n_added_tokens: the number of tokens beyond the vocabulary of the tokenizer's model.
        prompts: the prompts that may stand before a text.
        preferred_length: the number of tokens that texts are truncated to, if that is less than `max_tokens`.
        sizes: the sizes of texts as the tokenizer reads them.
        places: where long texts are parted; None if each is tokenised as a whole.
    """

    task_names: ClassVar[tuple[str, ...]] = ("tokenize", "detokenize")

    special: SpecialTokens
    max_tokens: int
    vocab_size: int
    n_embeddings: int = sys.maxsize
    has_target: bool = False
    encoding: EncodingSettings
    n_added_tokens: int
    prompts: Prompts = Prompts()
    preferred_length: int | None = None
    sizes: TextSizes
    places: Places | None = None

    @property
    def truncated_length(self) -> int:
        """The number of tokens that texts are truncated to."""
        return min(self.max_tokens, self.preferred_length or self.max_tokens)

    @abstractmethod
    def encode(self, text: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Tokens:
        """Return the tokens of a text or a pair of texts, of any length.

        Raises:
            InvalidItems: the model takes no pairs.
        """

    def encode_all(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Tokens]:
        """Return the tokens of each text, of any length."""
        return [self.encode(text, add_special_tokens=add_special_tokens) for text in texts]

    def encode_target(self, text: str) -> Tokens:
        """Return the tokens of a text that the model may write as the target."""
        tokens = self.encode(text)
        self.check_ids([tokens])
        return tokens

    @abstractmethod
    def encode_truncated(self, text: str, pair: str | None = None, side: TruncationSide | None = None) -> Tokens:
        """Return at most `truncated_length` tokens, including special ones.

        Texts are truncated at that side, which is the tokenizer's own if it is None; of a pair, the longer text first.
        """

    @abstractmethod
    def windows(self, text: str, pair: str, stride: int | None = None) -> list[Tokens]:
        """Return pairs of the text with each window of `pair`; windows are as long as fits and share `stride` tokens.

        If that is None, they share 128, a quarter of `max_tokens` or half of a window of `pair`, whichever is least.

        Raises:
            InvalidItems: the text leaves no room for `pair`, the stride fills this room, or there are too many windows.
        """

    @abstractmethod
    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of these tokens."""

    @abstractmethod
    def token(self, token_id: int) -> str:
        """Return a token as the vocabulary writes it; the empty string if there is no such token."""

    @abstractmethod
    def id_of(self, token: str) -> int | None:
        """Return the id of a token of the vocabulary; None if there is none, or none with an embedding."""

    def normalize(self, text: str) -> str:
        """Return the text as the tokenizer reads it: in lower case, for example, if its vocabulary is."""
        return text

    def token_text(self, token_id: int) -> str:
        """Return a token as a part of a text."""
        return self.decode([token_id], skip_special_tokens=False)

    def parse(self, values: object, limits: Limits) -> list[TextItem]:
        """Return the items of a request; see `parse_text_items`."""
        return parse_text_items(values, limits, self.vocab_size, self.check_text)

    def check_text(self, value: object, limits: Limits, name: str = "the text") -> str:
        """Return a text of a request without lone surrogates; see `clean_text`.

        Raises:
            ValueError: the value is no text, or too long, also as the tokenizer normalises it.
        """
        text = clean_text(value, limits, name)
        if len(text) > SHORT_TEXT or len(text) * MAX_GROWTH * self.sizes.factor > limits.max_characters:
            self._check_size(text, limits, name)
        return text

    def _check_size(self, text: str, limits: Limits, name: str) -> None:
        size = self.sizes.total(text)
        if size > limits.max_characters:
            detail = f"{name} has {len(text)} characters, and up to {size} as the tokenizer reads it"
            raise ValueError(f"{detail}; the limit is {limits.max_characters}, max_characters")
        if size <= MAX_RUN:
            return
        bounds = part_bounds(text, self.places)
        if self.sizes.is_plain_ascii and text.isascii():
            longest = max(end - start for start, end in pairwise(bounds))
        else:
            longest = int(np.add.reduceat(self.sizes.of(text), bounds[:-1], dtype=np.int64).max()) * self.sizes.factor
        if longest > MAX_RUN:
            between = "at once" if self.places is None else "without a space between two words"
            raise ValueError(f"{name} has up to {longest} characters {between}; the limit is {MAX_RUN}")

    def tokenize(
        self,
        items: Sequence[TextItem],
        *,
        truncate: bool = False,
        truncation_side: TruncationSide | None = None,
        note_truncated: Callable[[int], object] | None = None,
        check_length: bool = True,
        check_ids: bool = True,
        add_special_tokens: bool = True,
        prompt: str = "",
    ) -> list[Tokens]:
        """Return the tokens of each item.

        Args:
            items: the items.
            truncate: whether items with more than `truncated_length` tokens are truncated to these.
            truncation_side: the side at which they are truncated, if it is not the tokenizer's own.
            note_truncated: called with the index of each item that is truncated.
            check_length: whether items without tokens and with more than `max_tokens` are refused.
            check_ids: whether items with tokens for which the model has no embeddings are refused.
            add_special_tokens: whether the special tokens are added that the model expects around a text.
            prompt: a text to put before the first text of each item. Items of token ids are left as they are.

        Raises:
            InvalidItems: the number of tokens of an item, or one of them, is refused.
        """
        if prompt:
            items = [item if item.ids is not None else item._replace(text=prompt + item.text) for item in items]
        results: list[Tokens] = []
        problems: list[Problem] = []
        for start, end in _groups(items):
            stop_if_abandoned()
            some = [self._shortened(item, truncation_side) if truncate else item for item in items[start:end]]
            group = self._encode_items(some, start, add_special_tokens)
            if truncate:
                self._truncate(group, some, start, truncation_side, note_truncated)
            if check_length:
                problems += self._length_problems(group, start)
            if len(problems) > MAX_PROBLEMS:
                break
            results += group
        if problems:
            raise InvalidItems(*limit_problems(problems))
        if check_ids:
            self.check_ids(results)
        if prompt and not self.prompts.are_pooled:
            self._count_prompt(prompt, items, results)
        return results

    def beginning(self, text: str, n_tokens: int) -> str:
        """Return a beginning of a long text that has more than `n_tokens` tokens, or the text."""
        return text

    def _shortened(self, item: TextItem, side: TruncationSide | None) -> TextItem:
        """Return an item that is cut at its right without most of what is cut, so that this is not tokenised."""
        is_left = self.encoding.truncates_left if side is None else side == "left"
        if is_left or item.pair is not None or len(item.text) <= PART_CHARACTERS:
            return item
        return item._replace(text=self.beginning(item.text, self.truncated_length))

    def _truncate(
        self,
        results: list[Tokens],
        items: Sequence[TextItem],
        first: int,
        side: TruncationSide | None,
        note_truncated: Callable[[int], object] | None,
    ) -> None:
        """Replace the results that are too long; the index of the first item of the request is `first`."""
        for index, tokens in enumerate(results):
            if len(tokens.ids) > self.truncated_length:
                results[index] = self._encode_truncated_item(items[index], side)
                if note_truncated is not None:
                    note_truncated(first + index)

    def limit_ids(self, name: str, n_embeddings: int) -> None:
        """Declare how many ids the model has embeddings for. Texts with tokens beyond them are refused from now on.

        Raises:
            CheckpointError: a token beyond is needed for ordinary texts; the error names the checkpoint.
        """
        largest = self.vocab_size - 1
        if largest >= n_embeddings and (largest := self.largest_needed_id()) >= n_embeddings:
            limit = n_embeddings - 1
            raise CheckpointError(f"{name}: the tokenizer has ids up to {largest}, the model embeddings up to {limit}")
        self.n_embeddings = n_embeddings

    def largest_needed_id(self) -> int:
        """Return the largest id of a token that a text may have although the token is not written in it."""
        return self.vocab_size - 1

    def check_ids(self, texts: Sequence[Tokens]) -> None:
        """Raise InvalidItems, which names each of these texts with a token that the model has no embedding for."""
        if self.vocab_size <= self.n_embeddings:
            return
        most = [(index, int(tokens.ids.max(initial=0))) for index, tokens in enumerate(texts)]
        if refused := [(index, token_id) for index, token_id in most if token_id >= self.n_embeddings]:
            limit = f"the model has embeddings of the ids 0 to {self.n_embeddings - 1}"
            problems = [
                Problem(f"the token {self.token(token_id)!r} has the id {token_id}; {limit}", index)
                for index, token_id in refused
            ]
            raise InvalidItems(*limit_problems(problems))

    def _encode_items(self, items: Sequence[TextItem], first: int, add_special_tokens: bool) -> list[Tokens]:
        """Return the tokens of each item, of any length; an empty text becomes the start token, if there is one.

        The index of the first item of the request is `first`.
        """
        if len(items) > 1 and all(item.ids is None and item.pair is None for item in items):
            results = self.encode_all([item.text for item in items], add_special_tokens=add_special_tokens)
        else:
            results = [self._encode_item(item, first + i, add_special_tokens) for i, item in enumerate(items)]
        start = self.special.start if add_special_tokens else None
        if start is None:
            return results
        return [
            Tokens.of_ids([start], self.special.all) if item.ids is None and not len(tokens) else tokens
            for item, tokens in zip(items, results, strict=True)
        ]

    def _encode_item(self, item: TextItem, index: int, add_special_tokens: bool) -> Tokens:
        if item.ids is not None:
            return Tokens.of_ids(item.ids, self.special.all)
        try:
            return self.encode(item.text, item.pair, add_special_tokens=add_special_tokens)
        except InvalidItems as error:
            raise InvalidItems(*(replace(problem, index=index) for problem in error.problems)) from None

    def _encode_truncated_item(self, item: TextItem, side: TruncationSide | None) -> Tokens:
        if item.ids is not None:
            kept = slice(-self.truncated_length, None) if side == "left" else slice(self.truncated_length)
            return Tokens.of_ids(item.ids[kept], self.special.all)
        return self.encode_truncated(item.text, item.pair, side)

    def _count_prompt(self, prompt: str, items: Sequence[TextItem], results: Sequence[Tokens]) -> None:
        """Set the number of tokens of the prompt, as sentence-transformers counts them: of the prompt alone.

        Raises:
            InvalidItems: a text has no tokens beside the prompt's.
        """
        (alone,) = self.tokenize([TextItem(prompt)], truncate=True)
        n_prompt = len(alone) - (int(alone.ids[-1]) in self.special.all)
        of_texts = [(index, tokens) for index, tokens in enumerate(results) if items[index].ids is None]
        if empty := [index for index, tokens in of_texts if len(tokens) <= n_prompt]:
            detail = "the text has no tokens beside those of the prompt, which this model leaves out of its embedding"
            raise InvalidItems(*limit_problems([Problem(detail, index) for index in empty]))
        for _, tokens in of_texts:
            tokens.n_prompt = n_prompt

    def _length_problems(self, results: Sequence[Tokens], first: int) -> list[Problem]:
        """Return a problem for each result without tokens or with too many."""
        problems = []
        for index, tokens in enumerate(results):
            if not 1 <= (n_tokens := len(tokens.ids)) <= self.max_tokens:
                hint = TRUNCATE_HINT if n_tokens else ""
                detail = f"the text has {n_tokens} tokens; this model takes 1 to {self.max_tokens}{hint}"
                problems.append(Problem(detail, first + index))
        return problems


def _groups(items: Sequence[TextItem]) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of the groups in which items are tokenised."""
    start = n_characters = 0
    for index, item in enumerate(items):
        n_characters += len(item.text) + len(item.pair or "")
        if n_characters > CHARACTERS_AT_ONCE:
            yield start, index + 1
            start, n_characters = index + 1, 0
    if start < len(items):
        yield start, len(items)

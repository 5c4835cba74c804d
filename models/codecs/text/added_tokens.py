"""Finding declared tokens in texts, for vocabularies that the library `tokenizers` does not read."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from models.errors import CheckpointError
from models.published_tokenizer import DeclaredToken, TokenizerSource


class AddedTokens:
    """The tokens that a folder declares beside a vocabulary, which are never split.

    Attributes:
        ids: the ids of the tokens.
        special_ids: the ids of those that are no text.
    """

    def __init__(self, source: TokenizerSource, vocab: Mapping[str, int]) -> None:
        self.ids: dict[str, int] = {}
        self._tokens: dict[str, DeclaredToken] = {}
        next_id = max(vocab.values()) + 1
        for token in source.declared_tokens:
            token_id = self.ids.get(token.content, vocab.get(token.content, next_id))
            if token.token_id not in (None, token_id):
                reason = f"declared with the id {token.token_id}, but the tokenizer gives it {token_id}"
                raise CheckpointError(f"{source.name}/{token.file}: the token {token.content!r} is {reason}")
            next_id = max(next_id, token_id + 1)
            self.ids[token.content] = token_id
            self._tokens.setdefault(token.content, token)
        specials = (token for token in self._tokens.values() if token.options.get("special", False))
        self.special_ids = frozenset(self.ids[token.content] for token in specials)
        longest_first = sorted(map(re.escape, self.ids), key=len, reverse=True)
        self._pattern = re.compile("|".join(longest_first) or "(?!)")

    def split(self, text: str) -> Iterator[tuple[int, int, int | None]]:
        """Yield the parts of a text: the first character, the end, and the id if the part is an added token.

        The options of a token count: it may include the spaces before it or after it, or be no part of a word. Of a
        word, it is joined to the part before it or after it, even if that is an added token, as transformers does.
        """
        bounds = [0, *(bound for match in self._pattern.finditer(text) for bound in match.span()), len(text)]
        parts = [[start, end] for start, end in pairwise(bounds) if start < end]
        for index, (start, end) in enumerate(parts):
            token = self._tokens.get(text[start:end])
            if token is not None:
                self._apply_options(text, parts, index, token)
        for start, end in parts:
            if start < end:
                yield start, end, self.ids.get(text[start:end])

    def _apply_options(self, text: str, parts: list[list[int]], index: int, token: DeclaredToken) -> None:
        """Change the bounds of the parts beside an added token, and those of the token, as its options say."""
        part = parts[index]
        left, right = (parts[i] if 0 <= i < len(parts) else [0, 0] for i in (index - 1, index + 1))
        before, after = text[left[0] : left[1]], text[right[0] : right[1]]
        if token.options.get("rstrip", False):
            right[0] = right[1] - len(after.lstrip())
        if token.options.get("lstrip", False):
            left[1] = left[0] + len(before.rstrip())
        if token.options.get("single_word", False) and before and before[-1] != " ":
            left[1], part[0] = part[1], part[1]
        elif token.options.get("single_word", False) and after and after[0] != " ":
            right[0], part[1] = part[0], part[0]

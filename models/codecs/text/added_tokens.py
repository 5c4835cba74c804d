"""Finding declared tokens in texts, for vocabularies that the library `tokenizers` does not read."""

import re
from collections.abc import Iterator, Mapping

from models.errors import CheckpointError
from models.published import DeclaredToken, TokenizerSource


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

        The options of a token count: it may include the spaces before it or after it, or be no part of a word.
        """
        start = 0
        for match in self._pattern.finditer(text):
            first, end = match.span()
            if self._is_in_word(match, text):
                continue
            token = self._tokens[match.group()]
            before = text[start:first]
            before = before.rstrip() if token.options.get("lstrip", False) else before
            if before:
                yield start, start + len(before), None
            yield first, end, self.ids[token.content]
            after = text[end:]
            start = end + (len(after) - len(after.lstrip()) if token.options.get("rstrip", False) else 0)
        if start < len(text):
            yield start, len(text), None

    def _is_in_word(self, match: re.Match[str], text: str) -> bool:
        if not self._tokens[match.group()].options.get("single_word", False):
            return False
        around = text[max(match.start() - 1, 0) : match.start()], text[match.end() : match.end() + 1]
        return any(character not in ("", " ") for character in around)

"""Tokens that are no text, such as the mask, and their roles."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from models.errors import CheckpointError
from models.published_tokenizer import TokenizerSource


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The ids of special tokens.

    Attributes:
        mask: the token in place of a masked word; None if the vocabulary has no such token, like the four below.
        padding: the token that fills up short texts.
        unknown: the token in place of pieces that the vocabulary lacks.
        start: the token that a text begins with.
        end: the token that a text ends with.
        all: the ids of all tokens that are no text.
    """

    mask: int | None = None
    padding: int | None = None
    unknown: int | None = None
    start: int | None = None
    end: int | None = None
    all: frozenset[int] = frozenset()


def check_templates(tokenizer: Tokenizer) -> None:
    """Refuse a template that puts a special token around texts and does not say which tokens it stands for.

    The library notices it when the first text is encoded, and then panics.

    Raises:
        ValueError: there is such a token.
    """
    if tokenizer.post_processor is None:
        return
    state = json.loads(tokenizer.post_processor.__getstate__())
    for step in state.get("processors", [state]):
        known = step.get("special_tokens", {})
        pieces = [*step.get("single", []), *step.get("pair", [])] if step["type"] == "TemplateProcessing" else []
        for token in (piece["SpecialToken"]["id"] for piece in pieces if "SpecialToken" in piece):
            if token not in known:
                raise ValueError(f"the template of its post_processor has {token!r}, which its special_tokens lack")


def find_special_tokens(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> SpecialTokens:
    """Return the ids of the special tokens that the settings name, and of those that the tokenizer declares."""

    def first_id(*names: str) -> int | None:
        tokens = (settings.get(name) for name in names)
        ids = (tokenizer.token_to_id(token) for token in tokens if isinstance(token, str))
        return next((token_id for token_id in ids if token_id is not None), None)

    mask, padding = first_id("mask_token"), first_id("pad_token")
    start, end = first_id("cls_token", "bos_token"), first_id("sep_token", "eos_token")
    declared = {token_id for token_id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    named = {token_id for token_id in (mask, padding, start, end) if token_id is not None}
    return SpecialTokens(
        mask=mask,
        padding=padding,
        unknown=first_id("unk_token"),
        start=start,
        end=end,
        all=frozenset(declared | named),
    )


def declare_special_tokens(
    tokenizer: Tokenizer, settings: Mapping[str, Any], *, mask_includes_space: bool = True
) -> None:
    """Declare the special tokens that the settings name and the vocabulary has, so that they are never split.

    `mask_includes_space` says whether the space before a mask is part of it, as it is in most vocabularies.
    """
    for name, token in sorted(settings.items()):
        if name.endswith("_token") and isinstance(token, str) and tokenizer.token_to_id(token) is not None:
            lstrip = mask_includes_space and name == "mask_token"
            tokenizer.add_special_tokens([AddedToken(token, lstrip=lstrip, normalized=False, special=True)])


def declare_added_tokens(tokenizer: Tokenizer, source: TokenizerSource) -> None:
    """Add the tokens that the folder declares beside the vocabulary, each with its options.

    Tokens of the tokenizer class alone are added only where they have an id, or take one before a token of the folder.

    Raises:
        CheckpointError: a token is declared with another id than it has.
    """
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    new = [token for token in source.declared_tokens if token.replaces or token.content not in known]
    unneeded = [token.is_default and tokenizer.token_to_id(token.content) is None for token in new]
    n_added = max((index + 1 for index, is_unneeded in enumerate(unneeded) if not is_unneeded), default=0)
    tokenizer.add_tokens([AddedToken(token.content, **token.options) for token in new[:n_added]])
    for token in source.declared_tokens:
        token_id = tokenizer.token_to_id(token.content)
        if token.token_id is not None and token_id != token.token_id:
            reason = f"declared with the id {token.token_id}, but the tokenizer gives it {token_id}"
            raise CheckpointError(f"{source.name}/{token.file}: the token {token.content!r} is {reason}")


def require_special_ids(tokenizer: Tokenizer, source: TokenizerSource, *roles: str) -> list[tuple[str, int]]:
    """Return the special tokens with these roles, each with its id, after adding those that the folder declares.

    Raises:
        CheckpointError: the vocabulary lacks one of them.
    """
    declare_added_tokens(tokenizer, source)
    tokens = [str(source.settings[role]) for role in roles]
    found = [(token, token_id) for token in tokens if (token_id := tokenizer.token_to_id(token)) is not None]
    if len(found) < len(tokens):
        missing = ", ".join(
            f"{role} {source.settings[role]!r}" for role in roles if (str(source.settings[role]) not in dict(found))
        )
        raise CheckpointError(f"{source.name}: the vocabulary lacks the {missing}, which texts are enclosed in")
    return found


def bert_template(tokenizer: Tokenizer, source: TokenizerSource) -> processors.TemplateProcessing:
    """Return the template that encloses texts as `[CLS] A [SEP]`, and pairs as `[CLS] A [SEP] B [SEP]`.

    Source: Devlin et al. 2019, section 3.

    Raises:
        CheckpointError: the vocabulary lacks one of these tokens.
    """
    ids = require_special_ids(tokenizer, source, "cls_token", "sep_token")
    (start, _), (end, _) = ids
    return processors.TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0", pair=f"{start}:0 $A:0 {end}:0 $B:1 {end}:1", special_tokens=ids
    )


def roberta_template(tokenizer: Tokenizer, source: TokenizerSource) -> processors.TemplateProcessing:
    """Return the template that encloses texts as `<s> A </s>`, and pairs as `<s> A </s></s> B </s>`, without types.

    Source: Liu et al. 2019, section 3.2.

    Raises:
        CheckpointError: the vocabulary lacks one of these tokens.
    """
    ids = require_special_ids(tokenizer, source, "cls_token", "sep_token")
    (start, _), (end, _) = ids
    return processors.TemplateProcessing(
        single=f"{start} $A {end}", pair=f"{start} $A {end} {end} $B {end}", special_tokens=ids
    )

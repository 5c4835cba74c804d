"""The settings beside the vocabulary of a tokenizer, and the tokens that they declare.

Both are read as transformers does: the tokens of `tokenizer_config.json: added_tokens_decoder` count, else those of
`added_tokens.json` and the settings of `special_tokens_map.json`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models.codecs.text.tokenizer_classes import SETTINGS_FILE
from models.errors import CheckpointError
from models.json_files import read_json
from models.published_tokenizer import DeclaredToken

SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE = "special_tokens_map.json", "added_tokens.json"
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The roles of special tokens, in the order in which the library adds those that a vocabulary lacks."""
LISTS = ("additional_special_tokens", "extra_special_tokens")
"""Keys of lists, or of dictionaries by name, of further special tokens."""

_SPECIAL = {"special": True, "normalized": False}
_OPTIONS = ("lstrip", "rstrip", "single_word", "normalized", "special")


def read_tokenizer_settings(folder: Path, name: str) -> dict[str, Any]:
    """Return the settings that the folder's files have and that are not null; special tokens keep their options.

    Raises:
        CheckpointError: a file is damaged.
    """
    settings = _read(folder, name, SETTINGS_FILE)
    if "added_tokens_decoder" in settings:
        return settings
    special = _read(folder, name, SPECIAL_TOKENS_FILE)
    for key in LISTS:
        if isinstance(special.get(key), list) and isinstance(settings.get(key), list):
            special[key] = [*settings[key], *(token for token in special[key] if token not in settings[key])]
    return settings | special


def contents_of_special_tokens(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the text of each special token in place of the token with its options."""
    return {
        key: value.get("content") if key.endswith("_token") and isinstance(value, dict) else value
        for key, value in settings.items()
    }


def declared_tokens(
    folder: Path,
    name: str,
    settings: Mapping[str, Any],
    defaults: Mapping[str, str],
    *,
    has_tokenizer_file: bool,
) -> tuple[DeclaredToken, ...]:
    """Return the tokens that the folder declares beside the vocabulary, in the order in which they are added.

    Args:
        folder: the folder of the checkpoint.
        name: the checkpoint's name, for errors.
        settings: its settings, as `read_tokenizer_settings` returns them.
        defaults: the special tokens of the tokenizer class.
        has_tokenizer_file: whether `tokenizer.json` is read, whose options of tokens count above most others.

    Raises:
        CheckpointError: a token is not declared as the library declares it.
    """
    special = list(_special_tokens(name, settings, defaults, replaces=not has_tokenizer_file))
    if "added_tokens_decoder" in settings:
        numbered = _of_decoder(name, settings["added_tokens_decoder"])
    else:
        names = {token.content for token in special if not token.is_default}
        numbered = _of_file(folder, name, names, replaces=not has_tokenizer_file)
    contents = {token.content for token in numbered}
    return (*numbered, *(token for token in special if token.content not in contents))


def _read(folder: Path, name: str, file: str) -> dict[str, Any]:
    content = read_json(folder, name, file) if (folder / file).exists() else {}
    return {key: value for key, value in content.items() if value is not None}


def _of_decoder(name: str, content: Any) -> list[DeclaredToken]:
    """Return the tokens of `added_tokens_decoder`, which maps ids to tokens with options, by id."""
    if not isinstance(content, dict) or not all(key.isdecimal() for key in content):
        raise CheckpointError(f"{name}/{SETTINGS_FILE}: added_tokens_decoder must map ids to tokens")
    numbered = sorted(((int(key), value) for key, value in content.items()), key=lambda item: item[0])
    tokens: list[DeclaredToken] = []
    for token_id, value in numbered:
        token, options = _read_token(name, value)
        tokens.append(
            DeclaredToken(content=token, file=SETTINGS_FILE, token_id=token_id, options=options, replaces=True)
        )
    return tokens


def _of_file(folder: Path, name: str, special: set[str], *, replaces: bool) -> list[DeclaredToken]:
    """Return the tokens of `added_tokens.json`, which maps tokens to ids, by id."""
    content = _read(folder, name, ADDED_TOKENS_FILE)
    if not all(type(token_id) is int and token_id >= 0 for token_id in content.values()):
        raise CheckpointError(f"{name}/{ADDED_TOKENS_FILE} must map tokens to ids")
    return [
        DeclaredToken(
            content=token,
            file=ADDED_TOKENS_FILE,
            token_id=token_id,
            options={"special": token in special, "normalized": token not in special},
            replaces=replaces,
        )
        for token, token_id in sorted(content.items(), key=lambda item: item[1])
    ]


def _special_tokens(
    name: str, settings: Mapping[str, Any], defaults: Mapping[str, str], *, replaces: bool
) -> Iterator[DeclaredToken]:
    """Yield the special tokens: those with a role, those with another name, then those of lists."""
    others = sorted(key for key in settings if key.endswith("_token") and key not in ROLES and _is_token(settings[key]))
    for key in (*ROLES, *others):
        if key in settings:
            yield _special_token(name, settings[key], replaces=replaces)
        elif key in defaults:
            yield DeclaredToken(content=defaults[key], file=SETTINGS_FILE, options=_SPECIAL, is_default=True)
    for key in LISTS:
        values = settings.get(key, [])
        if not isinstance(values, (list, dict)):
            raise CheckpointError(f"{name}/{SETTINGS_FILE}: {key} is {values!r}; it must be a list or an object")
        for value in values.values() if isinstance(values, dict) else values:
            yield _special_token(name, value, replaces=replaces)


def _special_token(name: str, value: Any, *, replaces: bool) -> DeclaredToken:
    content, given = _read_token(name, value)
    options = {**_SPECIAL, **given, "special": True}
    return DeclaredToken(content=content, file=SETTINGS_FILE, options=options, replaces=replaces and bool(given))


def _read_token(name: str, value: Any) -> tuple[str, dict[str, bool]]:
    """Return the text and the options of a token, which a file writes as a text, or as an object with both."""
    content = value if isinstance(value, str) else value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, str) or not content:
        reason = "it must be a text, or an object with `content`"
        raise CheckpointError(f"{name}/{SETTINGS_FILE}: {value!r} is no token: {reason}")
    given = value if isinstance(value, dict) else {}
    return content, {key: bool(given[key]) for key in _OPTIONS if key in given}


def _is_token(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and "content" in value)

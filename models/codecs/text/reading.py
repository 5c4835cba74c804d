"""Reading the tokenizer of a checkpoint: `tokenizer.json`, or the older files of its family."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from models.codecs.text.codec import TextCodec
from models.codecs.text.tokenizer_classes import SETTINGS_FILE, ChosenClass, choose_class, reads_same_files
from models.codecs.text.tokenizer_settings import (
    contents_of_special_tokens,
    declared_tokens,
    read_tokenizer_settings,
)
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.errors import CheckpointError
from models.published_tokenizer import EncodingSettings, TokenizerDefaults, TokenizerSource

TOKENIZER_FILE = "tokenizer.json"
SIDES = ("right", "left")


def read_text_codec(
    folder: Path,
    name: str,
    defaults: TokenizerDefaults,
    *,
    max_tokens: int,
    lowercase: bool = False,
    config: Mapping[str, Any] | None = None,
    others: Sequence[TokenizerDefaults] = (),
) -> TextCodec:
    """Return the codec of a checkpoint of texts.

    Args:
        folder: the checkpoint's folder.
        name: the checkpoint's name, for errors.
        defaults: the defaults of the checkpoint's family.
        max_tokens: the maximum number of tokens of a text.
        lowercase: whether texts are converted to lower case before anything else.
        config: the content of `config.json`, which may name the tokenizer class.
        others: the defaults of other families, whose tokenizer class the checkpoint may name.

    Raises:
        CheckpointError: the tokenizer is missing, damaged or of an unknown class, or its files contradict each other.
    """
    settings = read_tokenizer_settings(folder, name)
    chosen = choose_class(settings, config or {}, defaults, name)
    defaults = _defaults_of_class(chosen, defaults, others)
    has_tokenizer_file = _reads_tokenizer_file(folder, name, chosen, defaults)
    class_tokens = defaults.special_tokens if chosen.name == defaults.class_name else {}
    source = TokenizerSource(
        folder=folder,
        name=name,
        settings={**defaults.special_tokens, **contents_of_special_tokens(settings)},
        max_tokens=max_tokens,
        lowercase=lowercase,
        has_target=defaults.has_target,
        declared_tokens=declared_tokens(folder, name, settings, class_tokens, has_tokenizer_file=has_tokenizer_file),
        encoding=_read_encoding(name, settings, chosen, defaults),
    )
    try:
        if has_tokenizer_file:
            tokenizer = chosen.apply(Tokenizer.from_buffer(source.read(TOKENIZER_FILE)), settings, name)
            return TokenizersCodec.of_checkpoint(tokenizer, source)
        return _read_older_files(source, chosen, defaults)
    except CheckpointError:
        raise
    except Exception as error:  # `tokenizers` and `sentencepiece` raise no narrower ones
        raise CheckpointError(f"{name}: the tokenizer is not readable: {error}") from error


def _defaults_of_class(
    chosen: ChosenClass, family: TokenizerDefaults, others: Sequence[TokenizerDefaults]
) -> TokenizerDefaults:
    """Return the defaults of the class that the folder names, which may be another family's; else the family's."""
    candidates = [other for other in (family, *others) if other.has_target == family.has_target]
    found = next((other for other in candidates if reads_same_files(chosen, other)), family)
    return replace(found, takes_types=family.takes_types)


def _reads_tokenizer_file(folder: Path, name: str, chosen: ChosenClass, defaults: TokenizerDefaults) -> bool:
    """Return whether `tokenizer.json` is read, and not the older files.

    Raises:
        CheckpointError: both are missing.
    """
    has_older_files = all((folder / file).exists() for file in defaults.files)
    is_ignored = chosen.ignores_tokenizer_file and (has_older_files or chosen.is_named)
    if not is_ignored and (folder / TOKENIZER_FILE).exists():
        return True
    if not has_older_files:
        files = " and ".join(defaults.files)
        raise CheckpointError(f"{name} has no tokenizer: {TOKENIZER_FILE}, or {files}, is missing")
    return False


def _read_older_files(source: TokenizerSource, chosen: ChosenClass, defaults: TokenizerDefaults) -> TextCodec:
    chosen.check_older_files(defaults, source.name)
    codec: TextCodec = defaults.read(source)
    return codec


def _read_encoding(
    name: str, settings: Mapping[str, Any], chosen: ChosenClass, defaults: TokenizerDefaults
) -> EncodingSettings:
    side = settings.get("truncation_side", SIDES[0])
    if side not in SIDES:
        raise CheckpointError(f"{name}/{SETTINGS_FILE}: truncation_side is {side!r}; it must be one of {SIDES}")
    return EncodingSettings(
        class_name=chosen.name,
        has_types=chosen.has_types(settings, defaults, name),
        truncates_left=side == "left",
        splits_special_tokens=settings.get("split_special_tokens", False),
        cleans_up_spaces=settings.get("clean_up_tokenization_spaces", False),
    )

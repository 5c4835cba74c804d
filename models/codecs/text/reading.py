"""Reading the tokenizer of a checkpoint: `tokenizer.json`, or the older files of its family."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from models.codecs.text.codec import TextCodec
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.errors import CheckpointError
from models.json_files import read_json
from models.published import TokenizerDefaults, TokenizerSource

TOKENIZER_FILE = "tokenizer.json"
SETTINGS_FILES = ("special_tokens_map.json", "tokenizer_config.json")
"""Files with the settings of a tokenizer; the values of the later file count."""


def read_text_codec(
    folder: Path, name: str, defaults: TokenizerDefaults, *, max_tokens: int, lowercase: bool = False
) -> TextCodec:
    """Return the codec of a checkpoint of texts.

    Args:
        folder: the checkpoint's folder.
        name: the checkpoint's name, for errors.
        defaults: the defaults of the checkpoint's family.
        max_tokens: the maximum number of tokens of a text.
        lowercase: whether texts are converted to lower case before anything else.

    Raises:
        CheckpointError: the tokenizer is missing or damaged.
    """
    source = TokenizerSource(
        folder=folder,
        name=name,
        settings=_read_settings(folder, name, defaults.special_tokens),
        max_tokens=max_tokens,
        lowercase=lowercase,
        has_target=defaults.has_target,
    )
    has_tokenizer_file = (folder / TOKENIZER_FILE).exists()
    if not has_tokenizer_file and not all((folder / file).exists() for file in defaults.files):
        files = " and ".join(defaults.files)
        raise CheckpointError(f"{name} has no tokenizer: {TOKENIZER_FILE}, or {files}, is missing")
    try:
        if has_tokenizer_file:
            return TokenizersCodec.of_checkpoint(Tokenizer.from_file(str(folder / TOKENIZER_FILE)), source)
        codec: TextCodec = defaults.read(source)
    except CheckpointError:
        raise
    except Exception as error:  # `tokenizers` and `sentencepiece` raise no narrower ones
        raise CheckpointError(f"{name}: the tokenizer is not readable: {error}") from error
    return codec


def _read_settings(folder: Path, name: str, special_tokens: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the folder's files, and the default of each special token that they do not name."""
    settings: dict[str, Any] = dict(special_tokens)
    for file in SETTINGS_FILES:
        if (folder / file).exists():
            content = read_json(folder, name, file)
            settings |= {key: value for key, value in content.items() if value is not None}
    for key, value in settings.items():
        if key.endswith("_token") and isinstance(value, dict):  # a token with its options
            settings[key] = value.get("content")
    return settings

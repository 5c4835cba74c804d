"""The kind of a request's inputs, by which the default model is chosen where a request names none."""

import base64
import binascii
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

from app.errors import Fault, InvalidRequest
from app.registry.defaults import Kind
from models.sounds.files import is_sound_file

_DATA_URL_PATTERN = re.compile(r"\s*data:(image/|audio/|[^\s,]*;base64,)", re.IGNORECASE)
_SOUND_URL_PATTERN = re.compile(r"\s*data:audio/", re.IGNORECASE)
_BASE64_PATTERN = re.compile(r"[\w+/-]{8,}", re.ASCII)
_LINE_BREAK_PATTERN = re.compile(r"\s*[\r\n]\s*")
N_LOOKED_AT = 4096
"""Number of inputs that are looked at, at most; there may be millions of numbers."""
N_PREFIX_CHARACTERS = 64
"""Number of characters of a string that are looked at; a multiple of 4, so that they are base64 by themselves."""
TEXT_KEYS = {"text", "text_pair"}
"""Members of an object that is a text, or a pair of texts."""
SIGNATURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
"""First bytes of images, also of formats that are refused: such a string is not meant as a text."""

_NAMES: dict[Kind, str] = {"image": "encoded images", "sound": "files of sound", "text": "texts"}
"""What errors call the inputs of each kind that is seen at once."""


def kind_of_inputs(inputs: Any, kinds: Sequence[Kind]) -> Kind:
    """Return the kind of a request's inputs, among those that the task takes.

    A string that is a `data:` URL or base64 of an image or of a sound is such a file, any other string a text; so is an
    object of `text` and perhaps `text_pair`, or a list of words with null for some. Anything else is an item, also a
    list of integers, which could be the ids of tokens. The inputs are texts if one of the first `N_LOOKED_AT` is.

    Raises:
        InvalidRequest: some of the inputs are texts, others encoded images, or others files of sound.
    """
    if len(kinds) == 1:
        return kinds[0]
    found = {
        _kind_of(value, kinds) for value in (islice(inputs, N_LOOKED_AT) if isinstance(inputs, list) else [inputs])
    }
    named = [name for kind, name in _NAMES.items() if kind in found]
    if len(named) > 1:
        detail = f"some are {' and some are '.join(named)}; send either, or name the model"
        raise InvalidRequest.of([Fault("/inputs", detail)])
    return next((kind for kind in _NAMES if kind in found), "item")


def _kind_of(value: Any, kinds: Sequence[Kind]) -> Kind:
    if isinstance(value, bytes):
        return "sound" if "sound" in kinds and is_sound_file(value) else "image"
    if isinstance(value, str):
        file = kind_of_file(value)
        if file == "sound" and "sound" in kinds:
            return "sound"
        is_file = file == "image" or _DATA_URL_PATTERN.match(value) is not None
        return "text" if "text" in kinds and not is_file else "image"
    is_text_object = isinstance(value, dict) and "text" in value and value.keys() <= TEXT_KEYS  # no row of a table
    return "text" if "text" in kinds and (is_text_object or _is_word_list(value)) else "item"


def _is_word_list(value: Any) -> bool:
    """Return whether a value is a list of words, some of which may be unknown, as far as its beginning tells."""
    beginning = value[:N_LOOKED_AT] if isinstance(value, list) else []
    # most lists are of numbers, and end the first loop at once
    return all(isinstance(word, str | None) for word in beginning) and any(isinstance(word, str) for word in beginning)


def kind_of_file(text: str) -> Literal["image", "sound"] | None:
    """Return what file a string is a `data:` URL or base64 of, as far as its beginning tells; None if it is no file.

    A `data:` URL that names no sound counts as an image.
    """
    if _DATA_URL_PATTERN.match(text):
        return "sound" if _SOUND_URL_PATTERN.match(text) else "image"
    prefix = _LINE_BREAK_PATTERN.sub("", text[: 4 * N_PREFIX_CHARACTERS].strip())[:N_PREFIX_CHARACTERS].rstrip("=")
    if not _BASE64_PATTERN.fullmatch(prefix):
        return None
    whole = prefix[: len(prefix) // 4 * 4].translate({ord("-"): "+", ord("_"): "/"})
    try:
        data = base64.b64decode(whole, validate=True)
    except binascii.Error:
        return None
    if is_sound_file(data):
        return "sound"
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    is_bitmap = data[:2] == b"BM" and data[6:10] == bytes(4)
    return "image" if data.startswith(SIGNATURES) or is_webp or is_bitmap else None

"""Strings that hold bytes: base64, and `data:` URLs.

Source: RFC 4648, section 4, and RFC 2397, with the rules of RFC 3986 for schemes, percent-encoding and fragments.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote_to_bytes

from models.cancellation import stop_if_abandoned

_SCHEME = "data:"
_BASE64_PATTERN = re.compile(r";\s*base64\s*$", re.IGNORECASE)
_WHITE_SPACE = str.maketrans("", "", " \t\r\n\f")
MAX_HEAD_CHARACTERS = 2**12
"""Maximum number of characters before the comma of a `data:` URL."""
PART_CHARACTERS = 2**18
"""Number of characters that are decoded at once, in less than a millisecond; a multiple of 4."""
_ESCAPE_CHARACTERS = 3


def bytes_of_string(value: str) -> bytes:
    """Return the bytes that a string holds: the data of a `data:` URL, or those that it encodes in base64.

    The scheme and `;base64` may be in upper case, and white space may be around the URL and around `base64`. The media
    type and its parameters are not looked at, because the bytes themselves show what they are. The data may be
    percent-encoded, and need not be in base64. Long strings are decoded in parts.

    Raises:
        ValueError: the string is neither; the message says why.
    """
    url = value.strip()
    if url[: len(_SCHEME)].lower() != _SCHEME:
        return decode_base64(value)
    comma = url.find(",")
    if comma < 0:
        raise ValueError("a data: URL has a comma before its data (RFC 2397)")
    if comma > MAX_HEAD_CHARACTERS:
        raise ValueError(f"its comma comes after {comma} characters; the limit is {MAX_HEAD_CHARACTERS}")
    head, data = url[len(_SCHEME) : comma], url[comma + 1 :].partition("#")[0]
    if not _BASE64_PATTERN.search(head):
        return b"".join(_unquoted_parts(data))
    if "%" in data:
        data = "".join(part.decode("latin-1") for part in _unquoted_parts(data))
    return decode_base64(data)


def _unquoted_parts(text: str) -> Iterator[bytes]:
    """Yield the bytes of a text whose bytes may be written as `%41`, part by part."""
    start = 0
    while start < len(text):
        stop_if_abandoned()
        end = start + PART_CHARACTERS
        last_percent = text.rfind("%", start, end)
        if end < len(text) and last_percent > end - _ESCAPE_CHARACTERS:
            end = last_percent
        yield unquote_to_bytes(text[start:end])
        start = end


def decode_base64(text: str) -> bytes:
    """Return the bytes that a text in base64 encodes. White space between its characters is ignored (RFC 2045, 6.8).

    Raises:
        ValueError: the text has other characters, or its padding is missing or misplaced.
    """
    with suppress(ValueError):
        if len(text) <= PART_CHARACTERS:
            return base64.b64decode(text, validate=True)
    decoded: list[bytes] = []
    rest, n_characters = "", 0
    for start in range(0, len(text), PART_CHARACTERS):
        stop_if_abandoned()
        part = rest + text[start : start + PART_CHARACTERS].translate(_WHITE_SPACE)
        n_whole = max(0, len(part) - 1) // 4 * 4  # the last 1 to 4 characters may have padding, unless others follow
        if "=" in part[:n_whole]:
            raise ValueError("its padding is not at its end")
        decoded.append(_decode_part(part[:n_whole], n_characters + n_whole))
        rest, n_characters = part[n_whole:], n_characters + n_whole
    return b"".join([*decoded, _decode_part(rest, n_characters + len(rest))])


def _decode_part(text: str, n_characters: int) -> bytes:
    """Decode a part of a text, at whose end `n_characters` of the text have been decoded."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(_fault(text, n_characters)) from None


def _fault(text: str, n_characters: int) -> str:
    """Say why a text of so many characters, without white space, is not base64, as this part of it shows."""
    unknown = {
        character for character in text if not (character.isascii() and (character.isalnum() or character in "+/="))
    }
    if unknown and unknown <= {"-", "_"}:
        return "it has - or _, which belong to base64url; base64 has + and / instead (RFC 4648, section 4)"
    if unknown:
        return f"{min(unknown)!r} is not a character of base64"
    if n_characters % 4:
        return f"it has {n_characters} characters, which is not a multiple of 4: padding or data are missing"
    return "its padding is not at its end"

"""Strings that hold bytes: base64, and `data:` URLs.

Source: RFC 4648, section 4, and RFC 2397, with the rules of RFC 3986 for schemes, percent-encoding and fragments.
"""

import base64
import re
from contextlib import suppress
from urllib.parse import unquote, unquote_to_bytes

_SCHEME = "data:"
_BASE64_PATTERN = re.compile(r";\s*base64\s*$", re.IGNORECASE)
_WHITE_SPACE = str.maketrans("", "", " \t\r\n\f")


def bytes_of_string(value: str) -> bytes:
    """Return the bytes that a string holds: the data of a `data:` URL, or those that it encodes in base64.

    The scheme and `;base64` may be in upper case, and white space may be around the URL and around `base64`. The media
    type and its parameters are not looked at, because the bytes themselves show what they are. The data may be
    percent-encoded, and need not be in base64.

    Raises:
        ValueError: the string is neither; the message says why.
    """
    url = value.strip()
    if url[: len(_SCHEME)].lower() != _SCHEME:
        return decode_base64(value)
    head, comma, data = url[len(_SCHEME) :].partition(",")
    if not comma:
        raise ValueError("a data: URL has a comma before its data (RFC 2397)")
    data = data.partition("#")[0]
    if not _BASE64_PATTERN.search(head):
        return unquote_to_bytes(data)
    return decode_base64(unquote(data, "latin-1") if "%" in data else data)


def decode_base64(text: str) -> bytes:
    """Return the bytes that a text in base64 encodes. White space between its characters is ignored (RFC 2045, 6.8).

    Raises:
        ValueError: the text has other characters, or its padding is missing or misplaced.
    """
    with suppress(ValueError):
        return base64.b64decode(text, validate=True)
    compact = text.translate(_WHITE_SPACE)
    try:
        return base64.b64decode(compact, validate=True)
    except ValueError:
        raise ValueError(_fault(compact)) from None


def _fault(text: str) -> str:
    """Say why a text without white space is not base64."""
    unknown = {
        character for character in text if not (character.isascii() and (character.isalnum() or character in "+/="))
    }
    if unknown and unknown <= {"-", "_"}:
        return "it has - or _, which belong to base64url; base64 has + and / instead (RFC 4648, section 4)"
    if unknown:
        return f"{min(unknown)!r} is not a character of base64"
    if len(text) % 4:
        return f"it has {len(text)} characters, which is not a multiple of 4: padding or data are missing"
    return "its padding is not at its end"

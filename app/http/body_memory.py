"""How much memory the values of a body take, estimated from its bytes before they are parsed."""

import numpy as np

from app.concurrency.request_memory import claim_memory

SMALL_BODY_BYTES = 2**12
"""Length in bytes of the longest body whose values are claimed together with what is made of them."""
MAX_UNCOUNTED_BYTES = 2**16
"""Length in bytes of the longest body whose values are not counted before they are parsed."""
MAX_PARSED = 32
"""Most bytes of memory for a byte of JSON, as in `[[0],[0]]`; measured, while it is parsed."""
MAX_EXPANSION = MAX_PARSED + 24
"""Most bytes of memory for a byte of a small body, with the arrays that are made of it."""
ROW_BYTES_PER_BYTE = 64
"""Most memory for a byte of CSV that becomes objects of the columns' names and values."""
VALUE_BYTES = 64
"""A value of JSON: 8 bytes of its list, or more of its object, which doubles as it grows, and up to 40 of its own."""
TEXT_BYTES, LIST_BYTES, OBJECT_BYTES = 64, 128, 256
"""What a text takes besides, which may be a name; and a short list and a short object with their first value."""
COPIES = {True: 2, False: 5}
"""Bytes for a byte of JSON that are there while it is parsed: the parser's copy, and texts, which take 4 bytes a
character if one of them is beyond the 65,536 most usual ones; by whether all are ASCII."""
_COMMA, _QUOTE, _BRACKET, _BRACE = b',"[{'


def claim_parsing(data: bytes) -> None:
    """Claim the memory that the values of a body in JSON take while they are parsed, unless the body is small.

    Raises:
        PayloadTooLarge, MemoryExhausted: there is not as much.
    """
    if len(data) > SMALL_BODY_BYTES:
        claim_memory(len(data) * MAX_PARSED if len(data) <= MAX_UNCOUNTED_BYTES else parsed_json_bytes(data))


def parsed_json_bytes(data: bytes) -> int:
    """Return the most memory that the values of a body in JSON take while they are parsed, in bytes.

    What it counts may also stand in texts, which makes the estimate higher. A megabyte takes about a millisecond.
    """
    characters = np.frombuffer(data, np.uint8)
    sizes = {_COMMA: VALUE_BYTES, _QUOTE: TEXT_BYTES // 2, _BRACKET: LIST_BYTES, _BRACE: OBJECT_BYTES}
    n_bytes = sum(int(np.count_nonzero(characters == each)) * size for each, size in sizes.items())
    return n_bytes + len(data) * COPIES[data.isascii()]

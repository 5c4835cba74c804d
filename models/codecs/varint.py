"""Integers of variable length, seven bits a byte, the lowest first (LEB128, as in protocol buffers)."""


def encode_varint(number: int) -> bytes:
    """Return the bytes of a number that is not negative."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*encoded, number))


def decode_varint(data: bytes | memoryview, start: int, *, max_bytes: int) -> tuple[int, int]:
    """Return the number that begins at index `start`, and the index after its last byte.

    Raises:
        ValueError: the data ends within the number, or the number has more than `max_bytes` bytes.
    """
    number = 0
    for place, byte in enumerate(data[start : start + max_bytes]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, start + place + 1
    raise ValueError(f"no number of at most {max_bytes} bytes begins at byte {start}")

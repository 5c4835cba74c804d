"""The container of compressed items.

It consists of the bytes `MFLD`, one byte each for the version, the mode and the bits (of sounds, the number of
codebooks), the digest of the model, the number of items, the rank and the sides of their shape, the payload and a
checksum. The number of items and the shape are varints (LEB128). The payload is 32-bit words, little-endian. The
checksum is the CRC-32 of all bytes before it, which detects any single damaged byte.
"""

import zlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from models.codecs.varint import decode_varint, encode_varint
from models.errors import InvalidItems, Problem

MAGIC = b"MFLD"
VERSION = 1
DIGEST_BYTES = 8
HEAD_BYTES = len(MAGIC) + 3 + DIGEST_BYTES
"""Number of bytes before the first varint."""
CHECKSUM_BYTES = 4
MAX_VARINT_BYTES = 5
MAX_RANK = 8


class Mode(IntEnum):
    """How the payload encodes the items."""

    QUANTISED = 0
    LOSSLESS = 1
    CODES = 2
    ADAPTIVE_CODES = 3


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The content of a container.

    Attributes:
        mode: how the payload encodes the items.
        bits: number of bits into which each element of a latent is quantised; of sounds, the number of codebooks.
        digest: digest of the model that made the stream.
        n_items: number of items.
        shape: shape of each item.
        words: the payload.
    """

    mode: Mode
    bits: int
    digest: bytes
    n_items: int
    shape: tuple[int, ...]
    words: NDArray[np.uint32]

    def to_bytes(self) -> bytes:
        """Return the container."""
        numbers = (self.n_items, len(self.shape), *self.shape)
        head = MAGIC + bytes((VERSION, self.mode, self.bits)) + self.digest + b"".join(map(encode_varint, numbers))
        content = head + self.words.astype("<u4").tobytes()
        return content + zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little")


def parse_stream(data: bytes, *, digest: bytes) -> Stream:
    """Read a container that the model with this digest has made.

    Raises:
        InvalidItems: the data are not a container, are damaged or truncated, have another version, or are of another
            model.
    """
    if len(data) < HEAD_BYTES + CHECKSUM_BYTES or data[: len(MAGIC)] != MAGIC:
        raise InvalidItems(
            Problem(f"the {len(data)} bytes are no stream of this server: they do not begin with {MAGIC.decode()}")
        )
    content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little") != checksum:
        raise InvalidItems(Problem("the stream is damaged or cut short: its checksum does not agree"))
    version, mode, bits = content[len(MAGIC) : len(MAGIC) + 3]
    made_by = content[len(MAGIC) + 3 : HEAD_BYTES]
    if version != VERSION:
        raise InvalidItems(Problem(f"the stream is of version {version}; this server reads {VERSION}"))
    if made_by != digest:
        raise InvalidItems(
            Problem(f"the stream was made by another model: its digest is {made_by.hex()}, here it is {digest.hex()}")
        )
    try:
        n_items, shape, offset = _read_sizes(content)
        words = np.frombuffer(content, dtype="<u4", offset=offset)
        return Stream(
            mode=Mode(mode),
            bits=bits,
            digest=made_by,
            n_items=n_items,
            shape=shape,
            words=words.astype(np.uint32),
        )
    except ValueError:
        raise InvalidItems(Problem("the stream's header makes no sense")) from None


def declared_n_items(data: bytes) -> int:
    """Return the number of items that an unchecked container declares, or 0 if it cannot be read."""
    try:
        return decode_varint(data, HEAD_BYTES, max_bytes=MAX_VARINT_BYTES)[0]
    except ValueError:
        return 0


def declared_shape(data: bytes) -> tuple[int, ...]:
    """Return the shape of an item that an unchecked container declares; of no sides if it cannot be read."""
    try:
        return _read_sizes(data)[1]
    except ValueError:
        return ()


def _read_sizes(content: bytes) -> tuple[int, tuple[int, ...], int]:
    """Return the number of items, their shape, and the place of the payload.

    Raises:
        ValueError: the content ends before, or a number is too long.
    """
    n_items, offset = decode_varint(content, HEAD_BYTES, max_bytes=MAX_VARINT_BYTES)
    rank, offset = decode_varint(content, offset, max_bytes=MAX_VARINT_BYTES)
    shape = []
    for _ in range(min(rank, MAX_RANK)):
        side, offset = decode_varint(content, offset, max_bytes=MAX_VARINT_BYTES)
        shape.append(side)
    return n_items, tuple(shape), offset

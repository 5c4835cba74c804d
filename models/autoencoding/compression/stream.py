"""The container of compressed items: `magic version mode bits digest n_items rank shape… payload checksum`.

Integers of variable length are LEB128; the payload is 32-bit words, little-endian; the checksum is CRC-32 of all that
goes before it, so that no single damaged byte passes.
"""

import zlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from models.codecs.varint import decode_varint, encode_varint
from models.errors import InvalidItems, Problem
from models.family import DIGEST_BYTES

MAGIC = b"MFLD"


VERSION = 1


_FIXED = len(MAGIC) + 3 + DIGEST_BYTES


_CHECKSUM_BYTES = 4
_MAX_VARINT_BYTES = 5


class Mode(IntEnum):
    """How the payload was made."""

    QUANTISED = 0
    BITS_BACK = 1


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What a container holds. `shape` is that of each of its `n_items`."""

    mode: Mode
    bits: int
    digest: bytes
    n_items: int
    shape: tuple[int, ...]
    words: NDArray[np.uint32]

    def to_bytes(self) -> bytes:
        """The container."""
        numbers = (self.n_items, len(self.shape), *self.shape)
        head = MAGIC + bytes((VERSION, self.mode, self.bits)) + self.digest + b"".join(map(encode_varint, numbers))
        content = head + self.words.astype("<u4").tobytes()
        return content + zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little")


def parse(data: bytes, *, digest: bytes) -> Stream:
    """Read a container of the model with that digest.

    Raises:
        InvalidItems: it is none, is damaged or cut short, of another version, or made by another model.
    """
    if len(data) < _FIXED + _CHECKSUM_BYTES or data[: len(MAGIC)] != MAGIC:
        raise _refused(f"the {len(data)} bytes are no stream of this server: they do not begin with {MAGIC.decode()}")
    content, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little") != checksum:
        raise _refused("the stream is damaged or cut short: its checksum does not agree")
    version, mode, bits = content[len(MAGIC) : len(MAGIC) + 3]
    made_by = content[len(MAGIC) + 3 : _FIXED]
    if version != VERSION:
        raise _refused(f"the stream is of version {version}; this server reads {VERSION}")
    if made_by != digest:
        raise _refused(
            f"the stream was made by another model: its digest is {made_by.hex()}, here it is {digest.hex()}"
        )
    try:
        n_items, at = decode_varint(content, _FIXED, max_bytes=_MAX_VARINT_BYTES)
        rank, at = decode_varint(content, at, max_bytes=_MAX_VARINT_BYTES)
        shape = []
        for _ in range(min(rank, 8)):
            side, at = decode_varint(content, at, max_bytes=_MAX_VARINT_BYTES)
            shape.append(side)
        words = np.frombuffer(content, dtype="<u4", offset=at)
        return Stream(
            mode=Mode(mode),
            bits=bits,
            digest=made_by,
            n_items=n_items,
            shape=tuple(shape),
            words=words.astype(np.uint32),
        )
    except (ValueError, IndexError):
        raise _refused("the stream's header makes no sense") from None


def n_items_of(data: bytes) -> int:
    """How many items a container says that it has; 0 where it makes no sense, which `parse` tells."""
    try:
        return decode_varint(data, _FIXED, max_bytes=_MAX_VARINT_BYTES)[0]
    except (ValueError, IndexError):
        return 0


def _refused(detail: str) -> InvalidItems:
    return InvalidItems(Problem(detail))

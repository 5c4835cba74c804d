"""A limit on EXIF data, which Pillow copies for each of their entries.

Entries may lie about their place and their length, so that a few thousand of them in a small file would become copies
of gigabytes. Source: TIFF 6.0, section 2.
"""

import struct

from models.errors import InvalidItems, Problem
from models.pictures.header import MAX_EXIF_BYTES

MAX_OVERLAP = 4
"""How many times the length of EXIF data all of their entries may have together."""
_UNIT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Size in bytes of a value, by the type of an entry."""
_FOLDERS = (0x8769, 0x8825, 0xA005)
"""Tags of entries that point to further entries."""


def check_exif(exif: bytes) -> int:
    """Check that EXIF data, with or without `Exif` before them, take little time and memory to read.

    Whether they make sense is not checked; damaged data are ignored later.

    Returns:
        The number of their entries.

    Raises:
        InvalidItems: they are longer than `MAX_EXIF_BYTES`, or say of themselves that they are.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    if len(tiff) > MAX_EXIF_BYTES:
        raise InvalidItems(Problem(f"the EXIF data of the image have {len(tiff)} bytes; the limit is {MAX_EXIF_BYTES}"))
    if len(tiff) < 8 or tiff[:2] not in (b"II", b"MM"):
        return 0
    order = "<" if tiff[:2] == b"II" else ">"
    folders, seen = list(struct.unpack_from(f"{order}I", tiff, 4)), set[int]()
    n_claimed = n_all = 0
    while folders and len(seen) <= len(_FOLDERS):
        place = folders.pop()
        if place in seen or place + 2 > len(tiff):
            continue
        seen.add(place)
        (n_entries,) = struct.unpack_from(f"{order}H", tiff, place)
        n_entries = min(n_entries, (len(tiff) - place - 2) // 12)
        n_all += n_entries
        entries = tiff[place + 2 : place + 2 + 12 * n_entries]
        for tag, kind, count, value in struct.iter_unpack(f"{order}HHII", entries):
            n_claimed += min(count * _UNIT_BYTES.get(kind, 1), len(tiff))
            if tag in _FOLDERS:
                folders.append(value)
    if n_claimed > MAX_OVERLAP * len(tiff):
        raise InvalidItems(
            Problem(f"the EXIF data of the image have {len(tiff)} bytes, and their entries say {n_claimed} together")
        )
    return n_all

"""The header of JPEG files."""

import re
from dataclasses import dataclass

from models.errors import InvalidItems, Problem
from models.pictures.exif import check_exif
from models.pictures.header import (
    EXIF_ENTRY_BYTES,
    EXIF_ENTRY_US,
    Cost,
    PictureHeader,
    build_header,
    check_n_parts,
    check_size,
    unreadable,
)

JPEG_SIGNATURE = b"\xff\xd8\xff"
MAX_SCANS = 32
"""Most passes over a picture. Programs make about ten; a pass over all pixels may take only a few bytes of the file."""
_MAX_JUNK_BYTES = 2**12
"""Most bytes between segments that belong to none; Pillow skips them one by one."""
_SOF = frozenset({*range(0xC0, 0xD0), 0xDE} - {0xC4, 0xC8, 0xCC})
"""Codes of markers of the segment that has the size, as Pillow reads them."""
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_WITHOUT_LENGTH = frozenset({0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})
_WITH_LENGTH = frozenset({*range(0xC0, 0xFF)} - _WITHOUT_LENGTH)
_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_EXIF = b"Exif\0\0"
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A marker that ends the entropy-coded data of a scan. What is stuffed or restarts is none."""
_WINDOW_BYTES = 2**18
"""Number of bytes that are searched without letting other threads run."""
_SEGMENT_US = 8.0


@dataclass(slots=True)
class _Frame:
    """What the segments before the first scan say."""

    width: int = 0
    height: int = 0
    n_layers: int = 0
    samples_per_pixel: float = 0.0
    is_progressive: bool = False


def read_jpeg(data: bytes, max_pixels: int) -> PictureHeader:
    """Return the header of a JPEG file. Its scans are counted, because each is a pass over all pixels.

    Raises:
        UndecodableItems: the file is damaged.
        InvalidItems: a limit is exceeded.
    """
    frame, exif = _Frame(), [b""]
    place, n_parts = _read_segments(data, frame, exif)
    check_size(frame.width, frame.height, max_pixels)
    if frame.n_layers not in (1, 3, 4):
        raise unreadable()
    n_exif_entries = check_exif(b"".join(exif))
    n_scans, n_parts = _count_scans(data, place, n_parts)
    if n_scans > MAX_SCANS:
        raise InvalidItems(Problem(f"the image has more than {MAX_SCANS} scans, the limit; save it with fewer"))
    is_buffered = frame.is_progressive or n_scans > 1
    cost = Cost(
        pixel_bytes={1: 1, 3: 4, 4: 4}[frame.n_layers] + 2 * frame.samples_per_pixel * is_buffered,
        pixel_us=0.004 + 0.0012 * frame.samples_per_pixel + 0.0008 * (n_scans - 1),
        file_us=0.03 if is_buffered else 0.006,
        other_us=n_parts * _SEGMENT_US + 2 * n_exif_entries * EXIF_ENTRY_US,
        other_bytes=2**20 + n_exif_entries * EXIF_ENTRY_BYTES,
    )
    return build_header("JPEG", frame.width, frame.height, len(data), cost)


def _read_segments(data: bytes, frame: _Frame, exif: list[bytes]) -> tuple[int, int]:
    """Read the segments up to the first scan. Return where its data begin, and the number of segments."""
    place, n_parts, n_junk = 2, 0, 0
    while True:
        start = data.find(b"\xff", place)
        if start < 0 or start + 1 >= len(data):
            raise unreadable()
        code = data[start + 1]
        n_junk += start - place
        n_parts += 1
        check_n_parts(n_parts, "segments")
        if code in (0x00, 0xFF):
            n_junk += 1
            place = start + (2 if code == 0 else 1)
        elif code in _WITHOUT_LENGTH:
            place = start + 2
        elif code in _WITH_LENGTH:
            place = _end_of_segment(data, start)
            segment = data[start + 4 : place]
            if code in _SOF:
                _read_frame(segment, code, frame)
            elif code == _APP1 and segment.startswith(_EXIF):
                exif.append(segment.removeprefix(_EXIF))
            elif code == _SOS:
                return place, n_parts
        else:
            raise unreadable()
        if n_junk > _MAX_JUNK_BYTES:
            raise unreadable()


def _end_of_segment(data: bytes, start: int) -> int:
    """Return where the segment ends whose marker is at `start`."""
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    if length < 2 or start + 2 + length > len(data):
        raise unreadable()
    return start + 2 + length


def _read_frame(segment: bytes, code: int, frame: _Frame) -> None:
    if len(segment) < 6 or segment[0] != 8:
        raise unreadable()
    frame.height, frame.width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    frame.n_layers = segment[5]
    frame.is_progressive = code in _PROGRESSIVE
    factors = [((each >> 4) or 1, (each & 15) or 1) for each in segment[7 : 6 + 3 * frame.n_layers : 3]]
    most = max((h for h, _ in factors), default=1) * max((v for _, v in factors), default=1)
    frame.samples_per_pixel = sum(h * v for h, v in factors) / most


def _count_scans(data: bytes, place: int, n_parts: int) -> tuple[int, int]:
    """Return the number of scans from the first one on, whose data begin at `place`, and that of all segments.

    More than `MAX_SCANS` are not counted. What follows the end of the picture, such as a second one, is not decoded.
    """
    n_scans = 1
    while n_scans <= MAX_SCANS and place < len(data):
        end = min(len(data), place + _WINDOW_BYTES)
        found = _NEXT_MARKER.search(data, place, end)
        if found is None:
            if end == len(data):
                break
            place = end - 1  # the marker may begin with the last byte
            continue
        n_parts += 1
        check_n_parts(n_parts, "segments")
        code, place = data[found.start() + 1], found.start() + 2
        if code in (_EOI, _SOI):
            break
        n_scans += code == _SOS
        if code in _WITH_LENGTH and found.start() + 4 <= len(data):
            place = max(place, found.start() + 2 + int.from_bytes(data[place : place + 2], "big"))
    return n_scans, n_parts

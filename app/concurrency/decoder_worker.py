"""The program of a process that decodes pictures, sounds and Parquet files: it receives them on a socket, one by one.

A file comes from anybody, and its decoder is written in C or C++. Therefore the process has no secrets in its
environment, may write no files, has a limit of memory and of processor time for each file, and ends with the server.
The messages are JSON and bytes; what a decoder that was taken over may send can be wrong, but is never run.
"""

import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from app.concurrency.child_processes import confine
from app.concurrency.decoder_messages import LENGTHS, begin_message
from app.concurrency.parquet_reading import TableLimits, parquet_to_lines
from models.errors import InvalidItems, UndecodableItems
from models.pictures.decoding import EncodedPicture, PictureForm, decode_picture
from models.pictures.reading import read_header
from models.sounds.files import SoundForm, read_sound

SPARE_BYTES = 2**26
"""Memory in bytes beyond the estimate of a file that the process may take."""
MAX_RESIDENT_BYTES = 2**27
"""Memory in bytes that the process may keep after a file; if it keeps more, it ends, and another one takes over."""


def main() -> None:
    """Decode files until the other end of the socket, which is the standard input, is closed."""
    confine(max_file_bytes=0)
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection:
        is_fit = True
        while is_fit and (message := receive(connection)) is not None:
            head, data = message
            answer, decoded = _answer(head, data)
            del message, data
            is_fit = answer["is_fit"] = _resident_bytes() <= MAX_RESIDENT_BYTES
            connection.sendall(begin_message(answer, len(decoded)))
            connection.sendall(decoded)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """Return the JSON and the bytes of the next message; None if there is no further one."""
    lengths = _receive_exactly(connection, LENGTHS.size)
    if lengths is None:
        return None
    n_json, n_bytes = LENGTHS.unpack(lengths)
    text, data = _receive_exactly(connection, n_json), _receive_exactly(connection, n_bytes)
    return None if text is None or data is None else (json.loads(text), data)


def _receive_exactly(connection: socket.socket, n_bytes: int) -> bytes | None:
    buffer = bytearray(n_bytes)
    view = memoryview(buffer)
    while len(view):
        n_received = connection.recv_into(view)
        if not n_received:
            return None
        view = view[n_received:]
    return bytes(buffer)


def _answer(head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode one file within its limits."""
    try:
        if "sound" in head:
            return _read_sound(head, data)
        return _read_parquet(head, data) if "table" in head else _decode_picture(head, data)
    except InvalidItems as error:
        problems = [[problem.detail, problem.parameter] for problem in error.problems]
        return {"problems": problems, "is_undecodable": isinstance(error, UndecodableItems)}, b""
    except MemoryError:
        return {"lacks_memory": True}, b""
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _limit_memory(None)


def _decode_picture(head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    header = read_header(data, head["max_pixels"])
    _limit(head, header.n_bytes)
    decoded = decode_picture(EncodedPicture(data, header), PictureForm.from_json(head["form"]))
    return {"shape": decoded.pixels.shape, "warnings": decoded.warnings}, decoded.pixels.tobytes()


def _read_sound(head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    import soxr  # noqa: F401 # both before the limit, which is for the file alone

    _limit(head, head["n_bytes"])
    return {}, read_sound(data, SoundForm(**head["sound"])).tobytes()


def _read_parquet(head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 # before the limit, which is for the file alone

    _limit(head, head["n_bytes"])
    return {}, parquet_to_lines(data, TableLimits(**head["table"]))


def _limit(head: dict[str, Any], n_bytes: int) -> None:
    """Limit the memory and the processor time of a file from now on."""
    _limit_memory(n_bytes + SPARE_BYTES)
    signal.setitimer(signal.ITIMER_PROF, head["max_ms"] / 1000)  # its signal ends the process, also within C code


def _limit_memory(n_bytes: int | None) -> None:
    """Let the process take so many bytes more than it has; without a limit if None."""
    if sys.platform != "linux":  # elsewhere, the limit does not count what is mapped
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = hard if n_bytes is None else _pages(5) * resource.getpagesize() + n_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _resident_bytes() -> int:
    return _pages(1) * resource.getpagesize() if sys.platform == "linux" else 0


def _pages(field: int) -> int:
    """Return a field of /proc/self/statm, counted from 0, in pages: 1 is resident, 5 is data."""
    return int(Path("/proc/self/statm").read_text().split()[field])


if __name__ == "__main__":
    main()

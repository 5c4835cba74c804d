"""Logging never waits for whoever reads the lines, and says how many lines that has cost."""

import fcntl
import json
import logging
import os
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app.process import log_output
from app.process.log_output import NonBlockingHandler
from app.process.logs import JsonFormatter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux opens a pipe a second time")

N_LINES = 500
TIMEOUT_S = 30


@pytest.fixture(params=["pipe", "socket", "pipe that cannot be opened again"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """The end to read from and the end to write to of a channel that takes few bytes."""
    if request.param == "socket":
        reading, writing = socket.socketpair()
        writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with reading, writing:
            yield reading.fileno(), writing.fileno()
        return
    if request.param != "pipe":
        opened = os.open

        def refuse(path: object, *arguments: int) -> int:
            if str(path).startswith("/proc/self/fd"):
                raise PermissionError
            return opened(path, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", refuse)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for descriptor in (reader, writer):
        os.close(descriptor)


@contextmanager
def logging_to(descriptor: int) -> Iterator[logging.Logger]:
    logger, handler = logging.Logger("test"), NonBlockingHandler(descriptor)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    with closing(handler):
        yield logger


def read_until(reader: int, text: str) -> list[str]:
    """Read whole lines up to one with a text."""
    data = b""
    while text.encode() not in data or not data.endswith(b"\n"):
        assert select.select([reader], [], [], TIMEOUT_S)[0], data
        data += os.read(reader, 65536)
    return [json.loads(line)["message"] for line in data.decode().splitlines()]


def numbers(messages: list[str]) -> list[int]:
    return [int(found[1]) for message in messages if (found := re.fullmatch(r"line (\d+)x*", message))]


def test_lines_that_cannot_be_written_are_kept_in_order(ends: tuple[int, int]) -> None:
    reader, writer = ends
    with logging_to(writer) as logger:
        for number in range(N_LINES):
            logger.warning("line %d%s", number, "x" * (number % 3 * 1000))
        messages = read_until(reader, f"line {N_LINES - 1}")
        assert numbers(messages) == [*range(N_LINES)]
        logger.warning("line %d", N_LINES)
        assert read_until(reader, f"line {N_LINES}") == [f"line {N_LINES}"]


def test_lines_beyond_the_limit_are_dropped_and_counted(ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "MAX_WAITING_BYTES", 20_000)
    reader, writer = ends
    with logging_to(writer) as logger:
        for number in range(N_LINES):
            logger.warning("line %d", number)
        messages = read_until(reader, "were dropped")
        (note,) = [message for message in messages if "were dropped" in message]
        kept = numbers(messages)
        assert kept == [*range(len(kept))]
        assert note.startswith(f"{N_LINES - len(kept)} lines of the log were dropped")


def test_the_flags_of_a_shared_pipe_stay_as_they_are() -> None:
    reader, writer = os.pipe()
    with logging_to(writer) as logger:
        logger.warning("a line")
    assert os.get_blocking(writer)
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_a_pipe_whose_reader_is_gone_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    with logging_to(writer) as logger:
        os.close(reader)
        for _ in range(3):
            logger.warning("a line")
        os.close(writer)
        assert capsys.readouterr().err == ""
        assert "log-writer" not in {thread.name for thread in threading.enumerate()}


def test_lines_to_a_file_are_appended_to_what_others_write_there(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file, logging_to(file.fileno()) as logger:
        file.write(b'{"message":"first"}\n')
        logger.warning("second")
        file.write(b'{"message":"third"}\n')
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["first", "second", "third"]


def test_a_full_disk_drops_lines_and_says_so_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with logging_to(writer) as logger:
        write, is_full = os.write, True

        def write_if_there_is_room(descriptor: int, data: bytes) -> int:
            if is_full:
                raise OSError(28, "No space left on device")
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", write_if_there_is_room)
        for _ in range(3):
            logger.warning("lost")
        is_full = False
        logger.warning("written")
        note, line = read_until(reader, "written")
        assert note.startswith("3 lines of the log were dropped")
        assert line == "written"
        for descriptor in (reader, writer):
            os.close(descriptor)


def test_a_line_that_cannot_be_formatted_is_named() -> None:
    reader, writer = os.pipe()
    with logging_to(writer) as logger:
        logger.warning("%d items", "many")
    (message,) = read_until(reader, "formatted")
    assert "a line of test cannot be formatted: TypeError" in message
    for descriptor in (reader, writer):
        os.close(descriptor)


FLOOD = """
import logging
from app.process.log_output import NonBlockingHandler
logging.basicConfig(handlers=[NonBlockingHandler(2)], format='{"message":"%(message)s"}')
for number in range(3000):
    logging.getLogger("test").warning("line %d", number)
print("ended", flush=True)
"""


def test_a_process_ends_although_nobody_reads_its_log() -> None:
    process = subprocess.Popen([sys.executable, "-c", FLOOD], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.read() == b"ended\n"
        assert process.wait(TIMEOUT_S) == 0


def test_the_last_lines_of_a_process_are_written() -> None:
    done = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert numbers([json.loads(line)["message"] for line in done.stderr.splitlines()]) == [*range(3000)]

"""Processes that decode pictures: what they return, what ends them, and what they must not have."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from app.concurrency import decoder_pool
from app.concurrency.child_processes import NICENESS
from app.concurrency.decoder_pool import DecoderPool
from app.concurrency.decoder_process import DecoderProcess
from app.concurrency.request_memory import RequestMemory
from app.errors import DecoderUnavailable, PayloadTooLarge
from models.errors import InvalidItems, UndecodableItems
from models.pictures.decoding import EncodedPicture, PictureForm, decode_picture
from models.pictures.placing import PictureOptions, Style
from models.pictures.reading import read_header
from tests.models.codecs.test_image import file_of
from tests.models.pictures.files import raw_png

pytestmark = pytest.mark.anyio
FORM = PictureForm(1, 28, 28, Style("black", ink_box=20))
SECRET = "a-secret-of-the-server"  # noqa: S105 # no password


def encoded(data: bytes) -> EncodedPicture:
    return EncodedPicture(data, read_header(data, 2**26))


DRAWING = Image.new("L", (300, 200), 0)
DRAWING.paste(255, (50, 60, 120, 180))
SMALL = encoded(file_of(DRAWING))
LONG = encoded(raw_png(6000, 6000, colour_type=6))
"""A picture that takes about half a second."""


def pool_of(n_processes: int = 2, *, max_ms: int = 30_000, max_bytes: int = 2**31, memory: int = 0) -> DecoderPool:
    return DecoderPool(n_processes, RequestMemory(lambda: memory), max_ms=max_ms, max_bytes=max_bytes)


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[DecoderPool]:
    """A pool for all tests of this file that leave it as it was."""
    os.environ["MANIFOLD_API_KEYS"] = SECRET
    pool = pool_of()
    yield pool
    pool.close()
    del os.environ["MANIFOLD_API_KEYS"]


async def busy(pool: DecoderPool, picture: EncodedPicture = LONG) -> "asyncio.Task[Any]":
    """A task whose picture is being decoded."""
    task = asyncio.create_task(pool.decode(picture, FORM, "busy"))
    while not pool._running:
        await asyncio.sleep(0)
    return task


@pytest.mark.parametrize(
    "form",
    [
        FORM,
        replace(FORM, options=PictureOptions(centre=True)),
        replace(FORM, n_channels=3, height=20, style=Style("white"), options=PictureOptions("cover", invert=True)),
    ],
)
async def test_a_process_decodes_as_a_thread_does(pool: DecoderPool, form: PictureForm) -> None:
    found, expected = await pool.decode(SMALL, form, ""), decode_picture(SMALL, form)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.pixels.shape == (form.n_channels, form.height, form.width)
    assert found.warnings == expected.warnings


async def test_errors_of_decoding_are_those_of_a_thread(pool: DecoderPool) -> None:
    blank = encoded(raw_png(20, 20))
    with pytest.raises(InvalidItems, match="no ink to centre: all of it is black"):
        await pool.decode(blank, replace(FORM, options=PictureOptions(centre=True)), "")
    damaged = EncodedPicture(SMALL.data[:-40], SMALL.header)
    with pytest.raises(UndecodableItems, match="accepted are PNG, JPEG, WEBP"):
        await pool.decode(damaged, FORM, "")


async def test_a_process_is_used_again_and_deaf_to_signals(pool: DecoderPool) -> None:
    await pool.decode(SMALL, FORM, "")
    pids = pool.pids
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
    await pool.decode(SMALL, FORM, "")
    assert pool.pids == pids


async def test_a_process_has_no_secrets_and_stands_back(pool: DecoderPool) -> None:
    await pool.decode(SMALL, FORM, "")
    for pid in pool.pids:
        process = psutil.Process(pid)
        assert SECRET not in process.environ().values()
        assert process.nice() == min(19, os.nice(0) + NICENESS)
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)


async def test_a_picture_that_takes_too_much_time_is_refused_alone() -> None:
    pool = pool_of(max_ms=100)
    try:
        with pytest.raises(InvalidItems, match=r"more than 100 ms of processor time, the limit \(image_timeout_ms\)"):
            await pool.decode(LONG, FORM, "")
        await pool.decode(SMALL, FORM, "")
    finally:
        pool.close()


async def test_a_picture_that_needs_too_much_memory_is_refused_before_a_process_starts() -> None:
    pool = pool_of(max_bytes=LONG.header.n_bytes - 1)
    with pytest.raises(InvalidItems, match=rf"needs about {LONG.header.n_bytes} bytes .*\(image_memory\)"):
        await pool.decode(LONG, FORM, "")
    pool = pool_of(memory=LONG.header.n_bytes)
    with pytest.raises(PayloadTooLarge, match="memory_limit"):
        await pool.decode(LONG, FORM, "")
    assert pool.pids == []


async def test_the_process_of_a_caller_that_leaves_is_killed(pool: DecoderPool) -> None:
    task = await busy(pool)
    (process,) = pool._running
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await process._ended == -signal.SIGKILL
    await pool.decode(SMALL, FORM, "busy")


async def test_a_picture_whose_process_is_killed_is_decoded_by_another(pool: DecoderPool) -> None:
    task = await busy(pool)
    (process,) = pool._running
    os.kill(process.pid, signal.SIGKILL)
    assert (await task).pixels.shape == (1, 28, 28)


async def test_a_picture_whose_processes_are_all_killed_fails_alone(pool: DecoderPool) -> None:
    task = await busy(pool)
    killed = set[int]()
    while not task.done():
        for process in pool._running:
            if process.pid not in killed:
                os.kill(process.pid, signal.SIGKILL)
                killed.add(process.pid)
        await asyncio.sleep(0)
    with pytest.raises(DecoderUnavailable, match="was killed, and so was the next"):
        await task
    assert len(killed) == decoder_pool.MAX_ATTEMPTS
    await pool.decode(SMALL, FORM, "busy")


async def test_a_picture_that_crashes_its_decoder_is_refused(pool: DecoderPool) -> None:
    task = await busy(pool)
    (process,) = pool._running
    os.kill(process.pid, signal.SIGSEGV)
    with pytest.raises(UndecodableItems, match="decoding them fails"):
        await task


async def test_a_process_that_was_killed_while_it_was_idle_is_replaced(pool: DecoderPool) -> None:
    await pool.decode(SMALL, FORM, "")
    for process, _ in pool._idle:
        os.kill(process.pid, signal.SIGKILL)
        await process._ended
    await pool.decode(SMALL, FORM, "")


async def test_an_idle_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "IDLE_S", 0.01)
    pool = pool_of()
    await pool.decode(SMALL, FORM, "")
    ((process, _),) = pool._idle
    await process._ended
    assert pool.pids == []


async def test_no_process_that_can_be_started_is_an_error_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> DecoderProcess:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(DecoderProcess, "start", fail)
    with pytest.raises(DecoderUnavailable, match="could be started: Too many open files"):
        await pool_of().decode(SMALL, FORM, "")


_SERVER = """
import asyncio
from app.concurrency.decoder_pool import DecoderPool
from app.concurrency.request_memory import RequestMemory
from models.pictures.decoding import EncodedPicture, PictureForm
from models.pictures.placing import Style
from models.pictures.reading import read_header
from tests.models.pictures.files import raw_png

async def run():
    pool = DecoderPool(1, RequestMemory(lambda: 0), max_ms=9999, max_bytes=2**30)
    data = raw_png(9, 9)
    await pool.decode(EncodedPicture(data, read_header(data, 99)), PictureForm(1, 4, 4, Style()), "")
    print(*pool.pids, flush=True)
    await asyncio.Event().wait()

asyncio.run(run())
"""


def test_processes_end_with_the_server_however_it_ends() -> None:
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": root}) as server:
        assert server.stdout is not None
        (child,) = (psutil.Process(int(pid)) for pid in server.stdout.readline().split())
        server.kill()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

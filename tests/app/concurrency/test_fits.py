"""The process of a fit: what it leaves, what its end means, and what ends it. The processes are scripted."""

import asyncio
import json
import os
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.concurrency import fit_process
from app.concurrency import fits as module_of_fits
from app.concurrency.fit_process import MAX_LEFT_OVER_S, MAX_LINE_BYTES, WORK_PREFIX, FitJob
from app.concurrency.fits import Fits
from app.errors import FitFailed, InvalidRequest, ManifoldError, QueueFull

pytestmark = pytest.mark.anyio
TIMEOUT_S = 60
MAKE = """
folder.mkdir(parents=True)
(folder / "config.json").write_text("new")
say(result={"folder": str(folder)})
"""


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_process, "_WORKER", "tests.app.concurrency.scripted_fit")


def job_in(root: Path, *, may_replace: bool = False) -> FitJob:
    return FitJob(
        folder=root / "mine", file_name="mine.csv", options=(), may_replace=may_replace, max_bytes=2**30, n_threads=1
    )


async def run(root: Path, script: str, **options: Any) -> list[dict[str, Any]]:
    """The lines of a fit, after which nothing is left of it."""
    async with asyncio.timeout(TIMEOUT_S), aclosing(Fits().lines(job_in(root, **options), script.encode())) as lines:
        found = [json.loads(line) async for line in lines]
    assert list(root.glob(f"{WORK_PREFIX}*")) == []
    return found


async def test_the_checkpoint_is_in_its_place_before_the_result_is_told(tmp_path: Path) -> None:
    root = tmp_path / "not yet" / "there"
    lines = await run(root, 'say(found={})\nsay(progress={"done": 0.5})\n' + MAKE)
    assert lines == [{"found": {}}, {"progress": {"done": 0.5}}, {"result": {"folder": str(root / "mine")}}]
    assert (root / "mine" / "config.json").read_text() == "new"


async def test_a_checkpoint_is_replaced_only_where_that_was_asked_for(tmp_path: Path) -> None:
    await run(tmp_path, MAKE)
    (tmp_path / "mine" / "config.json").write_text("old")
    with pytest.raises(InvalidRequest, match="a model named mine was made while this one was fitted"):
        await run(tmp_path, MAKE)
    assert (tmp_path / "mine" / "config.json").read_text() == "old"
    await run(tmp_path, MAKE, may_replace=True)
    assert (tmp_path / "mine" / "config.json").read_text() == "new"


async def test_the_target_of_a_link_that_is_replaced_stays(tmp_path: Path) -> None:
    await run(tmp_path / "elsewhere", MAKE)
    (tmp_path / "mine").symlink_to(tmp_path / "elsewhere" / "mine")
    await run(tmp_path, MAKE, may_replace=True)
    assert not (tmp_path / "mine").is_symlink()
    assert (tmp_path / "elsewhere" / "mine" / "config.json").exists()


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("import sys; sys.exit('Error: no column\\nof this name')", InvalidRequest, "^no column\nof this name$"),
        ("raise MemoryError", InvalidRequest, "more than 1073741824 bytes"),
        ("raise ValueError('secret')", FitFailed, "the log of the server has the reason"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", FitFailed, "was killed from outside"),
        ("import os; os.abort()", FitFailed, "failed"),
    ],
)
async def test_the_end_of_a_process_has_a_meaning(
    tmp_path: Path, script: str, kind: type[ManifoldError], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(kind, match=words) as error:
        await run(tmp_path, "say(found={})\n" + script)
    assert "secret" not in str(error.value)
    assert ("secret" in caplog.text) == ("secret" in script)
    assert list(tmp_path.iterdir()) == []


async def test_a_process_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    script = """
import subprocess, time
child = subprocess.Popen(["sleep", "600"])
say(found={"pid": child.pid})
time.sleep(600)
"""
    fits = Fits()
    async with asyncio.timeout(TIMEOUT_S), aclosing(fits.lines(job_in(tmp_path), script.encode())) as lines:
        child = psutil.Process(json.loads(await anext(lines))["found"]["pid"])
        parent = child.parent()
        assert parent
    await asyncio.wait_for(fits.close(), TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while parent.is_running() or (child.is_running() and child.status() != psutil.STATUS_ZOMBIE):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert list(tmp_path.iterdir()) == []


async def test_a_line_without_an_end_is_not_read_for_ever(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="limit"):
        await run_unread(tmp_path, f"print('x' * {2 * MAX_LINE_BYTES})\nimport time; time.sleep(600)")


async def run_unread(root: Path, script: str) -> None:
    async with asyncio.timeout(TIMEOUT_S), aclosing(Fits().lines(job_in(root), script.encode())) as lines:
        async for _ in lines:
            pass


async def test_a_fit_waits_for_its_turn_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    fits, order = Fits(), []

    async def wait_and_run() -> None:
        async with fits.turn():
            order.append("second")

    async with fits.turn():
        second = asyncio.ensure_future(wait_and_run())
        await asyncio.sleep(0)
        order.append("first")
    await second
    assert order == ["first", "second"]
    monkeypatch.setattr(module_of_fits, "MAX_WAIT_S", 0.01)
    async with fits.turn():
        with pytest.raises(QueueFull, match="one at a time"):
            await wait_and_run()
    await wait_and_run()


async def test_what_a_killed_server_has_left_is_removed_a_day_later(tmp_path: Path) -> None:
    for name, age_s in (("old", MAX_LEFT_OVER_S + 60), ("new", 60)):
        folder = tmp_path / f"{WORK_PREFIX}{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age_s,) * 2)
    async with asyncio.timeout(TIMEOUT_S), aclosing(Fits().lines(job_in(tmp_path), MAKE.encode())) as lines:
        assert [line async for line in lines]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{WORK_PREFIX}new", "mine"]

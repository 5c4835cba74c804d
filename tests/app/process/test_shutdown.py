"""The end of the process: at its deadline whatever runs, and never by SIGHUP."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.app.process.stuck import STUCK
from tests.app.server import Served, free_port, wait_logged, wait_ready
from tests.conftest import TINY, write_tiny

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tests look at processes in /proc")


def test_a_process_ends_at_its_deadline_with_one_line_although_a_thread_goes_on() -> None:
    done = run_to_deadline("threading.Thread(target=threading.Event().wait).start()")
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.splitlines() == ["the process ends with work undone: the signal came 0.1 seconds ago"]


def test_a_process_ends_soon_after_its_deadline_although_c_code_holds_the_interpreter() -> None:
    assert run_to_deadline("ctypes.PyDLL(None).sleep(600)").returncode == -signal.SIGALRM


def run_to_deadline(work: str) -> "subprocess.CompletedProcess[str]":
    """Run a program whose deadline is a tenth of a second after its start."""
    code = f"""
import ctypes, signal, threading
from app.process import exit_deadline
deadline = exit_deadline.ExitDeadline()
deadline.watch()
exit_deadline.ALARM_AFTER_S = 0.1
deadline.begin(signal.SIGTERM, 0.1)
{work}
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_hangups_and_stuck_loadings_hold_up_neither_the_server_nor_its_end(tmp_path: Path, weights: Path) -> None:
    write_tiny(weights, STUCK)
    log, port = tmp_path / "server.log", free_port()
    command = [sys.executable, "-m", "tests.app.process.stuck", "serve", "--port", str(port), "--models", TINY]
    with log.open("wb") as out:
        options = ["--weights-dir", str(weights), "--shutdown-timeout-s", "6", "--workers", "1"]
        process = subprocess.Popen([*command, *options], stderr=out, stdout=out)
    served = Served(f"http://127.0.0.1:{port}", process, log)
    try:
        hang_up_when_handled(process)
        wait_ready(served.url, process, log)
        wait_logged(served, "the settings were read again; changed: none")
        with httpx.Client(base_url=served.url, timeout=30) as http:
            late = http.post(f"/models/{STUCK}/load", headers={"x-timeout-ms": "50"})
            assert (late.status_code, late.json()["type"]) == (504, "/errors/deadline-exceeded")
            assert "within 50 ms; the loading has been ended" in late.json()["detail"]
            card = http.get(f"/models/{STUCK}").json()
            assert card["state"] == "failed"
            assert "ended before it was done" in card["reason"]
            for model in (TINY, STUCK):
                assert http.post(f"/models/{model}/unload").json()["state"] == "unloaded"
            assert http.post(f"/models/{TINY}/load").json()["state"] == "ready"
            threading.Thread(target=post_until_closed, args=(f"{served.url}/models/{STUCK}/load",)).start()
            while http.get(f"/models/{STUCK}").json()["state"] != "loading":
                pass
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        assert process.returncode == -signal.SIGTERM
        assert "work undone" not in log.read_text()
    finally:
        process.kill()
        process.wait(30)


def hang_up_when_handled(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGHUP in the first moment in which the process handles it: long before torch is imported."""
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) & 1 << (signal.SIGHUP - 1):
            break
    assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
    os.kill(process.pid, signal.SIGHUP)


def post_until_closed(url: str) -> None:
    with suppress(httpx.TransportError):  # the server may answer before it closes the connection
        httpx.post(url, timeout=60)

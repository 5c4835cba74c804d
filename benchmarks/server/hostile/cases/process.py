"""Signals, logs that nobody reads, and resources of the process that run out."""

import signal
import time
from contextlib import ExitStack, suppress

import psutil

from benchmarks.server.hostile.case import Case
from benchmarks.server.hostile.cases.administration import GPT, end
from benchmarks.server.hostile.cases.bodies import END, MB, PART, RECONSTRUCT
from benchmarks.server.hostile.cases.connections import long_generation
from benchmarks.server.hostile.cases.pictures import png
from benchmarks.server.hostile.target import Target
from benchmarks.server.hostile.visitor import json_request
from benchmarks.server.http_client import LIVE, BlockingConnection, http_request

N_FILES = 200
N_LINES = 2_000
"""Requests whose log, about 300 bytes each, fills the pipe of 64 kB several times over."""
MAX_NEW_LINES = 1_000
"""Most lines that the server may log within 4 s; the probes alone cause 400."""
FORGED = "/x%0a2026-01-01T00:00:00.000+00:00%20ERROR%20FORGED%1b[31m", "/x%0d%0aFORGED", "/models/%e2%80%a8FORGED"


def _unread_log(target: Target) -> None:
    """Make the server log more than a pipe holds, which nobody reads."""
    request = http_request("/nothing?" + "x" * 200, method="GET")
    with target.watch(), BlockingConnection(target.port, timeout_s=5.0) as connection, suppress(OSError):
        for _ in range(N_LINES):
            target.count(connection.ask(request))
    target.require(target.result.statuses[404] == N_LINES, "the server stopped answering")


def _forged_log(target: Target) -> None:
    with target.watch():
        for path in FORGED:
            target.ask(http_request(path, method="GET"))
            target.ask(http_request("/", method="GET", headers={"x-request-id": f"a{path}"}))
    lines = target.log.read_text(errors="replace").splitlines()
    forged = [line for line in lines if line.lstrip().startswith("FORGED") or "ERROR FORGED" in line[:60]]
    target.require(not forged, f"the log has the forged line {forged[:1]}")
    target.require("\x1b" not in target.log.read_text(errors="replace"), "the log has an escape sequence of terminals")


def _no_files(target: Target) -> None:
    """Open more connections than the server may have files; it must not spin, nor fill the log."""
    process = psutil.Process(target.process.pid)
    with target.watch():
        with ExitStack() as stack:
            for _ in range(N_FILES + 100):
                with suppress(OSError):
                    stack.enter_context(BlockingConnection(target.port, timeout_s=1.0))
            time.sleep(1.0)
            n_lines, spent = _n_lines(target), sum(process.cpu_times()[:2])
            time.sleep(4.0)
            cores, n_new = (sum(process.cpu_times()[:2]) - spent) / 4.0, _n_lines(target) - n_lines
        target.require(cores < 0.8, f"{cores:.2f} cores are busy while no files are left")
        target.require(n_new < MAX_NEW_LINES, f"{n_new} lines were logged within 4 s while no files were left")
        target.require(target.within(10.0, lambda: target.ask(LIVE) is not None), "no new connection is answered")


def _n_lines(target: Target) -> int:
    return target.log.read_bytes().count(b"\n")


def _full_folder(target: Target) -> None:
    """Fill the folder of temporary files, then send bodies that might need it."""
    with suppress(OSError), (target.folder / "full").open("wb") as file:
        for _ in range(64):
            file.write(bytes(2**16))
    parts = {"content-type": "multipart/form-data; boundary=bbb"}
    with target.watch():
        target.ask(http_request(RECONSTRUCT, PART + bytes(8 * MB) + END, parts))
        target.ask(http_request(RECONSTRUCT, PART + png(64, 64) + END, parts))
        target.ask(http_request(RECONSTRUCT, png(4096, 4096), {"content-type": "image/png"}))
        target.ask(json_request("/reconstruct", b'{"inputs":[' + b"0," * 4 * MB + b"0]}"))
        target.ask(json_request("/models/gpt-mini-en/load", b""))


def _hang_ups(target: Target) -> None:
    """Send SIGHUP hundreds of times, also while the server answers."""
    with target.watch():
        for number in range(300):
            if target.is_running:
                target.process.send_signal(signal.SIGHUP)
            if number % 20 == 0:
                target.ask(LIVE)
    target.require(target.is_running, "SIGHUP ended the server")


def _end_while_loading(target: Target) -> None:
    names = [model["id"] for model in target.get("/models")[1]["models"] if model["state"] != "ready"]
    with ExitStack() as stack:
        for name in names:
            connection = stack.enter_context(BlockingConnection(target.port))
            connection.send(http_request(f"/models/{name}/load", b""))
        time.sleep(0.1)
        end(target, signal.SIGTERM)


def _end_with(number: signal.Signals, *, seconds: float = 10.5) -> Case:
    """Return a case that ends the server during a request, which must still be answered."""

    def attack(target: Target) -> None:
        body = {"model": GPT, "inputs": ["Once"] * 8, "parameters": {"max_new_tokens": 100, "seed": 1}}
        with BlockingConnection(target.port) as connection:
            connection.send(json_request("/generate", body))
            running = target.within(5.0, lambda: bool(target.get(f"/models/{GPT}")[1]["running_sequences"]))
            target.require(running, "the generation did not begin")
            target.process.send_signal(number)
            try:
                answer = connection.receive()
            except OSError as error:
                target.require(False, f"the running request was not answered: {error}")
            else:
                target.require(answer.status == 200, f"the running request was answered by {answer.status}")
        with suppress(TimeoutError):
            target.wait(seconds)
        ended = target.process.poll()
        target.require(ended in (0, -number), f"after {number.name}, it ended with {ended}")

    return Case(name=f"{number.name.lower()}-during-request", attack=attack, models=(GPT,), unavailable=True)


def _end_with_idle_clients(target: Target) -> None:
    """End the server while clients are connected that are idle, slow, or do not read."""
    with ExitStack() as stack:
        for data in (b"", b"GET / HTTP/1.1\r\n", LIVE) * 30:
            connection = stack.enter_context(BlockingConnection(target.port))
            connection.send(data)
        end(target, signal.SIGTERM)


def _end_left_generation(target: Target) -> None:
    with BlockingConnection(target.port) as connection:
        connection.send(long_generation() + http_request("/nothing", method="GET"))
        time.sleep(1.0)
    end(target, signal.SIGTERM)


CASES = (
    Case(name="unread-log", attack=_unread_log, reads_log=False),
    Case(name="forged-log", attack=_forged_log, options=("--log-format", "text")),
    Case(name="no-file-descriptors", attack=_no_files, prepare=f"ulimit -n {N_FILES}", unavailable=True),
    Case(name="full-temporary-folder", attack=_full_folder, folder_mb=1, unavailable=True),
    Case(name="sighup-storm", attack=_hang_ups),
    Case(name="sigterm-while-loading", attack=_end_while_loading, unavailable=True),
    Case(name="sigterm-with-idle-clients", attack=_end_with_idle_clients),
    Case(name="sigterm-left-generation", attack=_end_left_generation, models=(GPT,)),
    _end_with(signal.SIGTERM),
    _end_with(signal.SIGINT),
)

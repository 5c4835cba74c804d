"""Models that are loaded, unloaded, damaged and overwritten while others use the server."""

import json
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.server.hostile.case import Case
from benchmarks.server.hostile.cases.connections import long_generation
from benchmarks.server.hostile.target import Target
from benchmarks.server.http_client import BlockingConnection, http_request
from models.checkpoint import find_checkpoints

WEIGHTS = Path(__file__).parents[4] / "weights"
GPT, COPY = "gpt-mini-en", "copied-model"
OFFLOADED = "conv-ae-mnist"
ADMINISTRATION_S, ENDING_S = 15.0, 10.5
"""Longest times of an administrative request, and of the end after SIGTERM (`drain_ms` is 500 by default)."""


def _post(target: Target, path: str, timeout_s: float = 60.0) -> int:
    answer = target.ask(http_request(path, b""), timeout_s=timeout_s)
    return 0 if answer is None else answer.status


def end(target: Target, number: signal.Signals, seconds: float = ENDING_S) -> None:
    """Send a signal that ends the server, and require that it has ended after a time."""
    started_at = time.monotonic()
    target.process.send_signal(number)
    with suppress(TimeoutError):
        target.wait(seconds)
    taken = time.monotonic() - started_at
    target.require(not target.is_running, f"the server has not ended {taken:.1f} s after {number.name}")
    target.require(target.process.poll() in (None, 0, -number), f"it ended with {target.process.poll()}")


def _unload_during_generation(target: Target) -> None:
    """Unload a model that works for a client which has left, with a request behind in its pipeline; load it; end."""
    with target.watch():
        with BlockingConnection(target.port) as connection:
            connection.send(long_generation() + http_request("/nothing", method="GET"))
            time.sleep(1.0)
        with BlockingConnection(target.port) as connection:
            connection.send(http_request(f"/models/{GPT}/unload", b""))
            time.sleep(1.0)
        is_unloaded = target.within(ADMINISTRATION_S, lambda: target.get(f"/models/{GPT}")[1]["state"] == "unloaded")
        target.require(is_unloaded, "the model is not unloaded")
        target.require(
            _post(target, f"/models/{GPT}/load", ADMINISTRATION_S) == 200, "the model cannot be loaded again"
        )
        target.require(_post(target, f"/models/{GPT}/unload", ADMINISTRATION_S) == 200, "it cannot be unloaded again")
        _post(target, f"/models/{GPT}/load", ADMINISTRATION_S)
    end(target, signal.SIGTERM)


def _load_all(target: Target) -> None:
    """Load all shipped models at once, then unload all but the neighbour's.

    It is done once before anything is measured, because what a model's first loading imports stays in memory.
    """
    names = _unloaded_models(target)
    _load_and_unload(target, names)
    with target.watch():
        _load_and_unload(target, names)


def _unloaded_models(target: Target) -> list[str]:
    return [model["id"] for model in target.get("/models")[1]["models"] if model["state"] != "ready"]


def _load_and_unload(target: Target, names: Sequence[str]) -> None:
    statuses = target.together([partial(_post, target, f"/models/{name}/load") for name in names])
    target.require(set(statuses) == {200}, f"loading all models at once was answered by {statuses}")
    for name in names:
        target.require(_post(target, f"/models/{name}/unload") == 200, f"{name} cannot be unloaded")


def _load_and_unload_in_use(target: Target) -> None:
    """Load and unload a model from two clients, while four others use it."""
    ended = threading.Event()
    body = {"model": OFFLOADED, "inputs": [[0] * 784]}

    def administrate() -> None:
        while not ended.is_set():
            _post(target, f"/models/{OFFLOADED}/load")
            _post(target, f"/models/{OFFLOADED}/unload")

    def use() -> None:
        while not ended.is_set():
            target.ask_json("/reconstruct", body, timeout_s=20.0)

    with target.watch():
        threads = [threading.Thread(target=run) for run in (administrate, administrate, use, use, use, use)]
        for thread in threads:
            thread.start()
        time.sleep(8.0)
        ended.set()
        for thread in threads:
            thread.join()
    target.require(_post(target, f"/models/{OFFLOADED}/load") == 200, "the model cannot be loaded afterwards")
    target.require(target.ask_json("/reconstruct", body)[0] == 200, "the model does not answer afterwards")


def _copy_model(folder: Path, name: str = OFFLOADED) -> None:
    """Copy a shipped checkpoint into a folder of the case."""
    source = next(path for path in find_checkpoints(WEIGHTS) if path.name == name)
    shutil.copytree(source, folder / COPY)


def _weights_of(target: Target) -> Path:
    return next((target.folder.parent / COPY).glob("*.safetensors"))


def overwritten(path: Path, content: bytes) -> None:
    """Write over a file in its place, so that whoever has it mapped sees the change."""
    with path.open("r+b") as file:
        file.truncate(len(content))
        file.write(content)


def _overwrite_while_loading(target: Target) -> None:
    """Cut the file of weights in place at a random moment of each of twenty loads, then restore it."""
    draw = random.Random(3)  # noqa: S311 not a secret
    path = _weights_of(target)
    content = path.read_bytes()
    with target.watch():
        for _ in range(20):
            _post(target, f"/models/{COPY}/unload")
            loading = threading.Thread(target=lambda: _post(target, f"/models/{COPY}/load"))
            loading.start()
            time.sleep(draw.uniform(0.0, 0.15))
            overwritten(path, content[: draw.randrange(len(content))])
            loading.join()
            overwritten(path, content)
            if not target.is_running:
                break
    _post(target, f"/models/{COPY}/unload")
    target.require(_post(target, f"/models/{COPY}/load") == 200, "the restored model cannot be loaded")
    _require_same(target)


def _overwrite_while_used(target: Target) -> None:
    """Fill the file of weights of a loaded model with zeros, then cut it; the answers must stay as they are."""
    path = _weights_of(target)
    content = path.read_bytes()
    with target.watch():
        for damaged in (bytes(len(content)), content[:1000], b""):
            overwritten(path, damaged)
            _require_same(target)


def _require_same(target: Target) -> None:
    inputs = [[round(number % 7 / 7, 3) for number in range(784)]]
    first, second = (target.ask_json("/reconstruct", {"model": name, "inputs": inputs}) for name in (OFFLOADED, COPY))
    is_same = first[0] == second[0] == 200 and first[1]["outputs"] == second[1]["outputs"]
    target.require(is_same, f"the copy of a model answers otherwise: {first[0]} and {second[0]}")


WRONG_VALUES: tuple[Any, ...] = (None, 1e400, -1, "x", [], {}, True, 2**70, [[]], "\ud800")
"""Values that are wrong almost anywhere; 1e400 becomes `Infinity`, which JSON does not know."""


def _make_damaged_checkpoints(folder: Path) -> None:
    """Copy all weights, and beside them checkpoints each of which has one wrong value in a file of JSON."""
    weights = folder / "weights"
    shutil.copytree(WEIGHTS, weights)
    draw = random.Random(5)  # noqa: S311 not a secret
    sources = sorted(find_checkpoints(weights))
    for number in range(60):
        source = draw.choice(sources)
        damaged = source.parent / f"damaged-{number}-{source.name}"
        shutil.copytree(source, damaged)
        path = draw.choice(sorted(damaged.glob("*.json")))
        content = json.loads(path.read_text())
        if isinstance(content, dict) and content:
            content[draw.choice(sorted(content))] = draw.choice(WRONG_VALUES)
        path.write_text(json.dumps(content))


def _load_damaged(target: Target) -> None:
    """Load each damaged checkpoint: it may be refused by name, and everything else goes on."""
    _load_and_unload(target, [name for name in _unloaded_models(target) if not name.startswith("damaged")])
    with target.watch():
        status, found = target.get("/models")
        target.require(status == 200, f"GET /models is answered by {status}")
        names = [model["id"] for model in (found or {}).get("models", ()) if model["id"].startswith("damaged")]
        for name in names:
            loaded = _post(target, f"/models/{name}/load")
            target.require(loaded in (200, 422, 503), f"loading {name} is answered by {loaded}")
            status, _ = target.get("/models")
            target.require(status == 200, f"GET /models is answered by {status} after loading {name}")
            _post(target, f"/models/{name}/unload")


def _foreign_paths(target: Target) -> None:
    """Load and unload what lies outside of the folders of checkpoints."""
    names = (
        "..%2f..%2fetc%2fpasswd",
        "%2fetc",
        "https:%2f%2fexample.org%2fx",
        "a%00b",
        "a/b",
        "%2e%2e",
        "gpt2",
        "org%2fname",
    )
    with target.watch():
        for name in names:
            for action in ("load", "unload"):
                status = _post(target, f"/models/{name}/{action}")
                target.require(status in (400, 403, 404, 405, 422), f"{action} of {name} is answered by {status}")


def _case(name: str, attack: Callable[[Target], None], **options: Any) -> Case:
    return Case(name=name, attack=attack, unavailable=True, **options)


COPIED = {"make_files": _copy_model, "models": (OFFLOADED,), "options": ("--model", f"{COPY}=FOLDER/{COPY}")}
CASES = (
    _case("unload-during-generation", _unload_during_generation, models=(GPT,)),
    _case("load-all", _load_all),
    _case("load-and-unload-in-use", _load_and_unload_in_use, models=(OFFLOADED,)),
    _case("overwrite-while-loading", _overwrite_while_loading, **COPIED),
    _case("overwrite-while-used", _overwrite_while_used, **COPIED),
    _case(
        "damaged-checkpoints",
        _load_damaged,
        make_files=_make_damaged_checkpoints,
        options=("--weights-dir", "FOLDER/weights"),
    ),
    _case("foreign-paths", _foreign_paths),
)

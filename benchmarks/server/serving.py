"""`/encode` over HTTP beside other servers with the same weights: `python -m benchmarks.server.serving`; needs wrk.

Each request has one text, and each text another length. All servers take their turns, several times, one at a time.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.progress import track

from benchmarks.lib.checkpoints import words, write
from benchmarks.lib.environments import python_of
from benchmarks.lib.report import Ratio, bars, machine, ratio_table, table
from benchmarks.lib.servers import Server, manifold, running
from benchmarks.lib.texts import lengths

N_TEXTS = 4000
CONNECTIONS = (1, 8, 32, 128)
LUA = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Case:
    """A server: how it is started on a folder's model, and the path and the body of a request."""

    name: str
    path: str
    body: str
    precision: str | None = None
    command: Sequence[str] = ()
    environment: str = "manifold"

    def bodies(self, texts: Sequence[str]) -> str:
        """One JSON body a line."""
        return "".join(f"{self.body.replace('TEXT', text)}\n" for text in texts)

    @contextmanager
    def served(self, folder: str) -> Iterator[Server]:
        """Running, and ready."""
        if self.precision is not None:
            options = ("--models", "minilm", "--model", f"minilm={folder}", "--dtype", self.precision)
            with manifold(*options) as server:
                yield server
            return
        python = python_of(self.environment)
        command = [part.replace("FOLDER", folder).replace("BIN", str(Path(python).parent)) for part in self.command]
        with running(*command, python=python, health="/health") as server:
            yield server


@dataclass(frozen=True)
class Round:
    """What wrk tells."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float


@dataclass
class Measured:
    """Of a case: its rounds by the number of connections."""

    rounds: dict[int, list[Round]] = field(default_factory=lambda: {n: [] for n in CONNECTIONS})

    def rate(self, n: int) -> float:
        """Good answers a second, the median."""
        return median((one.requests - one.errors) / one.seconds for one in self.rounds[n])


CASES = [
    *(
        Case(f"Manifold {p}", "/encode", '{"model": "minilm", "inputs": ["TEXT"]}', precision=p)
        for p in ("float32", "bfloat16", "int8")
    ),
    Case(
        "LitServe",
        "/predict",
        '{"input": "TEXT"}',
        command=("-m", "benchmarks.server.peers.litserve_server", "--folder", "FOLDER"),
        environment="litserve",
    ),
    Case(
        "infinity",
        "/embeddings",
        '{"model": "minilm", "input": ["TEXT"]}',
        command=(
            *("BIN/infinity_emb", "v2", "--model-id", "FOLDER", "--served-model-name", "minilm"),
            *("--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer"),
        ),
        environment="infinity",
    ),
]
RATIOS = [
    (f"Manifold {own}", their, least)
    for their, leasts in (("LitServe", (4, 6, 8)), ("infinity", (3.5, 5, 7)))
    for own, least in zip(("float32", "bfloat16", "int8"), leasts, strict=True)
]
COUNTED = 32
"""Connections at which the ratios count."""


def measure(only: str, n_passes: int, seconds: float) -> dict[str, Measured]:
    """All servers whose name has `only`, in turns."""
    cases = [case for case in CASES if only.lower() in case.name.lower()]
    found = {case.name: Measured() for case in cases}
    texts = words(lengths(N_TEXTS))
    with tempfile.TemporaryDirectory() as place:
        folder, bodies = write("minilm", Path(place) / "minilm"), Path(place) / "bodies"
        for case in track(cases * n_passes, "servers", console=Console(stderr=True)):
            bodies.write_text(case.bodies(texts))
            with case.served(str(folder)) as server:
                wrk(server.url + case.path, bodies, CONNECTIONS[-1], seconds)  # warmed up
                for n, rounds in found[case.name].rounds.items():
                    rounds.append(wrk(server.url + case.path, bodies, n, seconds))
    return found


def wrk(url: str, bodies: Path, n_connections: int, seconds: float, accept: str = "application/json") -> Round:
    """A load of the bodies in a file, one a line."""
    command = ["wrk", "-t1", f"-c{n_connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(LUA), url]
    done = subprocess.run([*command, "--", str(bodies), accept], capture_output=True, text=True, check=True)  # noqa: S603
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Round(**told)


def report(found: Mapping[str, Measured], folder: Path) -> None:
    """Markdown and a picture."""
    rows = [[name, *(f"{one.rate(n):,.0f}" for n in CONNECTIONS)] for name, one in found.items()]
    waits = [
        [
            name,
            *(
                f"{median(r.p50_ms for r in one.rounds[n]):.1f} / {median(r.p99_ms for r in one.rounds[n]):.1f}"
                for n in CONNECTIONS
            ),
        ]
        for name, one in found.items()
    ]
    ratios = [
        Ratio(f"{own} / {their}", found[own].rate(COUNTED) / found[their].rate(COUNTED), least)
        for own, their, least in RATIOS
        if own in found and their in found
    ]
    columns = ["", *(f"{n} connections" for n in CONNECTIONS)]
    (folder / "serving.png").write_bytes(
        bars({name: one.rate(COUNTED) for name, one in found.items()}, f"requests/s, {COUNTED} connections")
    )
    parts = [
        "# `/encode` over HTTP, MiniLM's shape, one text a request",
        machine(),
        "```\npython -m benchmarks.server.serving\n```",
        f"![requests a second at {COUNTED} connections](serving.png)",
        "Good answers a second:",
        table(columns, rows),
        "Milliseconds, half of the answers within / 99 of 100 within:",
        table(columns, waits),
        f"At {COUNTED} connections:",
        ratio_table(ratios),
    ]
    (folder / "serving.md").write_text("\n\n".join(parts) + "\n")


@click.command()
@click.option("--only", default="", help="Servers whose name has this.")
@click.option("--passes", default=3, show_default=True, help="How often all servers take their turn.")
@click.option("--seconds", default=8.0, show_default=True, help="Of each number of connections, within a turn.")
@click.option("--report", "folder", type=click.Path(path_type=Path), help="Write Markdown and a picture there.")
def main(only: str, passes: int, seconds: float, folder: Path | None) -> None:
    """Measure, and print everything as JSON."""
    os.environ["DO_NOT_TRACK"] = "1"
    found = measure(only, passes, seconds)
    click.echo(json.dumps({name: asdict(one) for name, one in found.items()}, indent=2))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        report(found, folder)


if __name__ == "__main__":
    main()

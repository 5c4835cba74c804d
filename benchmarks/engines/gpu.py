"""On a GPU, beside Transformers: `python -m benchmarks.engines.gpu`; its part over HTTP needs wrk and nvidia-smi.

How near vectors of texts come to what products of matrices could give; how fast texts are generated; and how busy
a server keeps the GPU.
"""

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import click
import torch

from benchmarks.engines.run import BERT_BASE, GENERATE, Benchmark, Case, Measured, measure
from benchmarks.lib.checkpoints import SHAPES, words, write
from benchmarks.lib.report import Ratio, machine, ratio_table, table
from benchmarks.lib.servers import manifold
from benchmarks.lib.texts import lengths
from benchmarks.server.serving import Round, wrk

OWN, THEIRS = "Manifold bfloat16", "Transformers bfloat16"
OWN_SIZES, THEIR_SIZE, N_AT_ONCE, N_CONNECTIONS, N_SERVED = (512, 1024, 1536), 32, 64, 128, 4096
ENCODE = replace(
    BERT_BASE,
    cases=[Case(OWN, "manifold", "benchmarks.engines.own", "bfloat16")],
    sizes=OWN_SIZES,
    n_texts=16384,
    device="cuda",
)
THEIR_ENCODE = replace(
    ENCODE,
    cases=[Case(THEIRS, "gpu", "benchmarks.engines.peers.encode_transformers", "bfloat16")],
    sizes=(THEIR_SIZE,),
    n_texts=4096,
)
GENERATED = replace(
    GENERATE,
    cases=[
        Case(OWN, "manifold", "benchmarks.engines.own", "bfloat16"),
        Case(THEIRS, "gpu", "benchmarks.engines.peers.generate_transformers", "bfloat16"),
    ],
    sizes=(1, 8, N_AT_ONCE),
    device="cuda",
)
PEAK_SIZE, N_PEAKS, LOOK_S, WARM_S = 8192, 20, 0.1, 3
WAYS = ((1, "application/json"), (32, "application/json"), (32, "application/x-npy"), (128, "application/x-npy"))
"""Texts a request, and the type of the answer."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A load over HTTP, the texts of each request, and the share of the time in which the GPU computed something."""

    n_texts: int
    accept: str
    round: Round
    busy: float

    @property
    def texts_per_s(self) -> float:
        """In good answers."""
        return self.n_texts * (self.round.requests - self.round.errors) / self.round.seconds


def peak() -> float:
    """Operations a second of a large product of matrices in bfloat16, each of random values: the median of several."""
    a, b = (torch.randn(PEAK_SIZE, PEAK_SIZE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    spent: list[float] = []
    for _ in range(N_PEAKS):
        torch.cuda.synchronize()
        started_at = time.perf_counter()
        torch.mm(a, b)
        torch.cuda.synchronize()
        spent.append(time.perf_counter() - started_at)
    return 2 * PEAK_SIZE**3 / median(spent)


def operations_per_token(benchmark: Benchmark) -> float:
    """Of the products of an encoder, on its benchmark's texts: of its weights, and of attention within each text."""
    shape = SHAPES[benchmark.shape].config.to_dict()
    width, inner, n_layers = shape["width"], shape["inner_width"], shape["n_layers"]
    its = lengths(benchmark.n_texts)
    mean_seen = sum(n * n for n in its) / sum(its)
    return float(n_layers * (2 * (4 * width**2 + 2 * width * inner) + 4 * width * mean_seen))


def served(seconds: int) -> list[Served]:
    """`/encode` over many connections, in each of the `WAYS`."""
    texts = words(lengths(N_SERVED))
    found: list[Served] = []
    with tempfile.TemporaryDirectory() as place:
        folder, file = write("bert-base", Path(place) / "base"), Path(place) / "bodies"
        options = ("--models", "base", "--model", f"base={folder}", "--device", "cuda", "--max-queue-items", "32768")
        with manifold(*options) as server:
            for n_texts, accept in WAYS:
                batches = [texts[at : at + n_texts] for at in range(0, len(texts), n_texts)]
                file.write_text("".join(json.dumps({"model": "base", "inputs": batch}) + "\n" for batch in batches))
                wrk(f"{server.url}/encode", file, N_CONNECTIONS, WARM_S, accept)
                with _busy() as samples:
                    its = wrk(f"{server.url}/encode", file, N_CONNECTIONS, seconds, accept)
                found.append(Served(n_texts=n_texts, accept=accept, round=its, busy=mean(samples) / 100))
    return found


@contextmanager
def _busy() -> Iterator[list[int]]:
    """Percents of the time in which a kernel ran, as the driver tells them, looked at again and again meanwhile."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
    samples: list[int] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_S):
            samples.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))  # noqa: S603

    with ThreadPoolExecutor(1) as looking:
        looked = looking.submit(look)
        try:
            yield samples
        finally:
            is_over.set()
        looked.result()


def report(found: Mapping[str, Any], folder: Path) -> None:
    """Markdown."""
    parts = [
        "# On a GPU",
        f"{found['device']}, torch {found['torch']}; {machine()}",
        "```\npython -m benchmarks.engines.gpu\n```",
    ]
    if "encode" in found:
        best = found["encode"][OWN].best(OWN_SIZES)
        reached = best * found["operations_per_token"] / found["peak"]
        over = best / found["encode"][THEIRS].rate(THEIR_SIZE)
        ratios = [Ratio("operations a second over those of a large product", reached, 0.45)]
        ratios += [Ratio(f"best over Transformers with SDPA, {THEIR_SIZE} texts a batch", over, 3)]
        peak = (
            f"A product of {PEAK_SIZE} by {PEAK_SIZE} values: {found['peak'] / 1e12:,.0f} · 10¹² operations a second."
        )
        parts += ["## Vectors of texts, BERT-base's shape, in one process", "Tokens/s by texts a batch:"]
        parts += [_by_size(found["encode"]), peak, ratio_table(ratios)]
    if "generate" in found:
        own, theirs = found["generate"][OWN], found["generate"][THEIRS]
        ratios = [
            Ratio(f"Manifold / Transformers, {size} at once", own.rate(size) / theirs.rate(size), least)
            for size in GENERATED.sizes
            for least in [10 if size == N_AT_ONCE else None]
        ]
        parts += [f"## {GENERATED.title}", "New tokens/s by prompts at once:"]
        parts += [_by_size(found["generate"]), ratio_table(ratios)]
    if "serve" in found:
        rows = [
            [f"{one['n_texts']}, {one['accept']}", f"{one['texts_per_s']:,.0f}", f"{one['busy']:.0%}"]
            for one in found["serve"]
        ]
        busiest = Ratio("share of the time in which the GPU is busy", max(one["busy"] for one in found["serve"]), 0.7)
        parts += [f"## `/encode` over HTTP, BERT-base's shape, {N_CONNECTIONS} connections"]
        parts += [table(["texts a request, and the answer", "texts/s", "GPU busy"], rows), ratio_table([busiest])]
    (folder / "gpu.md").write_text("\n\n".join(parts) + "\n")


def _by_size(cases: Mapping[str, Measured]) -> str:
    """A row for each case, empty at sizes that it was not asked."""
    asked = {name: [int(size) for size in its.passes[0]["1"]] for name, its in cases.items()}
    sizes = sorted({size for its in asked.values() for size in its})
    rows = [
        [name, its.package, *(f"{its.rate(size):,.0f}" if size in asked[name] else "" for size in sizes)]
        for name, its in cases.items()
    ]
    return table(["", "package", *map(str, sizes)], rows)


def _here(benchmark: Benchmark) -> Benchmark:
    return replace(benchmark, cases=[replace(case, environment="manifold") for case in benchmark.cases])


@click.command()
@click.option("--only", type=click.Choice(["encode", "generate", "serve"]), multiple=True, help="All where none.")
@click.option("--here", is_flag=True, help="Run peers with what is installed here, not in an environment of theirs.")
@click.option("--passes", default=1, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=6, show_default=True, help="Of each load over HTTP.")
@click.option("--report", "folder", type=click.Path(path_type=Path), help="Write Markdown there.")
def main(only: Sequence[str], here: bool, passes: int, rounds: int, seconds: int, folder: Path | None) -> None:
    """Measure, and print everything as JSON."""
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    for name, benchmarks in (("encode", (ENCODE, THEIR_ENCODE)), ("generate", (GENERATED,))):
        if not only or name in only:
            its = [measure(_here(one) if here else one, "", passes, rounds, 1) for one in benchmarks]
            found[name] = {case: measured for one in its for case, measured in one.items()}
    if "encode" in found:
        found["peak"], found["operations_per_token"] = peak(), operations_per_token(ENCODE)
    if not only or "serve" in only:
        found["serve"] = [asdict(one) | {"texts_per_s": one.texts_per_s} for one in served(seconds)]
    click.echo(json.dumps(found, indent=2, default=asdict))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        report(found, folder)


if __name__ == "__main__":
    main()

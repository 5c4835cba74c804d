"""Models in one process each, beside other engines with the same weights: `python -m benchmarks.engines`.

Every case is a process of its own that gets the same texts and tells tokens a second by batch size; all cases take
turns, several times, and the median counts.
"""

import json
import os
import random
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.progress import track

from benchmarks.engines.peers.common import Job, Rates
from benchmarks.lib.checkpoints import SHAPES, write
from benchmarks.lib.environments import python_of
from benchmarks.lib.report import Ratio, bars, machine, ratio_table, table
from benchmarks.lib.texts import lengths

N_TEXTS, PROMPT_LENGTH, N_NEW = 256, 32, 64


@dataclass(frozen=True)
class Case:
    """A module to run in an environment, at a precision as the engine names it."""

    name: str
    environment: str
    module: str
    precision: str


@dataclass
class Measured:
    """Of a case: what its passes told, and the package."""

    package: str = ""
    cosine: float | None = None
    passes: list[Rates] = field(default_factory=list)

    def rate(self, size: int, n_workers: int | None = None) -> float:
        """The median of the passes, with so many workers or as many as are best."""
        ways = self.passes[0] if n_workers is None else [str(n_workers)]
        return max(median(one[way][str(size)] for one in self.passes) for way in ways)

    def best(self, sizes: Sequence[int], n_workers: int | None = None) -> float:
        """The highest rate of these sizes."""
        return max(self.rate(size, n_workers) for size in sizes)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Cases on one shape, and what is measured by size.

    `ratios` are of two cases, at a size or each at its best, and the least they are to be: over the other engine as one
    worker with all threads, which is what it does without options, and over the better of that and a worker a thread.
    """

    title: str
    unit: str
    shape: str
    cases: Sequence[Case]
    sizes: Sequence[int]
    ratios: Sequence[tuple[str, str, int | None, float]]
    n_texts: int = N_TEXTS
    device: str = "cpu"

    def job(self, folder: str, n_rounds: int, n_threads: int) -> Job:
        """What every case is asked."""
        draw = random.Random(0)  # noqa: S311 no secret
        vocab_size = SHAPES[self.shape].config.to_dict()["vocab_size"]
        generates = self.shape == "gpt2"
        its = [PROMPT_LENGTH] * max(self.sizes) if generates else lengths(self.n_texts)
        texts = [[draw.randrange(5, vocab_size) for _ in range(n)] for n in its]
        return Job(
            folder=folder,
            precision="",
            texts=texts,
            sizes=list(self.sizes),
            n_new=N_NEW if generates else 0,
            n_rounds=n_rounds,
            n_threads=n_threads,
            device=self.device,
        )


OWN = [Case(f"Manifold {p}", "manifold", "benchmarks.engines.own", p) for p in ("float32", "bfloat16", "int8")]


def peers(name: str, module: str, *precisions: str) -> list[Case]:
    """Another engine's."""
    return [Case(f"{name} {p}", "engines", f"benchmarks.engines.peers.{module}", p) for p in precisions]


ENCODE = Benchmark(
    title="Vectors of texts, MiniLM's shape (6 layers of 384), in one process",
    unit="tokens/s by texts a batch",
    shape="minilm",
    cases=[
        *OWN,
        *peers("CTranslate2", "encode_ctranslate2", "float32", "int8_float32"),
        *peers("ONNX Runtime", "encode_onnxruntime", "float32", "int8"),
        *peers("OpenVINO", "encode_openvino", "f32", "bf16"),
        *peers("Transformers", "encode_transformers", "float32", "bfloat16"),
    ],
    sizes=(4, 8, 16, 32, 64),
    ratios=[
        ("Manifold float32", "CTranslate2 float32", None, 1.3),
        ("Manifold float32", "ONNX Runtime float32", None, 1.05),
        ("Manifold float32", "OpenVINO f32", None, 0.95),
        ("Manifold bfloat16", "OpenVINO bf16", None, 1.05),
        ("Manifold int8", "CTranslate2 int8_float32", None, 1.6),
        ("Manifold int8", "ONNX Runtime int8", None, 1.1),
    ],
)
BERT_BASE = replace(ENCODE, title="Vectors of texts, BERT-base's shape, in one process", shape="bert-base", ratios=())
GENERATE = Benchmark(
    title=f"GPT-2 124M, {PROMPT_LENGTH} tokens of prompt and {N_NEW} new ones, greedily, in one process",
    unit="new tokens/s by prompts at once",
    shape="gpt2",
    cases=[
        *OWN,
        *peers("Transformers", "generate_transformers", "float32", "bfloat16"),
        *peers("CTranslate2", "generate_ctranslate2", "float32", "int8_float32"),
    ],
    sizes=(1, 8, 32),
    ratios=[
        (f"Manifold {own_precision}", their, size, least)
        for own_precision, their, least_by_size in (
            ("int8", "Transformers bfloat16", (2, 3, 4)),
            ("bfloat16", "Transformers bfloat16", (2, 3, 4)),
            ("int8", "CTranslate2 int8_float32", (1.2, 2, 2)),
        )
        for size, least in zip((1, 8, 32), least_by_size, strict=True)
    ],
)
BENCHMARKS = {"encode": ENCODE, "encode-base": BERT_BASE, "generate": GENERATE}


def measure(benchmark: Benchmark, only: str, n_passes: int, n_rounds: int, n_threads: int) -> dict[str, Measured]:
    """All cases whose name has `only`, in turns."""
    cases = [case for case in benchmark.cases if only.lower() in case.name.lower()]
    found = {case.name: Measured() for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        job = benchmark.job(str(write(benchmark.shape, Path(folder))), n_rounds, n_threads)
        for case in track(cases * n_passes, benchmark.shape, console=Console(stderr=True)):
            answer = _answer(case, replace(job, precision=case.precision))
            found[case.name].package, found[case.name].cosine = answer["package"], answer["cosine"]
            found[case.name].passes.append(answer["rates"])
    return found


def _answer(case: Case, job: Job) -> dict[str, Any]:
    command = [python_of(case.environment), "-W", "ignore", "-m", case.module]
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.n_threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(  # noqa: S603
        command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise click.ClickException(f"{case.name}: {done.stderr.strip()[-1000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def report(name: str, found: Mapping[str, Measured], folder: Path) -> None:
    """Markdown and a picture."""
    benchmark = BENCHMARKS[name]
    rows = [
        [case, measured.package, *(f"{measured.rate(size):,.0f}" for size in benchmark.sizes)]
        for case, measured in found.items()
    ]
    ratios = [
        Ratio(
            f"{own} / {their}" + (" as one worker" if n_workers else "") + (f", {size} at once" if size else ""),
            found[own].best(sizes) / found[their].best(sizes, n_workers),
            least,
        )
        for own, their, size, least in benchmark.ratios
        for sizes in [[size] if size else benchmark.sizes]
        if own in found and their in found
        for n_workers in (1, None)
    ]
    best = {case: measured.best(benchmark.sizes) for case, measured in found.items()}
    (folder / f"{name}.png").write_bytes(bars(best, benchmark.unit.split(" by ")[0]))
    parts = [
        f"# {benchmark.title}",
        machine(),
        f"```\npython -m benchmarks.engines.run {name}\n```",
        f"![the best of each]({name}.png)",
        f"{benchmark.unit.capitalize()}:",
        table(["", "package", *map(str, benchmark.sizes)], rows),
        *([ratio_table(ratios)] if ratios else []),
    ]
    (folder / f"{name}.md").write_text("\n\n".join(parts) + "\n")


@click.command()
@click.argument("name", type=click.Choice(list(BENCHMARKS)))
@click.option("--only", default="", help="Cases whose name has this.")
@click.option("--passes", default=3, show_default=True, help="How often all cases take their turn.")
@click.option("--rounds", default=3, show_default=True, help="Rounds a size, within a turn.")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True)
@click.option("--report", "folder", type=click.Path(path_type=Path), help="Write Markdown and a picture there.")
def main(name: str, only: str, passes: int, rounds: int, threads: int, folder: Path | None) -> None:
    """Measure, and print everything as JSON."""
    found = measure(BENCHMARKS[name], only, passes, rounds, threads)
    click.echo(json.dumps({case: asdict(measured) for case, measured in found.items()}, indent=2))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        report(name, found, folder)


if __name__ == "__main__":
    main()

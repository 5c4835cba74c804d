"""Compare text embeddings and generation with Transformers on a GPU, and measure how busy a server keeps the GPU."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import click
import torch

from benchmarks.engines.benchmarks import (
    ENCODE_BASE,
    GENERATE,
    Benchmark,
    CaseResult,
    cases,
)
from benchmarks.engines.command import case_entries, rate_table
from benchmarks.engines.gpu_serving import N_CONNECTIONS, ServingResult, measure_serving
from benchmarks.engines.run import measure
from benchmarks.lib.checkpoints import SHAPES
from benchmarks.lib.environments import OWN
from benchmarks.lib.report import (
    Ratio,
    Report,
    json_option,
    machine,
    print_report,
    ratio_table,
    table,
)
from benchmarks.lib.texts import text_lengths

OWN_NAME, PEER_NAME = "Manifold bfloat16", "Transformers bfloat16"
OWN_BATCH_SIZES, PEER_BATCH_SIZE, N_PROMPTS = (512, 1024, 1536), 32, 64
ENCODE = replace(
    ENCODE_BASE,
    cases=cases("Manifold", "manifold_engine", "bfloat16", environment=OWN),
    batch_sizes=OWN_BATCH_SIZES,
    n_texts=16384,
    device="cuda",
)
PEER_ENCODE = replace(
    ENCODE,
    cases=cases("Transformers", "peers.encode_transformers", "bfloat16", environment="gpu"),
    batch_sizes=(PEER_BATCH_SIZE,),
    n_texts=4096,
)
GENERATE_ON_GPU = replace(
    GENERATE,
    cases=[
        *cases("Manifold", "manifold_engine", "bfloat16", environment=OWN),
        *cases("Transformers", "peers.generate_transformers", "bfloat16", environment="gpu"),
    ],
    batch_sizes=(1, 8, N_PROMPTS),
    device="cuda",
)
PRODUCT_SIZE, N_PRODUCTS = 8192, 20


@dataclass
class GpuResults:
    """The results of the parts that were measured; None or empty for the others."""

    encode: Mapping[str, CaseResult] | None = None
    product_operations_per_second: float = 0.0
    operations_per_token: float = 0.0
    generate: Mapping[str, CaseResult] | None = None
    serve: Sequence[ServingResult] = ()


def measure_product() -> float:
    """Return the operations a second of a large product of random matrices in bfloat16, the median of several."""
    a, b = (torch.randn(PRODUCT_SIZE, PRODUCT_SIZE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    rounds: list[float] = []
    for _ in range(N_PRODUCTS):
        torch.cuda.synchronize()
        started_at = time.perf_counter()
        torch.mm(a, b)
        torch.cuda.synchronize()
        rounds.append(time.perf_counter() - started_at)
    return 2 * PRODUCT_SIZE**3 / median(rounds)


def operations_per_token(benchmark: Benchmark) -> float:
    """Return the mean operations of an encoder for a token of its benchmark's texts.

    Counted are the products with the weights, and those of attention within each text.
    """
    shape = SHAPES[benchmark.shape].config.to_dict()
    width, inner_width, n_layers = shape["width"], shape["inner_width"], shape["n_layers"]
    lengths = text_lengths(benchmark.n_texts)
    mean_keys = sum(n * n for n in lengths) / sum(lengths)
    return float(n_layers * (2 * (4 * width**2 + 2 * width * inner_width) + 4 * width * mean_keys))


@click.command()
@click.option(
    "--only", type=click.Choice(["encode", "generate", "serve"]), multiple=True, help="Parts; by default all."
)
@click.option("--here", is_flag=True, help="Run Transformers as installed here, and not in its own environment.")
@click.option("--passes", default=1, show_default=True, help="How often each case takes its turn.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of a batch size within a turn.")
@click.option("--seconds", default=6.0, show_default=True, help="Length of each load over HTTP.")
@json_option
def gpu(only: Sequence[str], here: bool, passes: int, rounds: int, seconds: float, as_json: bool) -> None:
    """Compare with Transformers on a GPU.

    encode measures text embeddings with BERT-base's shape, also beside a large product of matrices; generate measures
    generation with GPT-2's shape; serve measures /encode over HTTP, which needs wrk and nvidia-smi.

    \b
    Keys of the JSON output; a part that was not measured is left out:
      device, torch                    the GPU, and the version of torch
      encode, generate                 lists of cases, as of `manifold bench engines`
      product_operations_per_second    of a product of 8192 by 8192 values
      operations_per_token             of the encoder
      serve                            a list, one entry for each format:
        texts_per_request, accept      the format
        texts_per_second               texts in good answers
        gpu_busy                       share of the time in which the GPU was busy
        load                           what wrk printed: requests, seconds, errors, p50_ms, p99_ms
      ratios                           a list: name, ratio, target
    """
    chosen = set(only or ("encode", "generate", "serve"))
    results = GpuResults()
    if "encode" in chosen:
        results.encode = _measure((ENCODE, PEER_ENCODE), here, passes, rounds)
        results.product_operations_per_second = measure_product()
        results.operations_per_token = operations_per_token(ENCODE)
    if "generate" in chosen:
        results.generate = _measure((GENERATE_ON_GPU,), here, passes, rounds)
    if "serve" in chosen:
        results.serve = measure_serving(seconds)
    device = torch.cuda.get_device_name()
    report = report_of(results, f"{device}, torch {torch.__version__}; {machine()}")
    output = {"device": device, "torch": torch.__version__, **summarise(results)}
    print_report(report, output, as_json=as_json)


def _measure(benchmarks: Sequence[Benchmark], here: bool, n_passes: int, n_rounds: int) -> dict[str, CaseResult]:
    results: dict[str, CaseResult] = {}
    for benchmark in benchmarks:
        chosen = [replace(case, environment=OWN) if here else case for case in benchmark.cases]
        results |= measure(replace(benchmark, cases=chosen), n_passes=n_passes, n_rounds=n_rounds, n_threads=1)
    return results


def summarise(results: GpuResults) -> dict[str, Any]:
    """Return the results with the keys of the JSON output."""
    output: dict[str, Any] = {}
    if results.encode is not None:
        output["encode"] = case_entries(results.encode)
        output["product_operations_per_second"] = results.product_operations_per_second
        output["operations_per_token"] = results.operations_per_token
    if results.generate is not None:
        output["generate"] = case_entries(results.generate)
    if results.serve:
        output["serve"] = [
            {
                "texts_per_request": each.n_texts,
                "accept": each.accept,
                "texts_per_second": each.texts_per_second,
                "gpu_busy": each.gpu_busy,
                "load": asdict(each.load),
            }
            for each in results.serve
        ]
    return {**output, "ratios": [asdict(ratio) for ratio in all_ratios(results)]}


def all_ratios(results: GpuResults) -> list[Ratio]:
    """Return the ratios of the parts that were measured."""
    ratios: list[Ratio] = []
    if results.encode is not None:
        best = results.encode[OWN_NAME].best_rate(OWN_BATCH_SIZES)
        efficiency = best * results.operations_per_token / results.product_operations_per_second
        speed_up = best / results.encode[PEER_NAME].rate(PEER_BATCH_SIZE)
        ratios += [
            Ratio("operations a second over those of a large product", efficiency, 0.45),
            Ratio(f"best over Transformers with SDPA, {PEER_BATCH_SIZE} texts a batch", speed_up, 3),
        ]
    if results.generate is not None:
        own, peer = results.generate[OWN_NAME], results.generate[PEER_NAME]
        for size in GENERATE_ON_GPU.batch_sizes:
            target = 10 if size == N_PROMPTS else None
            ratios.append(Ratio(f"Manifold / Transformers, {size} at once", own.rate(size) / peer.rate(size), target))
    if results.serve:
        busiest = max(each.gpu_busy for each in results.serve)
        ratios.append(Ratio("share of the time in which the GPU is busy", busiest, 0.7))
    return ratios


def report_of(results: GpuResults, hardware: str) -> Report:
    """Return Markdown with a table for each part that was measured."""
    note: list[str] = []
    parts: list[str] = []
    if results.encode is not None:
        operations = f"{results.product_operations_per_second / 1e12:,.0f} · 10¹²"
        note += [
            "The first table shows tokens per second of text embeddings, BERT-base's shape, by texts in a batch.",
            f"A product of {PRODUCT_SIZE} by {PRODUCT_SIZE} values reaches {operations} operations a second.",
        ]
        parts.append(rate_table(results.encode, sorted((*OWN_BATCH_SIZES, PEER_BATCH_SIZE))))
    if results.generate is not None:
        note.append(f"{GENERATE.title}: {GENERATE.note}")
        parts.append(rate_table(results.generate, GENERATE_ON_GPU.batch_sizes))
    if results.serve:
        note.append(f"The last table is of `/encode` over HTTP, BERT-base's shape, {N_CONNECTIONS} connections.")
        rows = [
            [f"{each.n_texts}, {each.accept}", f"{each.texts_per_second:,.0f}", f"{each.gpu_busy:.0%}"]
            for each in results.serve
        ]
        parts.append(table(["texts a request, and the answer", "texts/s", "GPU busy"], rows))
    return Report(
        name="gpu",
        title="On a GPU",
        command="manifold bench gpu",
        hardware=hardware,
        note=" ".join(note),
        parts=[*parts, ratio_table(all_ratios(results))],
    )

"""Measure products of matrices, as the linear layers of the models do them, with each implementation."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import click
import torch
from torch import Tensor, nn

from app.process.allocator import keep_freed_memory
from benchmarks.lib.report import (
    Report,
    json_option,
    machine,
    print_report,
    progress,
    table,
)
from models.ops import avx512, onednn

SIZES = (
    (2048, 3072, 768),
    (512, 384, 1536),
    (40, 384, 1536),
    (32, 768, 3072),
    (8, 768, 3072),
    (1, 768, 3072),
    (1, 768, 50257),
)
"""Rows, inputs and outputs. The first is larger than any layer, where oneDNN shows what the processor can do. The
others are those of MiniLM (384 wide) and GPT-2 (768 wide), for a batch of texts and for a step of generation."""
N_ROUNDS, ROUND_S = 7, 0.05


@dataclass(frozen=True)
class ProductResult:
    """Operations a second of a product by implementation: a multiplication and an addition for each row and weight."""

    n_rows: int
    n_inputs: int
    n_outputs: int
    operations_per_second: dict[str, float]


def median_seconds(run: Callable[[], object]) -> float:
    """Return the mean time of a call, the median of the rounds."""
    run()
    started_at, n_calls = time.perf_counter(), 0
    while time.perf_counter() - started_at < ROUND_S:
        run()
        n_calls += 1
    rounds = []
    for _ in range(N_ROUNDS):
        started_at = time.perf_counter()
        for _ in range(n_calls):
            run()
        rounds.append((time.perf_counter() - started_at) / n_calls)
    return statistics.median(rounds)


def implementations(linear: nn.Linear, x: Tensor) -> dict[str, Callable[[], object]]:
    """Return a function for each implementation that multiplies `x` by the weights of a layer.

    Names are the precision of the weights and the library.
    """
    half, x_half = nn.Linear(linear.in_features, linear.out_features).bfloat16(), x.bfloat16()
    onednn_int8 = onednn.Int8Weights(linear.weight, linear.bias, dtype=torch.bfloat16)
    found: dict[str, Callable[[], object]] = {
        "float32_torch": partial(linear, x),
        "float32_onednn": partial(onednn.FloatWeights(linear.weight, linear.bias).linear, x),
        "bfloat16_torch": partial(half, x_half),
        "int8_onednn": partial(onednn_int8.linear, x_half),
    }
    if onednn.supports_weights(torch.bfloat16):
        found["bfloat16_onednn"] = partial(onednn.FloatWeights(half.weight, half.bias).linear, x_half)
    if avx512.is_fastest_for(torch.int8, torch.bfloat16):
        avx512_int8 = avx512.PanelWeights(linear.weight, linear.bias, int8=True)
        found |= {
            "float32_avx512": partial(avx512.PanelWeights(linear.weight, linear.bias).linear, x),
            "bfloat16_avx512": partial(avx512.PanelWeights(half.weight, half.bias).linear, x_half),
            "int8_avx512": partial(avx512_int8.linear, x_half),
        }
    return dict(sorted(found.items()))


def measure(n_rows: int, n_inputs: int, n_outputs: int) -> ProductResult:
    """Measure a product by each implementation."""
    n_operations = 2 * n_rows * n_inputs * n_outputs
    with torch.inference_mode():
        linear, x = nn.Linear(n_inputs, n_outputs), torch.randn(n_rows, n_inputs)
        rates = {name: n_operations / median_seconds(run) for name, run in implementations(linear, x).items()}
    return ProductResult(n_rows, n_inputs, n_outputs, rates)


@click.command()
@json_option
def products(as_json: bool) -> None:
    """Measure products of matrices, as the layers do them.

    Implementations are torch's own, oneDNN with packed weights, and, on processors with AVX-512, the kernels of this
    project. Set OMP_NUM_THREADS to choose the number of threads.

    \b
    Keys of the JSON output:
      threads                  threads of torch
      products                 a list, one entry for each size:
        rows, inputs, outputs  the size
        operations_per_second  by implementation: precision_library
    """
    keep_freed_memory()
    with progress("products") as bar:
        results = [measure(*size) for size in bar.track(SIZES)]
    entries = [
        {
            "rows": result.n_rows,
            "inputs": result.n_inputs,
            "outputs": result.n_outputs,
            "operations_per_second": result.operations_per_second,
        }
        for result in results
    ]
    output = {"threads": torch.get_num_threads(), "products": entries}
    print_report(_report(results), output, as_json=as_json)


def _report(results: list[ProductResult]) -> Report:
    columns = [name.replace("_", ", ") for name in results[0].operations_per_second]
    rows = [
        [
            f"{result.n_rows} x {result.n_inputs} x {result.n_outputs}",
            *(f"{rate / 1e9:,.0f}" for rate in result.operations_per_second.values()),
        ]
        for result in results
    ]
    return Report(
        name="products",
        title="Products of matrices",
        command="manifold bench products",
        hardware=f"{machine()} {torch.get_num_threads()} threads, torch {torch.__version__}.",
        parts=[
            "10⁹ operations a second:",
            table(["rows x inputs x outputs", *columns], rows),
        ],
    )

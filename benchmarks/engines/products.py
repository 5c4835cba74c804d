"""One linear layer: torch's own, laid out for the kernel, and in int8. `python -m benchmarks.engines.products` prints it.

The shapes are those of MiniLM (384 wide) and GPT-2 (768 wide), with the rows of a batch of texts, and of one step of
generation. The first is larger than any of these: what oneDNN gets of it, the processor can give.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from models import kernels
from models.allocator import keep_freed_memory
from models.layers.products import FloatProduct, Int8Product, OwnProduct

SHAPES = (
    (2048, 3072, 768),
    (512, 384, 1536),
    (40, 384, 1536),
    (32, 768, 3072),
    (8, 768, 3072),
    (1, 768, 3072),
    (1, 768, 50257),
)
N_ROUNDS, ROUND_S = 7, 0.05


def seconds(run: Callable[[], object]) -> float:
    """The median over rounds of the mean time of a call."""
    run()
    started_at, n = time.perf_counter(), 0
    while time.perf_counter() - started_at < ROUND_S:
        run()
        n += 1
    rounds = []
    for _ in range(N_ROUNDS):
        started_at = time.perf_counter()
        for _ in range(n):
            run()
        rounds.append((time.perf_counter() - started_at) / n)
    return statistics.median(rounds)


def ways(linear: nn.Linear, x: Tensor) -> dict[str, Callable[[], object]]:
    """A product by each of the ways there are."""
    half, x_half = nn.Linear(linear.in_features, linear.out_features).bfloat16(), x.bfloat16()
    found: dict[str, Callable[[], object]] = {
        "float32, torch": partial(linear, x),
        "float32, oneDNN": partial(FloatProduct(linear.weight, linear.bias), x),
        "bfloat16, torch": partial(half, x_half),
        "bfloat16, oneDNN": partial(FloatProduct(half.weight, half.bias), x_half),
        "int8, oneDNN": partial(Int8Product(linear.weight, linear.bias), x_half),
    }
    if kernels.multiply(torch.int8, torch.bfloat16):
        found |= {
            "float32, own": partial(OwnProduct(linear.weight, linear.bias), x),
            "bfloat16, own": partial(OwnProduct(half.weight, half.bias), x_half),
            "int8, own": partial(OwnProduct(linear.weight, linear.bias, int8=True), x_half),
        }
    return dict(sorted(found.items()))


def main() -> None:
    """Print how many operations a second each way does: a multiplication and an addition for each row and weight."""
    keep_freed_memory()
    table = Table(title=f"10⁹ operations/s, {torch.get_num_threads()} threads, torch {torch.__version__}")
    table.add_column("rows x inputs x outputs")
    for number, (n_rows, n_in, n_out) in enumerate(SHAPES):
        with torch.inference_mode():
            linear, x = nn.Linear(n_in, n_out), torch.randn(n_rows, n_in)
            found = {name: seconds(run) for name, run in ways(linear, x).items()}
        if number == 0:
            for name in found:
                table.add_column(name, justify="right")
        n_operations = 2 * n_rows * n_in * n_out
        table.add_row(f"{n_rows} x {n_in} x {n_out}", *(f"{n_operations / s / 1e9:,.0f}" for s in found.values()))
    Console().print(table)


if __name__ == "__main__":
    main()

"""Vectors of texts in one process, with the shape of MiniLM and random weights; `python -m benchmarks.encode`."""

import copy
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.texts import batches, texts
from models.allocator import keep_freed_memory
from models.precision import Choice, Precision, lower
from models.tasks.text import Tokens
from models.transformers.bert.config import BertConfig
from models.transformers.bert.model import Bert

CONFIG = BertConfig(
    vocab_size=30522, n_positions=512, n_token_types=2, width=384, n_layers=6, n_heads=12, inner_width=1536
)
N_TEXTS, N_ROUNDS = 256, 5
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
BUDGETS = (256, 512, 1024, 2048, 4096)


def tokens_per_s(model: Bert, parts: list[list[Tokens]]) -> float:
    """The median over rounds."""
    n_tokens = sum(len(text) for part in parts for text in part)
    rates = []
    with torch.inference_mode():
        model.vectors(parts[0])
        for _ in range(N_ROUNDS):
            started_at = time.perf_counter()
            for part in parts:
                model.vectors(part)
            rates.append(n_tokens / (time.perf_counter() - started_at))
    return statistics.median(rates)


def main() -> None:
    """Print tokens/s by precision, budget and order."""
    keep_freed_memory()
    torch.manual_seed(0)
    its = texts(N_TEXTS, CONFIG.vocab_size)
    base = Bert(CONFIG).eval().requires_grad_(False)
    table = Table(title=f"tokens/s, {N_TEXTS} texts, {torch.get_num_threads()} threads, torch {torch.__version__}")
    table.add_column("budget, order")
    models: dict[str, Bert] = {"as torch has it": base}
    for precision in PRECISIONS:
        model = copy.deepcopy(base)
        cosine = lower(model, Choice(precision, "")).cosine
        models[f"{precision} (cosine {cosine:.5f})"] = model
    for name in models:
        table.add_column(name, justify="right")
    for budget in BUDGETS:
        for order, some in (("as they come", its), ("by length", sorted(its, key=len))):
            rates = [tokens_per_s(model, batches(some, budget)) for model in models.values()]
            table.add_row(f"{budget}, {order}", *(f"{rate:,.0f}" for rate in rates))
    Console().print(table)


if __name__ == "__main__":
    main()

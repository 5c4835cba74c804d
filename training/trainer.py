"""Runs a recipe: seeded, resumable to the exact step, in bfloat16 where the device computes it natively."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from models.catalogue import family
from models.family import Model
from training.data.files import DataFolder
from training.recipe import Recipe
from training.state import load_state, save_state

SAVE_EVERY_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where and how long a recipe runs. `n_steps` cuts a run short without changing its schedule (for tests)."""

    data: DataFolder
    folder: Path
    device: str
    n_steps: int | None = None
    quiet: bool = False


def train(recipe: Recipe, run: Run) -> Model:
    """Train from the saved state in `run.folder`, or from the start; returns the model after the last step."""
    torch.manual_seed(recipe.seed)
    model: Model = family(recipe.family).build(recipe.config)
    recipe.initialise(model)
    model.to(run.device)
    optimisers = recipe.optimisers(model)
    peaks = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    items = recipe.training_items(run.data).to(run.device)
    n_steps = recipe.n_epochs * (len(items) // recipe.batch_size)
    stamp = fingerprint(recipe, n_steps)
    first = load_state(run.folder, fingerprint=stamp, model=model, optimisers=optimisers) or 0
    last = n_steps if run.n_steps is None else min(run.n_steps, n_steps)
    saved_at = time.monotonic()
    model.train()
    with _progress(recipe.name, first, last, quiet=run.quiet) as report:
        for step in range(first, last):
            factor = recipe.learning_rate(step / n_steps)
            for optimiser, rates in zip(optimisers, peaks, strict=True):
                for group, rate in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = rate * factor
            report(step + 1, _step(recipe, model, optimisers, items, step))
            if time.monotonic() - saved_at > SAVE_EVERY_S:
                save_state(run.folder, fingerprint=stamp, step=step + 1, model=model, optimisers=optimisers)
                saved_at = time.monotonic()
    save_state(run.folder, fingerprint=stamp, step=last, model=model, optimisers=optimisers)
    return model.eval()


def fingerprint(recipe: Recipe, n_steps: int) -> str:
    """What must be equal for a saved state to be this run's."""
    settings = [recipe.name, recipe.config.to_dict(), recipe.seed, recipe.batch_size, n_steps]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


def batch_indices(n_items: int, batch_size: int, seed: int, step: int) -> Tensor:
    """The items of a step: each epoch is a fresh permutation, its incomplete last batch left out."""
    epoch, place = divmod(step, n_items // batch_size)
    order = torch.randperm(n_items, generator=torch.Generator().manual_seed(_mix(seed, epoch, stream=0)))
    return order[place * batch_size : (place + 1) * batch_size]


def _step(recipe: Recipe, model: Model, optimisers: list[torch.optim.Optimizer], items: Tensor, step: int) -> Tensor:
    indices = batch_indices(len(items), recipe.batch_size, recipe.seed, step).to(items.device)
    generator = torch.Generator().manual_seed(_mix(recipe.seed, step, stream=1))
    device = items.device.type
    with torch.autocast(device, torch.bfloat16, enabled=has_native_bfloat16(device)):
        loss = recipe.loss(model, items[indices], generator)
    for optimiser in optimisers:
        optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for optimiser in optimisers:
        optimiser.step()
    return loss.detach()


def has_native_bfloat16(device: str) -> bool:
    """Whether bfloat16 products are faster than float32 there, rather than emulated."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.12
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _mix(seed: int, number: int, *, stream: int) -> int:
    """A generator seed that differs for every (seed, number, stream)."""
    digest = hashlib.sha256(f"{seed}/{number}/{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class _Report:
    """Shows a running mean of the loss. Reads it from the device only now and then, for that waits for the device."""

    EVERY = 20

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress, self._task = progress, task
        self._losses: list[Tensor] = []

    def __call__(self, step: int, loss: Tensor) -> None:
        self._losses.append(loss)
        if step % self.EVERY == 0:
            mean = torch.stack(self._losses).float().mean().item()
            self._losses.clear()
            self._progress.update(self._task, completed=step, loss=f"{mean:.4f}")  # type: ignore[arg-type]


@contextmanager
def _progress(name: str, first: int, last: int, *, quiet: bool) -> Iterator[_Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), disable=quiet) as progress:
        yield _Report(progress, progress.add_task(name, total=last, completed=first, loss="…"))

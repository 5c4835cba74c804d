"""Run a recipe: seeded, resumable at the exact step, in bfloat16 where the device is fast at it."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from models.catalogue import family
from models.family import Model
from training.errors import DataError
from training.mixed_precision import has_fast_bfloat16
from training.recipe import Batch, History, Recipe, Resources, Stage, TrainedModel
from training.state import State

SAVE_EVERY_S = 30.0
"""Seconds between two saves of the state."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a recipe runs; `n_steps` ends a run at that step of a stage without changing the schedule, for tests."""

    resources: Resources
    folder: Path
    device: str
    n_steps: int | None = None
    quiet: bool = False


@dataclass(frozen=True, kw_only=True)
class _RunIdentity:
    """Identifies the training of one seed or fold; `initial_digest` is the digest of the initial weights."""

    recipe: Recipe
    seed: int
    fold: int | None
    initial_digest: str

    def fingerprint(self, stage: Stage[Any], n_steps: int) -> str:
        """Return a digest of everything that must be equal for a saved state to belong to this run."""
        run = [self.recipe.name, self.recipe.config.to_dict(), self.seed, self.fold, self.initial_digest]
        settings = [*run, stage.name, stage.batch_size, n_steps]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


def train(recipe: Recipe, run: Run, seed: int = 0, fold: int | None = None) -> TrainedModel:
    """Train from the saved state in `run.folder`, or from the start, to the end of the last stage.

    With `fold`, that fold of the items is left out.

    Raises:
        DataError: a data set is missing or damaged, or has fewer items than a batch.
        StateError: the folder holds the state of another run.
    """
    torch.manual_seed(seed)
    model: Model = family(recipe.family).new_model(recipe.config)
    recipe.initialise(model, run.resources)
    identity = _RunIdentity(recipe=recipe, seed=seed, fold=fold, initial_digest=_digest(model))
    model.to(run.device)
    histories: dict[str, History] = {}
    for number, stage in enumerate(recipe.stages):
        torch.manual_seed(_derive_seed(seed, number, stream=2))
        histories[stage.name] = History()
        if not _train_stage(identity, number, model.train(), run, histories[stage.name]):
            break
    return TrainedModel(model.eval(), histories)


def _train_stage(identity: _RunIdentity, number: int, model: Model, run: Run, history: History) -> bool:
    """Train the remaining steps of a stage; return False if `run.n_steps` stops it before its end."""
    recipe, stage = identity.recipe, identity.recipe.stages[number]
    items = tuple(
        tensor.to(run.device) for tensor in _leave_out_fold(identity.fold, recipe.n_folds, stage.items(run.resources))
    )
    if len(items[0]) < stage.batch_size:
        raise DataError(f"{recipe.name}: {len(items[0])} items are fewer than one batch of {stage.batch_size}")
    n_steps = stage.total_steps(len(items[0]))
    companion = stage.begin(model, items).to(run.device)
    state = State(
        folder=run.folder / f"{number}-{stage.name}",
        fingerprint=identity.fingerprint(stage, n_steps),
        model=model,
        companion=companion,
        optimisers=stage.optimisers(model, companion),
        history=history,
    )
    runner = _StepRunner(stage, state, items, identity.seed, n_steps)
    first = state.load() or 0
    last = n_steps if run.n_steps is None else min(run.n_steps, n_steps)
    with _show_progress(f"{recipe.name} {stage.name}", stage, first, last, history, quiet=run.quiet) as reporter:
        for step in range(first, last):
            reporter.step_done(step + 1, runner.run(step))
            if reporter.seconds_since_saved > SAVE_EVERY_S:
                reporter.state_saved()
                state.save(step + 1)
        reporter.state_saved()
    if first < last or first == 0:
        state.save(last)
    if last == n_steps:
        stage.end(model, companion)
    return last == n_steps


class _StepRunner:
    """Runs single steps of a stage; no generator state is carried from one step to the next."""

    def __init__(self, stage: Stage[Any], state: State, items: Batch, seed: int, n_steps: int) -> None:
        self._stage, self._state, self._items, self._seed, self._n_steps = stage, state, items, seed, n_steps
        self._peak_rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in state.optimisers]
        self._device = items[0].device
        self._is_mixed = stage.autocast and has_fast_bfloat16(self._device)

    def run(self, step: int) -> Tensor:
        """Run one step and return its loss."""
        stage, model, companion = self._stage, self._state.model, self._state.companion
        self._set_rates(stage.learning_rate(step / self._n_steps))
        indices = batch_indices(len(self._items[0]), stage.batch_size, self._seed, step).to(self._device)
        torch.manual_seed(_derive_seed(self._seed, step, stream=3))  # dropout draws from the global generator
        generator = torch.Generator().manual_seed(_derive_seed(self._seed, step, stream=1))
        batch = tuple(tensor[indices] for tensor in self._items)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._is_mixed):
            loss = stage.loss(model, batch, generator, companion)
        _update_parameters(loss, self._state.optimisers, stage.max_gradient_norm)
        stage.after_step(model, companion, (step + 1) / self._n_steps)
        return loss.detach()

    def _set_rates(self, factor: float) -> None:
        for optimiser, rates in zip(self._state.optimisers, self._peak_rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor


def _update_parameters(loss: Tensor, optimisers: Sequence[torch.optim.Optimizer], max_norm: float | None) -> None:
    for optimiser in optimisers:
        optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if max_norm is not None:
        torch.nn.utils.clip_grad_norm_([p for o in optimisers for g in o.param_groups for p in g["params"]], max_norm)
    for optimiser in optimisers:
        optimiser.step()


def _leave_out_fold(fold: int | None, n_folds: int, items: Batch) -> Batch:
    if fold is None:
        return items
    is_kept = torch.arange(len(items[0])) % n_folds != fold
    return tuple(tensor[is_kept] for tensor in items)


def _digest(model: Model) -> str:
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.flatten().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def batch_indices(n_items: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Return the items of a step: each epoch is a new permutation, without its incomplete last batch."""
    epoch, position = divmod(step, n_items // batch_size)
    order = torch.randperm(n_items, generator=torch.Generator().manual_seed(_derive_seed(seed, epoch, stream=0)))
    return order[position * batch_size : (position + 1) * batch_size]


def _derive_seed(seed: int, number: int, *, stream: int) -> int:
    """Return a generator seed that differs for every (seed, number, stream)."""
    digest = hashlib.sha256(f"{seed}/{number}/{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class _ProgressReporter:
    """Shows and records the running mean of the loss, and adds the time to the history whenever the state is saved.

    The loss is read only every `EVERY` steps, since reading it waits for the device.
    """

    EVERY = 20

    def __init__(self, progress: Progress, task: int, stage: Stage[Any], history: History) -> None:
        self._progress, self._task, self._history = progress, task, history
        self._unit, self._units_per_step = stage.unit, stage.units_per_item * stage.batch_size
        self._losses: list[Tensor] = []
        self._last_saved = self._last_shown = time.monotonic()

    def step_done(self, step: int, loss: Tensor) -> None:
        """Record the loss of a step, and refresh the progress line every `EVERY` steps."""
        self._losses.append(loss)
        if step % self.EVERY == 0:
            mean = torch.stack(self._losses).float().mean().item()
            self._history.steps.append(step)
            self._history.losses.append(mean)
            now = time.monotonic()
            pace = f"{len(self._losses) * self._units_per_step / (now - self._last_shown):,.0f} {self._unit}/s"
            self._losses.clear()
            self._last_shown = now
            self._progress.update(self._task, completed=step, loss=f"{mean:.4f}", pace=pace)  # type: ignore[arg-type]

    @property
    def seconds_since_saved(self) -> float:
        """Seconds since the last save, or since the start."""
        return time.monotonic() - self._last_saved

    def state_saved(self) -> None:
        """Add the time since the last save to the history."""
        self._history.seconds += self.seconds_since_saved
        self._last_saved = time.monotonic()


@contextmanager
def _show_progress(
    name: str, stage: Stage[Any], first: int, last: int, history: History, *, quiet: bool
) -> Iterator[_ProgressReporter]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  {task.fields[pace]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), disable=quiet) as progress:
        yield _ProgressReporter(
            progress, progress.add_task(name, total=last, completed=first, loss="…", pace=""), stage, history
        )

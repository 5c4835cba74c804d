"""Tests that a training killed at any moment resumes in another process, and ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.training.texts.tiny import RECIPES

ROOT = Path(__file__).parents[2]
N_STEPS = {"tiny-pairs": (12, 8), "tiny-translation": (20,)}
"""Numbers of steps of each recipe's stages."""
SCRIPT = """
import os, signal, sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.training.texts.tiny import RECIPES, resources
from training import state, trainer

moment, weights, *runs = sys.argv[1:]
torch.set_num_threads(1)
trainer.SAVE_EVERY_S = -1.0  # a state after each step
n_calls = 0


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def watch(kind):
    inner = kind.loss

    def loss(*arguments):
        global n_calls
        n_calls += 1
        if moment == f"loss-{n_calls}":
            die()
        return inner(*arguments)

    kind.loss = loss


def saved(tensors, path, metadata):
    save_file(tensors, path, metadata)
    if moment == f"save-{n_calls}":
        die()  # the new state is written, and not yet in its place


for kind in {type(stage) for recipe in RECIPES.values() for stage in recipe.stages}:
    watch(kind)
state.save_file = saved
for folder in map(Path, runs):
    run = trainer.Run(resources=resources(Path(weights)), folder=folder, device="cpu", quiet=True)
    model = trainer.train(RECIPES[folder.name], run).model
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    print(f"{folder.name} {n_calls}")
    n_calls = 0
"""


def process(moment: str, weights: Path, runs: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    """Train in folders named like recipes, in a process that kills itself at the given moment."""
    command = [sys.executable, "-c", SCRIPT, moment, str(weights), *map(str, runs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)


def lines(finished: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the finished recipes with their numbers of steps."""
    assert finished.returncode == 0, finished.stderr
    return [line for line in finished.stdout.splitlines() if line.startswith("tiny-")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the vocabularies, and with the results of uninterrupted runs."""
    root = tmp_path_factory.mktemp("weights")
    finished = lines(process("never", root, [root / name for name in RECIPES]))
    assert finished == [f"{name} {sum(steps)}" for name, steps in N_STEPS.items()]
    return root


def steps_done(folder: Path) -> list[int]:
    """Return the step in the saved state of each stage that has one."""
    found: list[int] = []
    for file in sorted(folder.glob("*/state.safetensors")):
        with safe_open(file, "pt") as state:
            found.append(int(state.metadata()["step"]))
    return found


def kills(name: str) -> list[tuple[str, int]]:
    """Return a random but fixed moment in each stage: a kill in the loss, then one while a state is saved."""
    draw = random.Random(name)
    steps = N_STEPS[name] if len(N_STEPS[name]) > 1 else (10, 10)
    first, second = (draw.randint(3, n - 1) for n in steps)
    return [("loss", first), ("save", steps[0] - first + 1 + second)]


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_killed_twice_ends_with_the_bytes_of_an_uninterrupted_one(
    name: str, weights: Path, tmp_path: Path
) -> None:
    run, n_done = tmp_path / name, 0
    for what, number in kills(name):
        killed = process(f"{what}-{number}", weights, [run])
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        n_done += number - 1  # the step in which it died is lost, or its state is
        assert sum(steps_done(run)) == n_done
        assert not (run / "model.safetensors").exists()
    assert any(run.glob("*/*.partial"))
    assert lines(process("never", weights, [run])) == [f"{name} {sum(N_STEPS[name]) - n_done}"]
    expected = (weights / name / "model.safetensors").read_bytes()
    assert (run / "model.safetensors").read_bytes() == expected

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoders.vanilla.model import VanillaAutoencoder
from models.family import Model
from tests.training.tiny import TinyRecipe, TinyStage
from training.data.files import DataFolder
from training.errors import StateError, UnknownRecipe
from training.recipe import Batch, Resources, get_recipe, recipes
from training.trainer import Run, batch_indices, train

NOWHERE = DataFolder(Path("nowhere"), download=False)
RESOURCES = Resources(NOWHERE, Path("nowhere"))


def run(folder: Path, n_steps: int | None = None) -> Model:
    return train(TinyRecipe(), Run(resources=RESOURCES, folder=folder, device="cpu", n_steps=n_steps, quiet=True)).model


def assert_equal(one: Model, other: Model) -> None:
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key


@pytest.mark.parametrize("stop", [1, 6, 7, 17, 18])
def test_a_run_cut_and_resumed_ends_with_the_same_weights(tmp_path: Path, stop: int) -> None:
    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", n_steps=stop)
    assert_equal(run(tmp_path / "cut"), whole)


def test_runs_of_one_seed_are_equal_and_training_lowers_the_error(tmp_path: Path) -> None:
    first, second, start = run(tmp_path / "a"), run(tmp_path / "b"), run(tmp_path / "c", n_steps=0)
    assert_equal(first, second)
    recipe = TinyRecipe()
    assert recipe.evaluate(first, RESOURCES)["test_mse"] < 0.8 * recipe.evaluate(start, RESOURCES)["test_mse"]


def test_a_run_never_sees_the_fold_it_leaves_out(tmp_path: Path) -> None:
    (items,) = TinyRecipe.stages[0].items(RESOURCES)

    class Watching(TinyStage):
        """Keeps every image it is shown."""

        batch_size = 10
        seen: set[int] = set()  # noqa: RUF012

        def loss(self, model: VanillaAutoencoder, batch: Batch, generator: Generator, companion: nn.Module) -> Tensor:
            same = (batch[0][:, None] == items).flatten(2).all(2)
            self.seen |= set(same.nonzero()[:, 1].tolist())
            return super().loss(model, batch, generator, companion)

    class Folded(TinyRecipe):
        n_folds = 5
        stages = (Watching(),)

    train(Folded(), Run(resources=RESOURCES, folder=tmp_path, device="cpu", quiet=True), fold=2)
    assert Watching.seen == {i for i in range(100) if i % 5 != 2}
    with pytest.raises(StateError, match="another recipe"):
        train(Folded(), Run(resources=RESOURCES, folder=tmp_path, device="cpu", quiet=True), fold=3)


def test_the_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    class Other(TinyRecipe):
        config = VanillaConfig(input_shape=(1, 4, 4), hidden_widths=(9,), latent_width=2)

    run(tmp_path, n_steps=1)
    with pytest.raises(StateError, match="another recipe"):
        train(Other(), Run(resources=RESOURCES, folder=tmp_path, device="cpu", quiet=True))


@given(n=st.integers(1, 50), batch=st.integers(1, 50), seed=st.integers(0, 9), epoch=st.integers(0, 5))
def test_an_epoch_visits_no_item_twice_and_leaves_out_less_than_a_batch(
    n: int, batch: int, seed: int, epoch: int
) -> None:
    n_batches = n // batch
    if n_batches == 0:
        return
    visited = [i for b in range(n_batches) for i in batch_indices(n, batch, seed, epoch * n_batches + b).tolist()]
    assert len(visited) == len(set(visited)) == n_batches * batch
    assert set(visited) <= set(range(n))


def test_epochs_differ() -> None:
    assert batch_indices(50, 50, 0, 0).tolist() != batch_indices(50, 50, 0, 1).tolist()


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_is_named_like_its_module_and_its_rate_stays_in_range(name: str) -> None:
    found = get_recipe(name)
    assert type(found).__module__ == f"training.recipes.{name.replace('-', '_')}"
    for stage in found.stages:
        rates = [stage.learning_rate(step / 1000) for step in range(1000)]
        assert min(rates) >= 0
        assert max(rates) <= 1
        hands_over = stage is not found.stages[-1]  # the next stage may go on at the same rate
        assert rates[-1] < 0.01 or (hands_over and rates[-1] == max(rates))


def test_an_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(UnknownRecipe, match=r"no recipe is named 'none'; there are .*vanilla-ae-mnist"):
        get_recipe("none")

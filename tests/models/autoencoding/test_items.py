"""What is done to items: corruption, first guesses at gaps, labels."""

import pytest
import torch
from torch.nn import functional

from models.autoencoding.corruption import corrupt
from models.autoencoding.imputation import bridged, levelled
from models.results import rank
from models.tasks.autoencoding import Activation, ClassifyRequest, Noise, NoiseType

GREY = torch.full((400, 400), 0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", ["gaussian", "masking", "salt_and_pepper"])
def test_a_seed_decides_and_level_zero_changes_nothing(kind: NoiseType) -> None:
    one, again, other = (corrupt(GREY, Noise(kind, 0.3), seeded(seed), low=0, high=1) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(corrupt(GREY, Noise(kind, 0.0), seeded(), low=0, high=1), GREY)
    assert ((one >= 0) & (one <= 1)).all()


def test_gaussian_noise_has_its_deviation() -> None:
    noisy = corrupt(GREY, Noise("gaussian", 0.1), seeded(), low=0, high=1)
    assert (noisy - GREY).std().item() == pytest.approx(0.1, rel=0.01)
    assert (noisy - GREY).mean().item() == pytest.approx(0, abs=1e-3)


def test_masking_zeroes_its_share() -> None:
    noisy = corrupt(GREY, Noise("masking", 0.25), seeded(), low=0, high=1)
    assert set(noisy.flatten().tolist()) == {0.0, 0.5}
    assert (noisy == 0).float().mean().item() == pytest.approx(0.25, abs=0.005)


def test_salt_and_pepper_are_equally_frequent() -> None:
    noisy = corrupt(GREY, Noise("salt_and_pepper", 0.2), seeded(), low=-1, high=2)
    assert set(noisy.flatten().tolist()) == {-1.0, 0.5, 2.0}
    for end in (-1, 2):
        assert (noisy == end).float().mean().item() == pytest.approx(0.1, abs=0.005)


def test_gaps_begin_at_the_mean_of_the_rest() -> None:
    item = torch.tensor([[1.0, torch.nan], [3.0, torch.nan]])
    assert levelled(item, item.isnan()).tolist() == [[1.0, 2.0], [3.0, 2.0]]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([1, None, None, 4], [1, 2, 3, 4]),
        ([None, None, 5, None], [5, 5, 5, 5]),
        ([0, None, 1, None, 3], [0, 0.5, 1, 2, 3]),
        ([None, None], [0, 0]),
        ([2, 2], [2, 2]),
    ],
)
def test_gaps_in_series_are_bridged(series: list[float | None], expected: list[float]) -> None:
    values = torch.tensor([[torch.nan if v is None else v, 0.0] for v in series], dtype=torch.float32)
    filled = bridged(values, values.isnan())
    assert filled[:, 0].tolist() == pytest.approx(expected)
    assert (filled[:, 1] == 0).all()


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
def test_labels_are_ranked_by_their_scores(function: Activation) -> None:
    logits = torch.tensor([0.5, 3.0, -1.0])
    request = ClassifyRequest(item=torch.zeros(1), top_k=2, function_to_apply=function)
    result = rank(("a", "b", "c"), logits, request)
    scores = {"softmax": functional.softmax(logits, 0), "sigmoid": logits.sigmoid(), "none": logits}[function]
    assert [label.label for label in result.labels] == ["b", "a"]
    assert [label.score for label in result.labels] == pytest.approx([scores[1].item(), scores[0].item()])

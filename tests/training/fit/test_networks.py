"""Every family that can be asked for learns a user's items, and its checkpoint gives the same scores."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.autoencoding.detector import Detector
from models.autoencoding.windows import Windows
from models.checkpoint import load_model, write_checkpoint
from models.codecs import ImageCodec, TableCodec, TableSeriesCodec, build_codec
from models.codecs.table import describe_table_codec, describe_table_series_codec
from models.codecs.table.columns import NumberColumn
from training.errors import DataError
from training.fit.networks import network_for
from training.fit.rows import split_rows
from training.fit.training import Split, fit_model
from training.metrics import anomaly_scores

COLUMNS = tuple(NumberColumn(name, has_gaps=False, centre=0.0, scale=1.0) for name in "abcdef")
ROWS = TableCodec(COLUMNS)
WINDOW, N = 12, 400
FAMILIES = {
    "rows": ("denoising", "variational", "vanilla", "adversarial"),
    "windows": ("denoising", "recurrent", "vanilla", "adversarial"),
    "pictures": ("convolutional", "denoising", "variational", "vanilla", "adversarial", "deep_belief"),
}
DESCRIPTIONS = {
    "rows": describe_table_codec(ROWS),
    "windows": describe_table_series_codec(TableSeriesCodec(rows=ROWS, length=WINDOW, stride=3)),
    "pictures": {"modality": "image", "shape": [1, 8, 8]},
}


def items_of(kind: str) -> Tensor:
    """Return N items `[N, ...]` that two numbers determine."""
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, N, 1, generator=generator)
    if kind == "rows":
        return torch.cat([first, second, first + second, first - second, 2 * first, -second], 1)
    if kind == "windows":
        steps = torch.arange(WINDOW) / WINDOW
        waves = [(6.28 * (steps + first)).sin(), second * (6.28 * (steps + first)).cos()]
        return torch.stack([*waves, *waves, *waves], 2)
    x, y = torch.meshgrid(torch.arange(8) / 8, torch.arange(8) / 8, indexing="xy")
    distance: Tensor = (x - first[..., None]).square() + (y - second[..., None]).square()
    return (-8 * distance).exp()[:, None]


def split_of(kind: str) -> Split:
    items = items_of(kind)
    windows = Windows(WINDOW, 3) if kind == "windows" else None
    return Split(items[:280], items[280:320], list(items[320:]), windows)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in FAMILIES.items() for name in names])
def test_the_loss_of_a_family_reaches_all_its_weights(kind: str, name: str) -> None:
    items = items_of(kind)[:16]
    network = network_for(tuple(items.shape[1:]), name)
    model = network.new_model()
    loss = network.loss(model, items, torch.Generator().manual_seed(0))
    loss.backward()  # type: ignore[no-untyped-call]
    unreached = {key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert {key for key in unreached if not key.startswith("stack.")} == set()  # the machines are trained before


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rows", "variational"),
        ("rows", "vanilla"),
        ("rows", "adversarial"),
        ("windows", "recurrent"),
        ("pictures", "variational"),
        ("pictures", "deep_belief"),
    ],
)
def test_a_family_learns_and_its_checkpoint_gives_the_same_scores(kind: str, name: str, tmp_path: Path) -> None:
    split = split_of(kind)
    fitted = fit_model(split, false_alarm_rate=0.05, max_seconds=6, seed=0, family=name)
    assert fitted.family.id == f"autoencoders/{name}"
    assert fitted.validation_error < 0.8 * split.validation.var(0).mean()
    description = DESCRIPTIONS[kind]
    checkpoint = write_checkpoint(
        tmp_path / "own",
        fitted.model,
        fitted.model.calibration,
        family_id=fitted.family.id,
        config=fitted.config,
        codec=description,
        licence="none",
        dtype=torch.float32,
    )
    assert isinstance(build_codec(description), TableCodec | TableSeriesCodec | ImageCodec)
    loaded = checkpoint.load(device="cpu")
    items = split.calibration[:5]
    for score in fitted.model.scores:
        expected = anomaly_scores(fitted.model, items, score)
        assert torch.allclose(anomaly_scores(loaded, items, score), expected, rtol=1e-4)
    assert load_model(checkpoint).scores == fitted.model.scores


def test_the_models_of_all_folds_have_the_same_scales() -> None:
    """Otherwise, scores of few items by the models of the folds would not be those of the model that is served."""
    fitted = fit_model(split_rows(items_of("rows")[:120], 0.05, seed=0), false_alarm_rate=0.05, max_seconds=2, seed=0)
    assert fitted.judge is not fitted.model
    assert isinstance(fitted.judge.detector, Detector)
    assert isinstance(fitted.model.detector, Detector)
    assert torch.equal(fitted.judge.detector.scales, fitted.model.detector.scales)
    assert not torch.equal(fitted.judge.detector.items, fitted.model.detector.items)


@pytest.mark.parametrize(
    ("shape", "name", "words"),
    [
        (
            (6,),
            "recurrent",
            "--family is recurrent, which is not for rows of a table; these have denoising, variational",
        ),
        ((12, 6), "variational", "not for windows of a series; these have denoising, recurrent, vanilla, adversarial"),
        ((1, 8, 8), "bert", "not for pictures; these have convolutional, denoising"),
    ],
)
def test_a_family_for_other_items_is_refused(shape: tuple[int, ...], name: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        network_for(shape, name)
    assert words in str(caught.value)

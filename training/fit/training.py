"""Train an autoencoder of a user's own items, and calibrate it on items that it never saw.

Shapes: `N` items, `...` the shape of an item: a row, or a window of a series.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration, percentile_for
from models.autoencoding.detector import Detector, fit_detector
from models.autoencoding.windows import Windows
from models.family import FamilyConfig, FamilySpec
from training.calibrate import calibrate, least_scores_of
from training.fit.networks import Network, network_for
from training.fit.outliers import without_suspects
from training.metrics import anomaly_scores

BATCH_SIZE, MIN_BATCH_SIZE, LEARNING_RATE = 256, 32, 2e-3
MAX_BATCH_ELEMENTS = 2**17
"""Numbers of a batch above which it has fewer than `BATCH_SIZE` items."""
EVALUATE_EVERY = 100
"""Steps between two looks at the validation items."""
PATIENCE = 10
"""Looks without a smaller error after which the training ends."""
MAX_REFERENCES = 4096
"""Most items that the checkpoint holds for the distance to neighbours."""
MAX_REFERENCE_ELEMENTS = 2**22
"""Most numbers of these items together."""
MAX_VALIDATED = 4096
"""Most items that say when to stop."""


@dataclass(frozen=True)
class Split:
    """The normal items by what they are for, in random order.

    Attributes:
        training: those that the weights are trained on, `[n, ...]`.
        validation: those that say when to stop, `[n, ...]`.
        calibration: those that the threshold comes from; where items are windows, series that are longer.
        windows: how these series are split into items; None if they are items themselves.
        n_left_out: number of items, or steps, that were left out because they look like anomalies; see
            `models.autoencoding.calibration.percentile_for`.
        folds: other splits of the same items, each for a model that only gives the scores of its calibration items;
            these are then all items once, and the threshold comes from them.
    """

    training: Tensor
    validation: Tensor
    calibration: Sequence[Tensor]
    windows: Windows | None = None
    n_left_out: int = 0
    folds: "Sequence[Split]" = ()

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        return tuple(self.training.shape[1:])

    @property
    def n_calibrated(self) -> int:
        """Number of scores that the threshold comes from: one for each item, or for each step of a series."""
        if self.folds:
            return sum(fold.n_calibrated for fold in self.folds)
        return len(self.calibration) if self.windows is None else sum(map(len, self.calibration))


@dataclass(frozen=True)
class Fitted:
    """A trained and calibrated model.

    Attributes:
        model: the model.
        family: its family.
        config: its hyperparameters.
        n_steps: the steps of its training.
        validation_error: its mean squared error on the validation items.
        seconds: the time of the whole fit.
        judge: a model with the same calibration that was not trained on `judged.calibration`, on which figures are
            measured: the model itself or, if there are folds, that of the first one.
        judged: the split of that model.
        n_suspects: number of held-out items, or steps, that look like anomalies and do not count for the threshold.
    """

    model: Autoencoder
    family: FamilySpec[Any]
    config: FamilyConfig
    n_steps: int
    validation_error: float
    seconds: float
    judge: Autoencoder
    judged: Split
    n_suspects: int


@dataclass(frozen=True)
class _Trained:
    """A model with its detector, without a calibration."""

    model: Autoencoder
    n_steps: int
    error: float


OnStep = Callable[[float, int, float], object]


def fit_model(
    split: Split,
    *,
    false_alarm_rate: float,
    max_seconds: float,
    seed: int,
    family: str | None = None,
    contamination: float | str = "auto",
    on_step: OnStep = lambda done, step, error: None,
) -> Fitted:
    """Train a model until its error on the validation items no longer falls, and calibrate it.

    Args:
        split: the items.
        false_alarm_rate: share of normal items, or steps of series, that the threshold may flag.
        max_seconds: longest time of the training.
        seed: seed of the weights and of the noise.
        family: name of the family; None for the one that suits the items.
        contamination: with `auto`, held-out items that look like anomalies do not count for the threshold.
        on_step: called at each look at the validation items, with the share of the time that is used, the number of
            steps, and the error.

    Raises:
        DataError: the family is for other items.
    """
    network = network_for(split.item_shape, family)
    started_at = time.monotonic()
    parts = [split, *split.folds]
    trained = []
    for number, part in enumerate(parts):

        def report(done: float, step: int, error: float, number: int = number) -> None:
            on_step((number + done) / len(parts), step, error)

        trained.append(_train_with_detector(network, part, max_seconds / len(parts), seed, report))
    _share_scales([each.model for each in trained])
    model = trained[0].model
    scored = list(zip([each.model for each in trained[1:] or trained], split.folds or [split], strict=True))
    model.calibration = _calibration_of(model, split, scored, false_alarm_rate)
    n_suspects = 0
    if contamination == "auto":
        model.calibration, n_suspects = without_suspects(model.calibration, false_alarm_rate, split.n_left_out)
    judge, judged = scored[0]
    judge.calibration = model.calibration
    return Fitted(
        model=model,
        family=network.spec,
        config=network.config,
        n_steps=trained[0].n_steps,
        validation_error=trained[0].error,
        seconds=time.monotonic() - started_at,
        judge=judge,
        judged=judged,
        n_suspects=n_suspects,
    )


def _calibration_of(
    model: Autoencoder, split: Split, scored: Sequence[tuple[Autoencoder, Split]], false_alarm_rate: float
) -> Calibration:
    return calibrate(
        model,
        list(split.training.double()),
        [(each, [item.double() for item in part.calibration]) for each, part in scored],
        percentile=percentile_for(false_alarm_rate, split.n_calibrated, split.n_left_out),
        n_components=10,
    )


def score_held_out(
    split: Split,
    *,
    max_seconds: float,
    seed: int,
    family: str | None = None,
    on_step: OnStep = lambda done, step, error: None,
) -> Tensor:
    """Train a model on a split, and return its scores of the calibration items, or of their steps: `[N]`."""
    network = network_for(split.item_shape, family)
    model = _train_with_detector(network, split, max_seconds, seed, on_step).model
    model.least_scores = least_scores_of([(model, split.calibration)])
    return anomaly_scores(model, split.calibration, model.scores[0])


def _train_with_detector(network: Network, split: Split, max_seconds: float, seed: int, on_step: OnStep) -> _Trained:
    with _one_thread() if network.is_small else nullcontext():
        torch.manual_seed(seed)
        model = network.new_model()
        n_steps, error = _train(model, network, split, max_seconds, seed, on_step)
        model.eval().requires_grad_(False)
        model.use_detector(_detector_of(model, split))
    model.windows = split.windows
    return _Trained(model, n_steps, error)


def _share_scales(models: Sequence[Autoencoder]) -> None:
    """Give the detectors of all models the geometric mean of their scales.

    Each scale comes from a tenth of the items. If these are few, it is uncertain, and the scores of models that were
    trained without some items would not be those of the model that is served.
    """
    detectors = [model.detector for model in models if isinstance(model.detector, Detector)]
    scales = torch.stack([detector.scales for detector in detectors]).log().mean(0).exp()
    for model, detector in zip(models, detectors, strict=True):
        model.use_detector(replace(detector, scales=scales))


def _detector_of(model: Autoencoder, split: Split) -> Detector:
    with torch.inference_mode():
        n_references = min(MAX_REFERENCES, MAX_REFERENCE_ELEMENTS // split.training[0].numel())
        references, validation = list(split.training[:n_references]), list(split.validation[:MAX_VALIDATED])
        return fit_detector(references, validation, model, are_windows=split.windows is not None)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute with one thread: layers this small take longer with several, which wait for each other."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _train(
    model: Autoencoder, network: Network, split: Split, max_seconds: float, seed: int, on_step: OnStep
) -> tuple[int, float]:
    """Train a model in place, to the weights with the smallest error. Return the number of steps and that error."""
    generator = torch.Generator().manual_seed(seed)
    training, validation = split.training.float(), split.validation[:MAX_VALIDATED].float()
    batch_size = max(MIN_BATCH_SIZE, min(BATCH_SIZE, MAX_BATCH_ELEMENTS // training[0].numel()))
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    best, best_error, n_worse, step = copy.deepcopy(model.state_dict()), float("inf"), 0, 0
    ends_at = time.monotonic() + max_seconds
    if network.pretrain is not None:
        network.pretrain(model, training, generator, ends_at - max_seconds / 2)
    while n_worse < PATIENCE and time.monotonic() < ends_at:
        model.train()
        for _ in range(EVALUATE_EVERY):
            if time.monotonic() >= ends_at:
                break
            items = training[torch.randint(len(training), (batch_size,), generator=generator)]
            loss = network.loss(model, items, generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
        model.eval()
        error = _error(model, validation)
        n_worse = 0 if error < 0.99 * best_error else n_worse + 1
        if error < best_error:
            best, best_error = copy.deepcopy(model.state_dict()), error
        on_step(1 - max(0.0, ends_at - time.monotonic()) / max_seconds, step, error)
    model.load_state_dict(best)
    return step, best_error


def _error(model: Autoencoder, items: Tensor) -> float:
    """Return the mean squared error of the reconstructions of `[n, ...]`."""
    with torch.inference_mode():
        sums = [
            float((torch.stack(model.reconstructions_of(list(few))) - few).square().sum())
            for few in torch.split(items, BATCH_SIZE)
        ]
    return sum(sums) / items.numel()

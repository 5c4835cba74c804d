"""Train an autoencoder of rows, and calibrate it on rows that it never saw.

Shapes: `N` rows, `W` elements of a row.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from models.autoencoders.denoising import FAMILY
from models.autoencoders.denoising.config import DenoisingConfig
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.detector import Detector, fit_detector
from models.objectives import squared_error
from training.calibrate import calibrate
from training.errors import DataError

MIN_ROWS = 60
"""Least rows to learn from."""
TRAINING_SHARE, VALIDATION_SHARE = 0.7, 0.1
"""Shares of the rows that the weights are trained on, and that say when to stop; the rest is for the threshold."""
NOISE = 0.1
"""Standard deviation of the noise in the rows that the model restores."""
BATCH_SIZE, LEARNING_RATE = 256, 2e-3
EVALUATE_EVERY = 100
"""Steps between two looks at the validation rows."""
PATIENCE = 10
"""Looks without a smaller error after which the training ends."""
ROUNDING = 1e-9
"""By how much a product of floats may exceed the integer that it stands for."""
MAX_REFERENCE_ROWS = 4096
"""Most rows that the checkpoint holds for the distance to neighbours."""
MIN_WIDTH, MAX_WIDTH, MAX_LATENT_WIDTH = 32, 256, 32


@dataclass(frozen=True)
class Split:
    """The rows by what they are for, each `[n, W]`."""

    training: Tensor
    validation: Tensor
    calibration: Tensor


@dataclass(frozen=True)
class Fitted:
    """A trained and calibrated model: its hyperparameters, the steps it took and its error on the validation rows."""

    model: Autoencoder
    config: DenoisingConfig
    n_steps: int
    validation_error: float
    seconds: float


def split_rows(rows: Tensor, false_alarm_rate: float, seed: int) -> Split:
    """Split rows `[N, W]` at random.

    Raises:
        DataError: there are too few rows to learn from, or to promise such a rate of false alarms.
    """
    n = len(rows)
    if n < MIN_ROWS:
        raise DataError(f"{n} rows are too few to learn from; {MIN_ROWS} are the least")
    places = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    first, second = round(TRAINING_SHARE * n), round((TRAINING_SHARE + VALIDATION_SHARE) * n)
    n_calibration, least = n - second, least_false_alarm_rate(n)
    if false_alarm_rate < least:
        enough = math.ceil(n / n_calibration / false_alarm_rate)
        raise DataError(
            f"a rate of {false_alarm_rate:g} false alarms cannot be promised from {n_calibration} rows that the model "
            f"has not seen; {least:.2g} is the least, or give {enough} rows"
        )
    return Split(rows[places[:first]], rows[places[first:second]], rows[places[second:]])


def least_false_alarm_rate(n_rows: int) -> float:
    """Return the least rate that the calibration rows among so many can promise."""
    return 1 / (n_rows - round((TRAINING_SHARE + VALIDATION_SHARE) * n_rows) + 1)


def fit_rows(
    split: Split,
    *,
    false_alarm_rate: float,
    max_seconds: float,
    seed: int,
    on_step: Callable[[float, int, float], object] = lambda done, step, error: None,
) -> Fitted:
    """Train a denoising autoencoder until its error on the validation rows no longer falls, and calibrate it.

    Args:
        split: the rows.
        false_alarm_rate: share of normal rows that the threshold may flag.
        max_seconds: longest time of the training.
        seed: seed of the weights and of the noise.
        on_step: called at each look at the validation rows, with the share of the time that is used, the number of
            steps, and the error.
    """
    torch.manual_seed(seed)
    config = config_for(split.training.shape[1])
    model = cast("Autoencoder", FAMILY.new_model(config))
    started_at = time.monotonic()
    with _one_thread():
        n_steps, error = _train(model, split, max_seconds, seed, on_step)
    model.eval().requires_grad_(False)
    model.use_detector(_detector_of(model, split))
    calibration = calibrate(
        model,
        list(split.training.double()),
        [(model, list(split.calibration.double()))],
        percentile=percentile_for(false_alarm_rate, len(split.calibration)),
        n_components=10,
    )
    model.calibration = calibration
    return Fitted(model, config, n_steps, error, time.monotonic() - started_at)


def _detector_of(model: Autoencoder, split: Split) -> Detector:
    with torch.inference_mode():
        return fit_detector(list(split.training[:MAX_REFERENCE_ROWS]), list(split.validation), model)


def config_for(width: int) -> DenoisingConfig:
    """Return the sizes of a model for rows of so many elements."""
    hidden = max(MIN_WIDTH, min(4 * width, MAX_WIDTH))
    latent = max(2, min((width + 1) // 2, MAX_LATENT_WIDTH))
    return DenoisingConfig(input_shape=(width,), hidden_widths=(hidden, hidden), latent_width=latent, output="linear")


def percentile_for(false_alarm_rate: float, n: int) -> float:
    """Return the percentile of n held-out scores that a normal row exceeds with at most this probability.

    It is the score of rank ceil((n + 1) (1 - rate)). Source: Vovk, Gammerman, Shafer 2005, chapter 2.
    """
    rank = math.ceil((n + 1) * (1 - false_alarm_rate) - ROUNDING)
    return 100 * (min(rank, n) - 1) / (n - 1)


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
    model: Autoencoder, split: Split, max_seconds: float, seed: int, on_step: Callable[[float, int, float], object]
) -> tuple[int, float]:
    """Train a model in place, to the weights with the smallest error. Return the number of steps and that error."""
    generator = torch.Generator().manual_seed(seed)
    training, validation = split.training.float(), split.validation.float()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    best, best_error, n_worse, step = copy.deepcopy(model.state_dict()), float("inf"), 0, 0
    ends_at = time.monotonic() + max_seconds
    while n_worse < PATIENCE and time.monotonic() < ends_at:
        model.train()
        for _ in range(EVALUATE_EVERY):
            rows = training[torch.randint(len(training), (BATCH_SIZE,), generator=generator)]
            noisy = rows + NOISE * torch.randn(rows.shape, generator=generator)
            loss = squared_error(model(noisy), rows)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        step += EVALUATE_EVERY
        model.eval()
        with torch.inference_mode():
            error = (model(validation) - validation).square().mean().item()
        n_worse = 0 if error < 0.99 * best_error else n_worse + 1
        if error < best_error:
            best, best_error = copy.deepcopy(model.state_dict()), error
        on_step(1 - max(0.0, ends_at - time.monotonic()) / max_seconds, step, error)
    model.load_state_dict(best)
    return step, best_error

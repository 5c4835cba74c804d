"""Measure the calibration that is stored beside a trained autoencoder's weights."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from models.autoencoders.encodec.anomalies import anomaly_scores as scores_of_sounds
from models.autoencoders.encodec.model import Encodec
from models.autoencoding.anomalies import window_scores
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration, can_promise, percentile_for
from models.autoencoding.coverage import least_scores
from models.autoencoding.detector import fit_detector
from models.autoencoding.mixture import fit_mixture
from training.errors import DataError
from training.metrics import anomaly_scores, latents

MIN_DEVIATION = 1e-3
"""Smallest standard deviation of a latent element, as a share of the largest, so that dividing by it stays stable."""
SOUNDS_AT_ONCE = 16
"""Number of sounds that are measured together."""
Scored = Sequence[tuple[Autoencoder, Sequence[Tensor]]]
"""Models, each with normal items that it was not trained on."""


def calibrate(
    model: Autoencoder,
    training: Sequence[Tensor],
    scored: Scored,
    *,
    percentile: float,
    n_components: int,
) -> Calibration:
    """Measure the latents of the `training` items and the anomaly scores of the normal items in `scored`.

    `scored` pairs each set of normal items with a model that was not trained on them: `model` itself, or the models of
    a cross-validation. `percentile` of these scores becomes the threshold. Where the model samples from a Gaussian
    mixture, one of at most `n_components` is fitted to the latents.

    Source: Vovk, Cross-conformal predictors, 2015, for scores from a cross-validation.
    """
    least = least_scores_of(scored)
    for each in (model, *(model for model, _ in scored)):
        each.least_scores = least
    scores = {name: torch.cat([anomaly_scores(*pair, name) for pair in scored]).sort().values for name in model.scores}
    flat_latents = latents(model, training).clone().flatten(1)
    deviation = flat_latents.std(0)
    mixture = None
    if "gmm" in model.samplers:
        mixture = fit_mixture(flat_latents, min(n_components, len(flat_latents)), torch.Generator().manual_seed(0))
    return Calibration(
        scores=scores,
        percentile=percentile,
        latent_mean=flat_latents.mean(0).view(model.latent_shape),
        latent_deviation=deviation.clamp(min=MIN_DEVIATION * float(deviation.max()) + 1e-12).view(model.latent_shape),
        mixture=mixture,
        least_scores=least,
        detector=model.detector,
    )


def add_detectors(model: Autoencoder, normal: Sequence[Tensor], scored: Scored) -> None:
    """Give a model, and those of its cross-validation, the scores of a detector; see `models.autoencoding.detector`.

    Each detector compares items with those that its model was trained on. What has to be measured on items that a model
    was not trained on, the usual errors and the scales, is the mean over the cross-validation, and the same for all.

    Args:
        model: the model that was trained on all items.
        normal: these items.
        scored: the k-th model of the cross-validation, and the items that it was not trained on: every n-th of
            `normal`, beginning with the k-th, where n is the number of models.
    """
    n_folds = len(scored)
    with torch.inference_mode():
        detectors = [
            fit_detector([item for i, item in enumerate(normal) if i % n_folds != k], held_out, scorer)
            for k, (scorer, held_out) in enumerate(scored)
        ]
        of_all = fit_detector(normal, normal, model)
    errors = torch.stack([each.element_errors for each in detectors]).mean(0)
    scales = torch.stack([each.scales for each in detectors]).mean(0)
    for scorer, detector in zip([model, *(each for each, _ in scored)], [of_all, *detectors], strict=True):
        scorer.use_detector(replace(detector, element_errors=errors, scales=scales))


def calibrate_sounds(model: Encodec, normal: Sequence[Tensor], *, percentile: float) -> Calibration:
    """Measure the anomaly scores and the latents of normal sounds `[C, T]` that the model was not trained on.

    `percentile` of the scores becomes the threshold.
    """
    scores: dict[str, list[Tensor]] = {name: [] for name in model.scores}
    latents_of_sounds = []
    with torch.inference_mode():
        for start in range(0, len(normal), SOUNDS_AT_ONCE):
            sounds = normal[start : start + SOUNDS_AT_ONCE]
            latents_of_sounds.append(model.latents_of(sounds))
            for name, values in scores_of_sounds(model, sounds).items():
                scores[name].append(values)
    all_latents = torch.cat(latents_of_sounds)
    return Calibration(
        scores={name: torch.cat(parts).sort().values for name, parts in scores.items()},
        percentile=percentile,
        latent_mean=all_latents.mean(0),
        latent_deviation=all_latents.std(0, correction=0),
        mixture=None,
    )


def least_scores_of(scored: Scored) -> dict[str, Tensor]:
    """Return what makes the scores of steps comparable, from the normal series in `scored`; see `calibrate`.

    It is empty unless the models are ones of windows.
    """
    model = scored[0][0]
    if model.windows is None:
        return {}
    with torch.inference_mode():
        windows = {name: [each for pair in scored for each in window_scores(*pair, name)] for name in model.scores}
    return {name: least_scores(each, model.windows.n_per_step) for name, each in windows.items()}


def promised_percentile(false_alarm_rate: float, n_scores: int) -> float:
    """Return the percentile of the scores of normal items that is the threshold for a rate of false alarms.

    Raises:
        DataError: there are too few scores to promise this rate.
    """
    require_promise(false_alarm_rate, n_scores, n_scores)
    return percentile_for(false_alarm_rate, n_scores)


def require_promise(false_alarm_rate: float, n_scores: int, n_items: int) -> None:
    """Refuse a rate of false alarms that cannot be promised from the scores of those of the items that are held out.

    Raises:
        DataError: there are too few; the error names the least rate, and how many items would be enough.
    """
    if not can_promise(false_alarm_rate, n_scores):
        enough = math.ceil(n_items / n_scores / false_alarm_rate)
        raise DataError(
            f"a rate of {false_alarm_rate:g} false alarms cannot be promised from {n_scores} held-out scores; "
            f"{1 / (n_scores + 1):.2g} is the least, or give {enough} instead of {n_items}"
        )

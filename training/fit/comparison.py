"""Compare a fitted model with plain detectors of scikit-learn, trained on the same items.

Shapes: `N` items, `W` elements of an item.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.windows import Windows
from training.metrics import anomaly_scores

OWN = "this model"
N_NEIGHBOURS = 5
EXPLAINED_SHARE = 0.9
"""Share of the variance that the principal components explain."""
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """How well a detector tells anomalies from normal rows that it was not trained on.

    Attributes:
        auroc: the chance that it scores an anomaly above a normal row.
        average_precision: the mean precision over all thresholds, weighted by the recall that each adds.
    """

    auroc: float
    average_precision: float


def compare(
    model: Autoencoder, training: Tensor, items: Sequence[Tensor], is_anomaly: NDArray[np.bool_]
) -> dict[str, Figures] | None:
    """Return the figures of each detector by name, the model's first; None if scikit-learn is not installed.

    Args:
        model: the fitted model.
        training: the items that it was trained on, `[N, ...]`; the others score windows where they are windows.
        items: normal items that it was not trained on, and anomalies: rows, or series.
        is_anomaly: whether each row, or each step of each series, is an anomaly.
    """
    try:
        plain = detectors(training.flatten(1).double().numpy())
        from sklearn.metrics import average_precision_score, roc_auc_score
    except ModuleNotFoundError:
        return None
    scores: dict[str, Scores] = {OWN: anomaly_scores(model, items, model.scores[0]).double().numpy()}
    scores |= {name: _scores_of(detect, items, model.windows) for name, detect in plain.items()}
    return {
        name: Figures(
            float(roc_auc_score(is_anomaly, found)),
            float(average_precision_score(is_anomaly, found)),
        )
        for name, found in scores.items()
    }


def _scores_of(detect: Callable[[Scores], Scores], items: Sequence[Tensor], windows: Windows | None) -> Scores:
    """Return the scores of items, or those of the steps of series: the least of the windows that contain a step."""
    if windows is None:
        return detect(torch.stack(list(items)).flatten(1).double().numpy())
    parts = []
    for item in items:
        found = torch.from_numpy(detect(windows.split(item).flatten(1).double().numpy()))
        parts.append(windows.least(found, len(item)).numpy())
    return np.concatenate(parts)


def detectors(training: Scores) -> Mapping[str, Callable[[Scores], Scores]]:
    """Return plain detectors by name, trained on rows `[N, W]`; each returns the scores `[n]` of rows `[n, W]`."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import NearestNeighbors

    pca = PCA(EXPLAINED_SHARE, svd_solver="full").fit(training)
    forest = IsolationForest(random_state=0).fit(training)
    neighbours = NearestNeighbors(n_neighbors=min(N_NEIGHBOURS, len(training))).fit(training)
    return {
        "principal components": lambda rows: ((pca.inverse_transform(pca.transform(rows)) - rows) ** 2).sum(1),
        "isolation forest": lambda rows: -forest.score_samples(rows),
        f"{N_NEIGHBOURS} nearest neighbours": lambda rows: neighbours.kneighbors(rows)[0].mean(1),
    }

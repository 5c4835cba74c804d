"""Compare a fitted model with plain detectors of scikit-learn, trained on the same rows.

Shapes: `N` rows, `W` elements of a row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
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


def compare(model: Autoencoder, training: Tensor, normal: Tensor, anomalies: Tensor) -> dict[str, Figures] | None:
    """Return the figures of each detector by name, the model's first; None if scikit-learn is not installed.

    `training`, `normal` and `anomalies` are `[n, W]`.
    """
    try:
        plain = detectors(training.numpy())
        from sklearn.metrics import average_precision_score, roc_auc_score
    except ModuleNotFoundError:
        return None
    score = model.scores[0]
    rows = [*normal, *anomalies]
    scores: dict[str, Scores] = {OWN: anomaly_scores(model, rows, score).double().numpy()}
    elements = np.concatenate([normal.numpy(), anomalies.numpy()])
    scores |= {name: detect(elements) for name, detect in plain.items()}
    is_anomaly = np.repeat([0, 1], [len(normal), len(anomalies)])
    return {
        name: Figures(
            float(roc_auc_score(is_anomaly, found)),
            float(average_precision_score(is_anomaly, found)),
        )
        for name, found in scores.items()
    }


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

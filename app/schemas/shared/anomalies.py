"""The parameters that set the threshold of anomalies, whatever the items are."""

from typing import Any

from pydantic import Field

from app.schemas.shared.envelope import Parameters
from models.errors import InvalidItems, Problem

MAX_TOP = 100
"""Maximum of `n_top`."""
THRESHOLDS = ("threshold", "percentile", "false_alarm_rate")
"""Names of the parameters that set the threshold, of which a request may have one."""


class ThresholdParameters(Parameters):
    """Parameters of tasks that compare items with normal ones."""

    score: str | None = Field(
        None,
        description="Name of the score, one of the model's `scores`, such as `mse` (mean squared error of the "
        "reconstruction) or `outlier` (classifier of outliers); the first of them if omitted.",
    )
    threshold: float | None = Field(
        None, ge=0, description="Score above which an item is an anomaly; the checkpoint's own if omitted."
    )
    percentile: float | None = Field(
        None,
        ge=0,
        le=100,
        description="Percentile of the scores of held-out normal items to use as the threshold; excludes `threshold`.",
    )
    false_alarm_rate: float | None = Field(
        None,
        gt=0,
        le=0.5,
        description="Share of normal items that may be called anomalies, from which the threshold follows; refused if "
        "there are too few held-out items to promise it. Excludes `threshold` and `percentile`.",
    )
    n_top: int = Field(5, ge=0, le=MAX_TOP, description="Number of the largest contributions to return in `top`.")


def threshold_arguments(parameters: ThresholdParameters) -> dict[str, Any]:
    """Return the arguments of a request to a model that these parameters are.

    Raises:
        InvalidItems: they set the threshold in two ways.
    """
    given = [name for name in THRESHOLDS if getattr(parameters, name) is not None]
    if len(given) > 1:
        raise InvalidItems(Problem(f"{' and '.join(given)} exclude each other", parameter=given[1]))
    return {name: getattr(parameters, name) for name in ThresholdParameters.model_fields}

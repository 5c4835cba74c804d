"""`/detect-anomalies`: score items against normal data."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, Field

from app.registry.model_sizes import ModelSizes
from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody
from app.schemas.shared.examples import EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import decode_items
from app.schemas.shared.memory import NUMBER_BYTES, RECORD_BYTES, REQUEST_BYTES
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs import ItemCodec, TableCodec
from models.codecs.arrays import Floats, Limits
from models.errors import InvalidItems, Problem
from models.tasks import DETECT_ANOMALIES, Request
from models.tasks.autoencoding import DetectAnomaliesRequest, DetectAnomaliesResult

MAX_TOP = 100
"""Maximum of `n_top`."""


class DetectAnomaliesParameters(ItemInputParameters):
    """Parameters of `/detect-anomalies`."""

    score: str | None = Field(
        None, description="Name of the score, one of the model's `scores`, such as `mse`; the first of them if omitted."
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
    n_top: int = Field(5, ge=0, le=MAX_TOP, description="Number of the largest contributions to return in `top`.")


class ElementContribution(BaseModel):
    """How much one element contributes to the score; of rows of a table, how much one column does."""

    index: list[int] | None = Field(
        None, description="Indices of the element in the item, one for each dimension; missing for rows of a table."
    )
    column: str | None = Field(None, description="Name of the column; only for rows of a table.")
    contribution: float = Field(description="The part of the score that the element or the column causes.")


class DetectAnomaliesOutput(BaseModel):
    """The score of one item, and what it is made of."""

    score: float = Field(description="Score of the item; the higher, the less normal.")
    threshold: float = Field(description="Score above which an item is an anomaly.")
    is_anomaly: bool = Field(description="Whether the score exceeds the threshold.")
    percentile: float = Field(description="Share of the held-out normal items, in percent, that score no higher.")
    p_value: float = Field(description="Conformal p-value of the score against the held-out normal items.")
    contributions: list[Any] | dict[str, float] = Field(
        description="Contribution of each element to the score, in the item's shape, or of each column of a table by "
        "its name; they sum to the score."
    )
    top: list[ElementContribution] = Field(description="The largest contributions, in descending order.")


class DetectAnomaliesBody(ItemsBody):
    """Request body of `/detect-anomalies`."""

    parameters: DetectAnomaliesParameters = Field(DetectAnomaliesParameters(), description="Parameters of the task.")


class DetectAnomaliesAnswer(Answer):
    """Answer of `/detect-anomalies`."""

    outputs: list[DetectAnomaliesOutput] = Field(description="The score of each item, in the order of the inputs.")


def _requests(body: DetectAnomaliesBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    if parameters.threshold is not None and parameters.percentile is not None:
        raise InvalidItems(Problem("threshold and percentile exclude each other", parameter="percentile"))
    return [
        DetectAnomaliesRequest(
            item=item,
            score=parameters.score,
            threshold=parameters.threshold,
            percentile=parameters.percentile,
            n_top=parameters.n_top,
        )
        for item in decode_items(body, codecs, limits)
    ]


def _outputs(
    results: Sequence[DetectAnomaliesResult], requests: Sequence[Any], body: DetectAnomaliesBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result in results:
        contributions, top = _contributions(result, body.parameters.n_top, cast("ItemCodec", codecs.items))
        outputs.append(
            {
                "score": result.score,
                "threshold": result.threshold,
                "is_anomaly": result.is_anomaly,
                "percentile": result.percentile,
                "p_value": result.p_value,
                "contributions": contributions,
                "top": top,
            }
        )
    return outputs


def _contributions(
    result: DetectAnomaliesResult, n_top: int, codec: ItemCodec
) -> tuple[Floats | dict[str, float], list[dict[str, Any]]]:
    """Return the contributions as clients see them, and the largest of them."""
    if isinstance(codec, TableCodec):
        by_column = codec.by_column(result.contributions.numpy())
        largest = sorted(by_column.items(), key=lambda pair: -pair[1])[:n_top]
        return by_column, [{"column": name, "contribution": part} for name, part in largest]
    contributions = codec.to_client_shape(result.contributions.numpy())
    top = [{"index": part.index[: contributions.ndim], "contribution": part.contribution} for part in result.top]
    return contributions, top


def _estimate(requests: Sequence[DetectAnomaliesRequest], body: DetectAnomaliesBody, sizes: ModelSizes) -> int:
    n_numbers = sum(request.item.numel() for request in requests)
    return len(requests) * (REQUEST_BYTES + RECORD_BYTES * body.parameters.n_top) + NUMBER_BYTES * n_numbers


SCHEMA = TaskSchema(
    task=DETECT_ANOMALIES,
    body=DetectAnomaliesBody,
    answer=DetectAnomaliesAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=_estimate,
    array=lambda results, body, codecs: np.array([result.score for result in results]),
    n_numbers=lambda results: len(results) * (results[0].contributions.numel() + 8 * len(results[0].top)),
    takes_images=True,
)
ENDPOINT = TaskEndpoint(
    name="detect_anomalies",
    summary="Score items against normal data and flag anomalies",
    description="Scores how unlike the normal items of the model's training data an item is. An item is an image, a "
    "series, a row of a table or a vector. Returns the score of each item, whether it is an anomaly, and which "
    "elements or columns contribute most.",
    schemas=(SCHEMA,),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG]},),
)

"""`/detect-anomalies`: items beside the normal ones."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, Field

from app.errors import Fault, InvalidRequest
from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody
from app.schemas.shared.examples import EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import decode_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs import ItemCodec
from models.codecs.arrays import Limits
from models.tasks import DETECT_ANOMALIES, Request
from models.tasks.autoencoding import DetectAnomaliesRequest, DetectAnomaliesResult

MAX_TOP = 100


class DetectAnomaliesParameters(ItemInputParameters):
    """Parameters of `/detect-anomalies`."""

    score: str | None = Field(None, description="One of the model's scores: `mse`, `mae`, …; its first if left out.")
    threshold: float | None = Field(None, ge=0, description="On the score; the checkpoint's own if left out.")
    percentile: float | None = Field(
        None, ge=0, le=100, description="Of the held-out normal items' scores, as the threshold."
    )
    n_top: int = Field(5, ge=0, le=MAX_TOP, description="How many of the largest contributions to name.")


class ContributionOut(BaseModel):
    """One element's part of the score."""

    index: list[int] = Field(description="Place of the element in the item.")
    contribution: float


class DetectAnomaliesOutput(BaseModel):
    """One item's verdict."""

    score: float
    threshold: float
    is_anomaly: bool = Field(description="Whether the score exceeds the threshold.")
    percentile: float = Field(description="Share of the held-out normal items, in percent, that score no higher.")
    p_value: float = Field(description="Conformal, against the held-out normal items.")
    contributions: list[Any] = Field(description="Of each element, of the item's shape; they sum to the score.")
    top: list[ContributionOut] = Field(description="The largest contributions.")


class DetectAnomaliesBody(ItemsBody):
    """What `/detect-anomalies` is asked."""

    parameters: DetectAnomaliesParameters = DetectAnomaliesParameters()


class DetectAnomaliesAnswer(Answer):
    """What `/detect-anomalies` answers."""

    outputs: list[DetectAnomaliesOutput]


def _requests(body: DetectAnomaliesBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked = body.parameters
    if asked.threshold is not None and asked.percentile is not None:
        raise InvalidRequest.of([Fault("/parameters", "threshold and percentile exclude each other")])
    return [
        DetectAnomaliesRequest(
            item=item, score=asked.score, threshold=asked.threshold, percentile=asked.percentile, n_top=asked.n_top
        )
        for item in decode_items(body, codecs, limits)
    ]


def _outputs(
    results: Sequence[DetectAnomaliesResult], requests: Sequence[Any], body: DetectAnomaliesBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result in results:
        contributions = cast("ItemCodec", codecs.items).arrange(result.contributions.numpy())
        top = [{"index": c.index[: contributions.ndim], "contribution": c.contribution} for c in result.top]
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


SCHEMA = TaskSchema(
    task=DETECT_ANOMALIES,
    body=DetectAnomaliesBody,
    answer=DetectAnomaliesAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: np.array([result.score for result in results], dtype=np.float32),
    n_numbers=lambda results: len(results) * (results[0].contributions.numel() + 8 * len(results[0].top)),
    takes_images=True,
)
ENDPOINT = TaskEndpoint(
    name="detect_anomalies",
    summary="Score items against normal data and flag anomalies",
    schemas=(SCHEMA,),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG]},),
)

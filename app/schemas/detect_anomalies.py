"""`/detect-anomalies`: score items against normal data."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, Field

from app.registry.model_sizes import ModelSizes
from app.schemas.shared.anomalies import ThresholdParameters, threshold_arguments
from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody
from app.schemas.shared.examples import EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import decode_items
from app.schemas.shared.memory import NUMBER_BYTES, RECORD_BYTES, REQUEST_BYTES
from app.schemas.shared.sound_anomalies import SOUND_SCHEMA
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.autoencoding.drift import WINDOW, DriftMonitor
from models.codecs import SentenceCodec, TableCodec, TableSeriesCodec
from models.codecs.arrays import ArrayCodec, Floats, Limits, runs_of
from models.codecs.table import SeriesRows
from models.tasks import DETECT_ANOMALIES, Request
from models.tasks.autoencoding import DetectAnomaliesRequest, DetectAnomaliesResult, StepScores

ROW_PARTS = ("score", "threshold", "is_anomaly", "percentile", "p_value")
"""Names of the parts of an output that an answer in CSV has, before the contributions."""


class DetectAnomaliesParameters(ItemInputParameters, ThresholdParameters):
    """Parameters of `/detect-anomalies`."""


class ElementContribution(BaseModel):
    """How much one element contributes to the score; if items have columns, how much one column does."""

    index: list[int] | None = Field(
        None,
        description="Indices of the element in the item, one for each dimension; of a series with columns, the row; "
        "missing for rows of a table.",
    )
    column: str | None = Field(None, description="Name of the column; only for items with columns.")
    token: str | None = Field(None, description="The token as a part of the text; only for sentences.")
    contribution: float = Field(description="The part of the score that the element, the column or the token causes.")


class Stretch(BaseModel):
    """Consecutive rows of a series whose scores exceed the threshold."""

    first: int = Field(description="Number of the first row, counted from 0.")
    last: int = Field(description="Number of the last row.")
    first_time: Any = Field(None, description="Time of the first row as the client wrote it; missing without times.")
    last_time: Any = Field(None, description="Time of the last row as the client wrote it; missing without times.")
    score: float = Field(description="The largest score of these rows.")
    contributions: dict[str, float] = Field(
        description="The share of each column in the scores of these rows; they sum to 1."
    )


class RowScores(BaseModel):
    """The scores of the rows of a series."""

    scores: list[float] = Field(description="Score of each row.")
    p_values: list[float] = Field(
        description="Conformal p-value of each score against those of rows of held-out normal series."
    )


class DetectAnomaliesOutput(BaseModel):
    """The score of one item, and what it is made of.

    A series with columns is scored row by row; it has the largest score, and the least p-value, of its rows.
    """

    score: float = Field(description="Score of the item; the higher, the less normal.")
    threshold: float = Field(description="Score above which an item is an anomaly.")
    is_anomaly: bool = Field(description="Whether the score exceeds the threshold.")
    percentile: float = Field(description="Share of the held-out normal items, in percent, that score no higher.")
    p_value: float = Field(description="Conformal p-value of the score against the held-out normal items.")
    contributions: list[Any] | dict[str, float] | dict[str, list[float]] = Field(
        description="Contribution of each element to the score, in the item's shape, or of each column of a table by "
        "its name; they sum to the score. Of a series with columns, a list for each column; those of a row sum to the "
        "score of the row."
    )
    top: list[ElementContribution] = Field(description="The largest contributions, in descending order.")
    key: Any = Field(None, description="What tells the series from others, as the client wrote it, if there is a key.")
    rows: RowScores | None = Field(None, description="The scores of the rows; only for series with columns.")
    anomalies: list[Stretch] | None = Field(
        None, description="The rows whose scores exceed the threshold; only for series with columns."
    )


class DetectAnomaliesBody(ItemsBody):
    """Request body of `/detect-anomalies`."""

    parameters: DetectAnomaliesParameters = Field(DetectAnomaliesParameters(), description="Parameters of the task.")


class DetectAnomaliesAnswer(Answer):
    """Answer of `/detect-anomalies`."""

    outputs: list[DetectAnomaliesOutput] = Field(description="The score of each item, in the order of the inputs.")


def _requests(body: DetectAnomaliesBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    arguments = threshold_arguments(body.parameters)
    items = decode_items(body, codecs, limits, any_length=True)
    return [DetectAnomaliesRequest(item=item, **arguments) for item in items]


def _outputs(
    results: Sequence[DetectAnomaliesResult], requests: Sequence[Any], body: DetectAnomaliesBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    n_top = body.parameters.n_top
    outputs = []
    for index, result in enumerate(results):
        output: dict[str, Any] = {
            "score": result.score,
            "threshold": result.threshold,
            "is_anomaly": result.is_anomaly,
            "percentile": result.percentile,
            "p_value": result.p_value,
        }
        if isinstance(codecs.items, TableSeriesCodec):
            output |= _parts_of_series(result, n_top, codecs.items, codecs.series[index])
        elif isinstance(codecs.items, TableCodec):
            output |= _parts_of_row(result, n_top, codecs.items)
        elif isinstance(codecs.items, SentenceCodec):
            output |= _parts_of_sentence(result, requests[index].item, codecs.items)
        else:
            output |= _parts_of_item(result, cast("ArrayCodec", codecs.items))
        outputs.append(output)
    return outputs


def _parts_of_sentence(result: DetectAnomaliesResult, item: Any, codec: SentenceCodec) -> dict[str, Any]:
    """Return what each token has contributed."""
    tokens = codec.token_texts(item.numpy())
    top = [
        {"index": part.index, "token": tokens[part.index[0]], "contribution": part.contribution} for part in result.top
    ]
    return {"contributions": result.contributions.numpy(), "top": top}


def _parts_of_item(result: DetectAnomaliesResult, codec: ArrayCodec) -> dict[str, Any]:
    contributions = codec.to_client_shape(result.contributions.numpy())
    top = [{"index": part.index[: contributions.ndim], "contribution": part.contribution} for part in result.top]
    return {"contributions": contributions, "top": top}


def _parts_of_row(result: DetectAnomaliesResult, n_top: int, codec: TableCodec) -> dict[str, Any]:
    by_column = {name: float(part) for name, part in codec.by_column(result.contributions.numpy()).items()}
    largest = sorted(by_column.items(), key=lambda pair: -pair[1])[:n_top]
    return {
        "contributions": by_column,
        "top": [{"column": name, "contribution": part} for name, part in largest],
    }


def _parts_of_series(
    result: DetectAnomaliesResult, n_top: int, codec: TableSeriesCodec, series: SeriesRows
) -> dict[str, Any]:
    """Return what the columns and the rows of a series have contributed, and the stretches that are anomalies."""
    steps = cast("StepScores", result.steps)
    places = series.rows_to_steps
    scores = steps.scores.numpy()[places]
    by_column = {name: parts[places] for name, parts in codec.by_column(result.contributions.numpy()).items()}
    names, table = list(by_column), np.stack(list(by_column.values()), 1)
    order = np.argsort(-table, axis=None, kind="stable")[:n_top]
    rows, columns = np.unravel_index(order, table.shape)
    return {
        "contributions": {name: np.ascontiguousarray(parts) for name, parts in by_column.items()},
        "top": [
            {"index": [row], "column": names[column], "contribution": float(table[row, column])}
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ],
        **({} if series.key is None else {"key": series.key}),
        "rows": {"scores": scores, "p_values": steps.p_values.numpy()[places]},
        "anomalies": [
            _stretch(first, end, scores, dict(zip(names, table[first:end].sum(0).tolist(), strict=True)), series)
            for first, end in runs_of(scores > result.threshold)
        ],
    }


def _stretch(first: int, end: int, scores: Floats, sums: Mapping[str, float], series: SeriesRows) -> dict[str, Any]:
    total = sum(sums.values()) or 1.0
    times = {} if series.times is None else {"first_time": series.times[first], "last_time": series.times[end - 1]}
    return {
        "first": first,
        "last": end - 1,
        **times,
        "score": float(scores[first:end].max()),
        "contributions": {name: part / total for name, part in sums.items()},
    }


def _row(output: dict[str, Any]) -> dict[str, Any]:
    """Return the output of a row of a table without `top`, or the rows of that of a series.

    No column's name can be that of another part.
    """
    contributions = {f"contributions.{name}": part for name, part in output["contributions"].items()}
    if "rows" not in output:
        return {name: output[name] for name in ROW_PARTS} | contributions
    scores, threshold = output["rows"]["scores"], output["threshold"]
    parts = {
        "score": scores.tolist(),
        "threshold": [threshold] * len(scores),
        "is_anomaly": (scores > threshold).tolist(),
        "p_value": output["rows"]["p_values"].tolist(),
    }
    return parts | {name: part.tolist() for name, part in contributions.items()}


def _observe(
    monitor: DriftMonitor, requests: Sequence[DetectAnomaliesRequest], results: Sequence[DetectAnomaliesResult]
) -> None:
    """Show the last items to the monitor: rows, or all steps of series of rows; of other items the p-values alone."""
    requests, results = requests[-WINDOW:], results[-WINDOW:]
    rows: Floats | None = None
    if results[0].steps is not None:
        rows = np.concatenate([request.item.numpy() for request in requests])
        p_values = np.concatenate([result.steps.p_values.numpy() for result in results if result.steps is not None])
    else:
        is_row = requests[0].item.ndim == 1 and requests[0].item.is_floating_point()
        rows = np.stack([request.item.numpy() for request in requests]) if is_row else None
        p_values = np.array([result.p_value for result in results])
    monitor.observe(rows, p_values)


def _estimate(requests: Sequence[DetectAnomaliesRequest], body: DetectAnomaliesBody, sizes: ModelSizes) -> int:
    n_numbers = sum(request.item.numel() for request in requests)
    per_item = REQUEST_BYTES + RECORD_BYTES * body.parameters.n_top
    n_numbers *= 2  # a series has scores of its rows beside the elements
    return len(requests) * per_item + NUMBER_BYTES * n_numbers


SCHEMA = TaskSchema(
    task=DETECT_ANOMALIES,
    body=DetectAnomaliesBody,
    answer=DetectAnomaliesAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=_estimate,
    array=lambda results, body, codecs: np.array([result.score for result in results]),
    row=_row,
    has_series_rows=True,
    n_numbers=lambda results: len(results) * (results[0].contributions.numel() + 8 * len(results[0].top)),
    takes_images=True,
    observe=_observe,
    takes_sentences=True,
)
ENDPOINT = TaskEndpoint(
    name="detect_anomalies",
    summary="Score items against normal data and flag anomalies",
    description="Scores how unlike the normal items of the model's training data an item is. An item is an image, a "
    "series, a row of a table, a vector, a sentence or a sound. A series with columns is scored row by row. "
    "Returns the score of each item, whether it is an anomaly, and which elements, columns, tokens or times "
    "contribute most.",
    schemas=(SCHEMA, SOUND_SCHEMA),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG]},),
)

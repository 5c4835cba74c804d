"""`/project`: items and texts as points in a plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody, TextParameters
from app.schemas.shared.examples import EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import count_tokens, decode_items, tokenize_inputs
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import PROJECT, PROJECT_TEXTS, Request
from models.tasks.autoencoding import Projection, ProjectRequest, ProjectResult
from models.tasks.text import ProjectTextsRequest


class ProjectParameters(ItemInputParameters):
    """Parameters of `/project`."""

    method: Projection = Field(
        "pca", description="Principal components of the request's latents, or two-dimensional latents as they are."
    )


class ProjectOutput(BaseModel):
    """One item's point."""

    x: float
    y: float


class ProjectBody(ItemsBody):
    """What `/project` is asked."""

    parameters: ProjectParameters = ProjectParameters()


class ProjectAnswer(Answer):
    """What `/project` answers."""

    outputs: list[ProjectOutput]
    explained_variance: list[float] | None = Field(None, description="Share of each axis, for pca.")


def _requests(body: ProjectBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [ProjectRequest(items=tuple(decode_items(body, codecs, limits)), method=body.parameters.method)]


def _outputs(
    results: Sequence[ProjectResult], requests: Sequence[Any], body: Any, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"x": x, "y": y} for result in results for x, y in result.points.tolist()]


def _summary(results: Sequence[ProjectResult]) -> dict[str, Any]:
    (result,) = results
    return {"explained_variance": result.explained_variance} if result.explained_variance else {}


SCHEMA = TaskSchema(
    task=PROJECT,
    body=ProjectBody,
    answer=ProjectAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: np.concatenate([result.points.numpy() for result in results]),
    summary=_summary,
    takes_images=True,
)


class ProjectTextsParameters(TextParameters):
    """Parameters of `/project` for texts."""

    method: Projection = Field(
        "pca", description="Principal components of the request's embeddings, or two-dimensional ones as they are."
    )


class ProjectTextsBody(ItemsBody):
    """What `/project` is asked of texts."""

    parameters: ProjectTextsParameters = ProjectTextsParameters()


def _text_requests(body: ProjectTextsBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [ProjectTextsRequest(texts=tuple(tokenize_inputs(body, codecs, limits)), method=body.parameters.method)]


TEXT_SCHEMA = TaskSchema(
    task=PROJECT_TEXTS,
    modality="text",
    body=ProjectTextsBody,
    answer=ProjectAnswer,
    requests=_text_requests,
    outputs=_outputs,
    array=SCHEMA.array,
    summary=_summary,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="project",
    summary="Project items into two dimensions",
    schemas=(
        SCHEMA,
        TEXT_SCHEMA,
    ),
    examples=(
        {"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG]},
        {"model": "sentence-mini-en", "inputs": ["A dog runs."]},
    ),
)

"""`/project`: items and texts as points in a plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from app.schemas.envelope import (
    Answer,
    Codecs,
    ItemIn,
    ItemsBody,
    Schema,
    TextParameters,
    items_of,
    n_tokens,
    tokens_of,
)
from models.codecs.arrays import Limits
from models.tasks import PROJECT, PROJECT_TEXTS, Request
from models.tasks.autoencoding import Projection, ProjectRequest, ProjectResult
from models.tasks.text import ProjectTextsRequest


class ProjectParameters(ItemIn):
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


def _requests(body: ProjectBody, codecs: Codecs, limits: Limits) -> list[Request]:
    return [ProjectRequest(items=tuple(items_of(body, codecs, limits)), method=body.parameters.method)]


def _outputs(
    results: Sequence[ProjectResult], requests: Sequence[Any], body: Any, codecs: Codecs
) -> list[dict[str, Any]]:
    return [{"x": x, "y": y} for result in results for x, y in result.points.tolist()]


def _summary(results: Sequence[ProjectResult]) -> dict[str, Any]:
    (result,) = results
    return {"explained_variance": result.explained_variance} if result.explained_variance else {}


SCHEMA = Schema(
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


def _text_requests(body: ProjectTextsBody, codecs: Codecs, limits: Limits) -> list[Request]:
    return [ProjectTextsRequest(texts=tuple(tokens_of(body, codecs, limits)), method=body.parameters.method)]


TEXT_SCHEMA = Schema(
    task=PROJECT_TEXTS,
    modality="text",
    body=ProjectTextsBody,
    answer=ProjectAnswer,
    requests=_text_requests,
    outputs=_outputs,
    array=SCHEMA.array,
    summary=_summary,
    usage=n_tokens,
)
SCHEMAS = (SCHEMA, TEXT_SCHEMA)

"""`/project`: show items and texts as points in a plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from app.schemas.shared.choices import ProjectionMethod
from app.schemas.shared.envelope import Answer, EmbeddingParameters, ItemInputParameters, ItemsBody, Parameters
from app.schemas.shared.examples import EXAMPLE_MODEL, ONE_PNG, SEVEN_PNG, ZERO_PNG
from app.schemas.shared.items import count_tokens, decode_items, tokenize_prompted_inputs
from app.schemas.shared.memory import REQUEST_BYTES, of_numbers
from app.schemas.shared.sounds import decode_sounds, of_passes
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import PROJECT, PROJECT_SOUNDS, PROJECT_TEXTS, Request
from models.tasks.audio import ProjectSoundsRequest
from models.tasks.autoencoding import ProjectRequest, ProjectResult
from models.tasks.text import ProjectTextsRequest


class ProjectParameters(ItemInputParameters):
    """Parameters of `/project` for items."""

    method: ProjectionMethod = Field(
        "pca",
        description="Whether to use the first two principal components of the request's latents (`pca`), or the "
        "latents as they are (`latent`), which must then be two-dimensional.",
    )


class ProjectOutput(BaseModel):
    """The point of one item."""

    x: float = Field(description="First coordinate of the point.")
    y: float = Field(description="Second coordinate of the point.")


class ProjectBody(ItemsBody):
    """Request body of `/project` for items."""

    parameters: ProjectParameters = Field(ProjectParameters(), description="Parameters of the task.")


class ProjectAnswer(Answer):
    """Answer of `/project`."""

    outputs: list[ProjectOutput] = Field(description="The point of each item, in the order of the inputs.")
    explained_variance: list[float] | None = Field(
        None, description="Share of the whole variance that each of the two axes explains; only for `pca`."
    )


def _requests(body: ProjectBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    items = decode_items(body, codecs, limits)
    return [ProjectRequest(items=tuple(items), method=body.parameters.method)]


def _outputs(
    results: Sequence[ProjectResult], requests: Sequence[Any], body: Any, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    (result,) = results
    return [{"x": x, "y": y} for x, y in result.points.tolist()]


def _summary(results: Sequence[ProjectResult]) -> dict[str, Any]:
    (result,) = results
    return {"explained_variance": result.explained_variance} if result.explained_variance else {}


SCHEMA = TaskSchema(
    task=PROJECT,
    body=ProjectBody,
    answer=ProjectAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_numbers(
        lambda requests, body, sizes: sum(
            sizes.latent_of(item.numel()) + 2 for request in requests for item in request.items
        )
    ),
    array=lambda results, body, codecs: np.concatenate([result.points.numpy() for result in results]),
    row=lambda output: output,
    summary=_summary,
    takes_images=True,
)


class ProjectSoundsParameters(Parameters):
    """Parameters of `/project` for sounds."""

    method: ProjectionMethod = Field(
        "pca",
        description="Whether to use the first two principal components of the request's latents (`pca`), which are the "
        "means and the deviations of frames over time, or the latents as they are (`latent`), which must then be "
        "two-dimensional.",
    )


class ProjectSoundsBody(ItemsBody):
    """Request body of `/project` for sounds."""

    parameters: ProjectSoundsParameters = Field(ProjectSoundsParameters(), description="Parameters of the task.")


def _sound_requests(body: ProjectSoundsBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    sounds = decode_sounds(body, codecs, limits)
    return [ProjectSoundsRequest(sounds=tuple(sounds), method=body.parameters.method)]


SOUND_SCHEMA = TaskSchema(
    task=PROJECT_SOUNDS,
    body=ProjectSoundsBody,
    answer=ProjectAnswer,
    requests=_sound_requests,
    outputs=_outputs,
    estimate=lambda requests, body, sizes: (
        of_passes(requests, body, sizes) + REQUEST_BYTES * sum(len(request.sounds) for request in requests)
    ),
    array=SCHEMA.array,
    summary=_summary,
    takes_sounds=True,
)


class ProjectTextsParameters(EmbeddingParameters):
    """Parameters of `/project` for texts."""

    method: ProjectionMethod = Field(
        "pca",
        description="Whether to use the first two principal components of the request's embeddings (`pca`), or the "
        "embeddings as they are (`latent`), which must then be two-dimensional.",
    )


class ProjectTextsBody(ItemsBody):
    """Request body of `/project` for texts."""

    parameters: ProjectTextsParameters = Field(ProjectTextsParameters(), description="Parameters of the task.")


def _text_requests(body: ProjectTextsBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    texts = tokenize_prompted_inputs(body, codecs, limits)
    return [ProjectTextsRequest(texts=tuple(texts), method=body.parameters.method)]


TEXT_SCHEMA = TaskSchema(
    task=PROJECT_TEXTS,
    modality="text",
    body=ProjectTextsBody,
    answer=ProjectAnswer,
    requests=_text_requests,
    outputs=_outputs,
    estimate=of_numbers(
        lambda requests, body, sizes: sum(len(request.texts) * (sizes.latent + 2) for request in requests)
    ),
    array=SCHEMA.array,
    summary=_summary,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="project",
    summary="Project items into two dimensions",
    description="Places the items of one request in a plane, close to those that the model finds similar. An item is "
    "an image, a series, a row of a table, a vector or a sound; or a text. Returns a point for each item.",
    schemas=(SCHEMA, SOUND_SCHEMA, TEXT_SCHEMA),
    is_joint=True,
    examples=(
        {"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG, ONE_PNG, ZERO_PNG]},
        {"model": "sentence-mini-en", "inputs": ["A dog runs.", "A puppy is playing.", "Stocks fell on Monday."]},
    ),
)

"""`/classify`: assign labels to items and texts."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.choices import Activation
from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody, Parameters, TextParameters
from app.schemas.shared.examples import SEVEN_PNG
from app.schemas.shared.items import count_tokens, decode_items, tokenize_inputs
from app.schemas.shared.memory import of_labels
from app.schemas.shared.sounds import decode_sounds, of_passes
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import CLASSIFY, CLASSIFY_SOUND, CLASSIFY_TEXT, Request
from models.tasks.audio import ClassifySoundRequest
from models.tasks.classification import ClassifyRequest, ClassifyResult
from models.tasks.text import ClassifyTextRequest

NUMBERS_PER_LABEL = 8
"""Number of array elements that take as long to render as one label with its score."""


class ClassifyParameters(ItemInputParameters):
    """Parameters of `/classify`."""

    top_k: int | None = Field(None, ge=1, description="Number of labels to return; all if omitted.")
    function_to_apply: Activation = Field(
        "softmax", description="Function that turns the model's logits into scores; `none` returns the logits."
    )


class ScoredLabel(BaseModel):
    """A label and its score."""

    label: str = Field(description="Name of the label.")
    score: float = Field(description="Score of the label: a probability, or a logit if no function is applied.")


class ClassifyOutput(BaseModel):
    """The labels of one item."""

    labels: list[ScoredLabel] = Field(description="The labels, best first.")


class ClassifyBody(ItemsBody):
    """Request body of `/classify` for items."""

    parameters: ClassifyParameters = Field(ClassifyParameters(), description="Parameters of the task.")


class ClassifyAnswer(Answer):
    """Answer of `/classify`."""

    outputs: list[ClassifyOutput] = Field(description="The labels of each item, in the order of the inputs.")


def _requests(body: ClassifyBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    return [
        ClassifyRequest(item=item, top_k=parameters.top_k, function_to_apply=parameters.function_to_apply)
        for item in decode_items(body, codecs, limits)
    ]


def _outputs(
    results: Sequence[ClassifyResult], requests: Sequence[Any], body: Any, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {"labels": [{"label": scored.label, "score": scored.score} for scored in result.labels]} for result in results
    ]


def _n_numbers(results: Sequence[ClassifyResult]) -> int:
    n_labels = len(results[0].labels)
    return NUMBERS_PER_LABEL * len(results) * n_labels


SCHEMA = TaskSchema(
    task=CLASSIFY,
    body=ClassifyBody,
    answer=ClassifyAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_labels,
    n_numbers=_n_numbers,
    takes_images=True,
)


class ClassifySoundParameters(Parameters):
    """Parameters of `/classify` for sounds."""

    top_k: int | None = Field(None, ge=1, description="Number of labels to return; all if omitted.")
    function_to_apply: Activation = Field(
        "softmax", description="Function that turns the model's logits into scores; `none` returns the logits."
    )


class ClassifySoundBody(ItemsBody):
    """Request body of `/classify` for sounds."""

    parameters: ClassifySoundParameters = Field(ClassifySoundParameters(), description="Parameters of the task.")


def _sound_requests(body: ClassifySoundBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    return [
        ClassifySoundRequest(sound=sound, top_k=parameters.top_k, function_to_apply=parameters.function_to_apply)
        for sound in decode_sounds(body, codecs, limits)
    ]


SOUND_SCHEMA = TaskSchema(
    task=CLASSIFY_SOUND,
    body=ClassifySoundBody,
    answer=ClassifyAnswer,
    requests=_sound_requests,
    outputs=_outputs,
    estimate=lambda requests, body, sizes: of_labels(requests, body, sizes) + of_passes(requests, body, sizes),
    n_numbers=_n_numbers,
    takes_sounds=True,
)


class ClassifyTextParameters(TextParameters):
    """Parameters of `/classify` for texts."""

    top_k: int | None = Field(None, ge=1, description="Number of labels to return; all if omitted.")
    function_to_apply: Activation | None = Field(
        None,
        description="Function that turns the model's logits into scores; `none` returns the logits. If omitted, the "
        "function that the checkpoint was trained for.",
    )


class ClassifyTextBody(ItemsBody):
    """Request body of `/classify` for texts."""

    parameters: ClassifyTextParameters = Field(ClassifyTextParameters(), description="Parameters of the task.")


def _text_requests(body: ClassifyTextBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    return [
        ClassifyTextRequest(tokens=tokens, top_k=parameters.top_k, function_to_apply=parameters.function_to_apply)
        for tokens in tokenize_inputs(body, codecs, limits)
    ]


TEXT_SCHEMA = TaskSchema(
    task=CLASSIFY_TEXT,
    modality="text",
    body=ClassifyTextBody,
    answer=ClassifyAnswer,
    requests=_text_requests,
    outputs=_outputs,
    estimate=of_labels,
    n_numbers=_n_numbers,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="classify",
    summary="Classify items and texts",
    description="Assigns the labels that the model was trained on. An item is an image, a sound, or a text or pair of "
    "texts. Returns the labels of each item with their scores, best first.",
    schemas=(SCHEMA, SOUND_SCHEMA, TEXT_SCHEMA),
    examples=(
        {"model": "denoising-ae-mnist", "inputs": [SEVEN_PNG]},
        {"model": "bert-sst2-en", "inputs": ["a wonderful film"]},
    ),
)

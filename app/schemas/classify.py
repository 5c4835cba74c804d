"""`/classify`: items and texts to labels."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemInputParameters, ItemsBody, TextParameters
from app.schemas.shared.examples import SEVEN_PNG
from app.schemas.shared.items import count_tokens, decode_items, tokenize_inputs
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import CLASSIFY, CLASSIFY_TEXT, Request
from models.tasks.autoencoding import Activation, ClassifyRequest, ClassifyResult
from models.tasks.text import ClassifyTextRequest


class ClassifyParameters(ItemInputParameters):
    """Parameters of `/classify`."""

    top_k: int | None = Field(None, ge=1, description="How many labels; all if left out.")
    function_to_apply: Activation = Field("softmax", description="To the logits.")


class LabelOut(BaseModel):
    """A label and its score."""

    label: str
    score: float


class ClassifyOutput(BaseModel):
    """One item's labels."""

    labels: list[LabelOut] = Field(description="Best first.")


class ClassifyBody(ItemsBody):
    """What `/classify` is asked."""

    parameters: ClassifyParameters = ClassifyParameters()


class ClassifyAnswer(Answer):
    """What `/classify` answers."""

    outputs: list[ClassifyOutput]


def _requests(body: ClassifyBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked = body.parameters
    return [
        ClassifyRequest(item=item, top_k=asked.top_k, function_to_apply=asked.function_to_apply)
        for item in decode_items(body, codecs, limits)
    ]


def _outputs(
    results: Sequence[ClassifyResult], requests: Sequence[Any], body: Any, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"labels": [{"label": one.label, "score": one.score} for one in result.labels]} for result in results]


def _n_numbers(results: Sequence[ClassifyResult]) -> int:
    return 8 * len(results) * len(results[0].labels)  # a label takes as long as so many


SCHEMA = TaskSchema(
    task=CLASSIFY,
    body=ClassifyBody,
    answer=ClassifyAnswer,
    requests=_requests,
    outputs=_outputs,
    n_numbers=_n_numbers,
    takes_images=True,
)


class ClassifyTextParameters(TextParameters):
    """Parameters of `/classify` for texts."""

    top_k: int | None = Field(None, ge=1, description="How many labels; all if left out.")
    function_to_apply: Activation | None = Field(
        None, description="To the logits; if left out, what the checkpoint was trained for."
    )


class ClassifyTextBody(ItemsBody):
    """What `/classify` is asked of texts."""

    parameters: ClassifyTextParameters = ClassifyTextParameters()


def _text_requests(body: ClassifyTextBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked = body.parameters
    return [
        ClassifyTextRequest(tokens=tokens, top_k=asked.top_k, function_to_apply=asked.function_to_apply)
        for tokens in tokenize_inputs(body, codecs, limits)
    ]


TEXT_SCHEMA = TaskSchema(
    task=CLASSIFY_TEXT,
    modality="text",
    body=ClassifyTextBody,
    answer=ClassifyAnswer,
    requests=_text_requests,
    outputs=_outputs,
    n_numbers=_n_numbers,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="classify",
    summary="Classify items and texts",
    schemas=(
        SCHEMA,
        TEXT_SCHEMA,
    ),
    examples=(
        {"model": "denoising-ae-mnist", "inputs": [SEVEN_PNG]},
        {"model": "bert-sst2-en", "inputs": ["a wonderful film"]},
    ),
)

"""`/classify`: items and texts to labels."""

from collections.abc import Sequence
from typing import Any

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
from models.tasks import CLASSIFY, CLASSIFY_TEXT, Request
from models.tasks.autoencoding import Activation, ClassifyRequest, ClassifyResult
from models.tasks.text import ClassifyTextRequest


class ClassifyParameters(ItemIn):
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


def _requests(body: ClassifyBody, codecs: Codecs, limits: Limits) -> list[Request]:
    asked = body.parameters
    return [
        ClassifyRequest(item=item, top_k=asked.top_k, function_to_apply=asked.function_to_apply)
        for item in items_of(body, codecs, limits)
    ]


def _outputs(
    results: Sequence[ClassifyResult], requests: Sequence[Any], body: Any, codecs: Codecs
) -> list[dict[str, Any]]:
    return [{"labels": [{"label": one.label, "score": one.score} for one in result.labels]} for result in results]


def _n_numbers(results: Sequence[ClassifyResult]) -> int:
    return 8 * len(results) * len(results[0].labels)  # a label takes as long as so many


SCHEMA = Schema(
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


def _text_requests(body: ClassifyTextBody, codecs: Codecs, limits: Limits) -> list[Request]:
    asked = body.parameters
    return [
        ClassifyTextRequest(tokens=tokens, top_k=asked.top_k, function_to_apply=asked.function_to_apply)
        for tokens in tokens_of(body, codecs, limits)
    ]


TEXT_SCHEMA = Schema(
    task=CLASSIFY_TEXT,
    modality="text",
    body=ClassifyTextBody,
    answer=ClassifyAnswer,
    requests=_text_requests,
    outputs=_outputs,
    n_numbers=_n_numbers,
    usage=n_tokens,
)
SCHEMAS = (SCHEMA, TEXT_SCHEMA)

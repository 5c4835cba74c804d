"""`/classify-tokens`: names in texts."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import count_tokens, tokenize_inputs
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text.entities import Aggregation, Entity, entities
from models.tasks import CLASSIFY_TOKENS, Request
from models.tasks.text import ClassifyTokensRequest, ClassifyTokensResult


class ClassifyTokensParameters(TextParameters):
    """Parameters of `/classify-tokens`."""

    aggregation: Aggregation = Field(
        "simple",
        description="`simple` joins neighbouring tokens of a kind; `first`, `average`, `max` whole words; `none` none.",
    )


class EntityOut(BaseModel):
    """A part of the text, and what it is."""

    entity_group: str
    score: float
    word: str
    start: int = Field(description="Its first character.")
    end: int = Field(description="The character after its last.")


class ClassifyTokensOutput(BaseModel):
    """One text's entities."""

    entities: list[EntityOut]


class ClassifyTokensBody(ItemsBody):
    """What `/classify-tokens` is asked."""

    parameters: ClassifyTokensParameters = ClassifyTokensParameters()


class ClassifyTokensAnswer(Answer):
    """What `/classify-tokens` answers."""

    outputs: list[ClassifyTokensOutput]


def _requests(body: ClassifyTokensBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [ClassifyTokensRequest(tokens=tokens) for tokens in tokenize_inputs(body, codecs, limits)]


def _outputs(
    results: Sequence[ClassifyTokensResult],
    requests: Sequence[ClassifyTokensRequest],
    body: ClassifyTokensBody,
    codecs: ModelCodecs,
) -> list[dict[str, Any]]:
    how = body.parameters.aggregation
    return [
        {"entities": [_entity(one) for one in entities(request.tokens, result.scores, codecs.labels, how)]}
        for request, result in zip(requests, results, strict=True)
    ]


def _entity(entity: Entity) -> dict[str, Any]:
    place = {"start": entity.start, "end": entity.end}
    return {"entity_group": entity.kind, "score": entity.score, "word": entity.word, **place}


SCHEMA = TaskSchema(
    task=CLASSIFY_TOKENS,
    modality="text",
    body=ClassifyTokensBody,
    answer=ClassifyTokensAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="classify_tokens",
    summary="Find named entities in texts",
    schemas=(SCHEMA,),
    examples=({"model": "bert-ner-en", "inputs": ["Anna Schmidt lives in London."]},),
)

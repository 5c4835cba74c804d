"""`/classify-tokens`: find named entities in texts."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.choices import Aggregation
from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import count_tokens, tokenize_inputs
from app.schemas.shared.memory import of_tokens
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text.entities import Entity, entities
from models.tasks import CLASSIFY_TOKENS, Request
from models.tasks.text import ClassifyTokensRequest, ClassifyTokensResult


class ClassifyTokensParameters(TextParameters):
    """Parameters of `/classify-tokens`."""

    aggregation: Aggregation = Field(
        "first",
        description="How tokens are joined into entities. `none` returns each token; `simple` joins neighbouring "
        "tokens of one kind, which may cut words; the others join whole words, each classified by its first token "
        "(`first`), by the mean of its tokens (`average`) or by its surest token (`max`).",
    )


class NamedEntity(BaseModel):
    """A part of the text that names something."""

    entity_group: str = Field(description="Kind of the entity, such as `PER` for a person.")
    score: float = Field(description="Probability of this kind, the mean over the parts that were joined.")
    word: str = Field(description="The part of the text.")
    start: int = Field(description="Index of the first character of the entity in the text.")
    end: int = Field(description="Index after the last character of the entity.")


class ClassifyTokensOutput(BaseModel):
    """The entities of one text."""

    entities: list[NamedEntity] = Field(description="The entities, in the order of the text.")


class ClassifyTokensBody(ItemsBody):
    """Request body of `/classify-tokens`. An item is a text."""

    parameters: ClassifyTokensParameters = Field(ClassifyTokensParameters(), description="Parameters of the task.")


class ClassifyTokensAnswer(Answer):
    """Answer of `/classify-tokens`."""

    outputs: list[ClassifyTokensOutput] = Field(description="The entities of each text, in the order of the inputs.")


def _requests(body: ClassifyTokensBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    texts = tokenize_inputs(body, codecs, limits)
    return [ClassifyTokensRequest(tokens=tokens) for tokens in texts]


def _outputs(
    results: Sequence[ClassifyTokensResult],
    requests: Sequence[ClassifyTokensRequest],
    body: ClassifyTokensBody,
    codecs: ModelCodecs,
) -> list[dict[str, Any]]:
    aggregation = body.parameters.aggregation
    outputs = []
    for request, result in zip(requests, results, strict=True):
        found = entities(request.tokens, result.scores, codecs.labels, aggregation)
        outputs.append({"entities": [_entity(entity) for entity in found]})
    return outputs


def _entity(entity: Entity) -> dict[str, Any]:
    return {
        "entity_group": entity.kind,
        "score": entity.score,
        "word": entity.word,
        "start": entity.start,
        "end": entity.end,
    }


SCHEMA = TaskSchema(
    task=CLASSIFY_TOKENS,
    modality="text",
    body=ClassifyTokensBody,
    answer=ClassifyTokensAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_tokens,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="classify_tokens",
    summary="Find named entities in texts",
    description="Finds the names of persons, places and other kinds that the model was trained on. An item is a text. "
    "Returns the entities of each text, with their kind, probability and place.",
    schemas=(SCHEMA,),
    examples=({"model": "bert-ner-en", "inputs": ["Anna Schmidt lives in London."]},),
)

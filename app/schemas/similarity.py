"""`/similarity`: how close texts are to one."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import count_tokens, read_text_objects
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text.codec import Text
from models.tasks import SIMILARITY, Request
from models.tasks.text import SimilarityRequest, SimilarityResult


class SimilarityOutput(BaseModel):
    """One source's candidates."""

    scores: list[float] = Field(description="The cosine of each candidate's embedding with the source's.")


class SimilarityBody(ItemsBody):
    """What `/similarity` is asked. An item is `{"source", "candidates"}`."""

    parameters: TextParameters = TextParameters()


class SimilarityAnswer(Answer):
    """What `/similarity` answers."""

    outputs: list[SimilarityOutput]


def _requests(body: SimilarityBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    items = read_text_objects(body.inputs, {"source": str, "candidates": list}, limits)
    requests: list[Request] = []
    for item in items:
        texts = [Text(item["source"]), *map(Text, item["candidates"])]
        tokens = codecs.texts.tokens(texts, truncate=body.parameters.truncate)
        requests.append(SimilarityRequest(texts=tuple(tokens)))
    return requests


def _outputs(
    results: Sequence[SimilarityResult], requests: Sequence[Any], body: SimilarityBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"scores": result.scores.numpy()} for result in results]


SCHEMA = TaskSchema(
    task=SIMILARITY,
    modality="text",
    body=SimilarityBody,
    answer=SimilarityAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="similarity",
    summary="Compare a text with candidates",
    schemas=(SCHEMA,),
    examples=(
        {
            "model": "sentence-mini-en",
            "inputs": [{"source": "a dog runs", "candidates": ["a dog walks", "stock prices"]}],
        },
    ),
)

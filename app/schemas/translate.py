"""`/translate`: texts in another language."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.generate import assembled, usage
from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import TRANSLATE, Request
from models.tasks.text import GenerateRequest, GenerateResult

LEAST_NEW_TOKENS, NEW_TOKENS_PER_TOKEN = 16, 3


class TranslateParameters(TextParameters):
    """Parameters of `/translate`."""

    num_beams: int = Field(5, ge=1, le=32, description="Beams of the search; 1 is greedy.")
    length_penalty: float = Field(
        1.0, ge=-10, le=10, description="The search ranks by log-likelihood / length ** this."
    )
    max_new_tokens: int | None = Field(
        None, ge=1, description="Three times the text's tokens and sixteen, or as many as fit, if left out."
    )


class TranslateOutput(BaseModel):
    """One text's translation."""

    translation: str
    score: float = Field(description="Log-likelihood / length ** length_penalty, in nats.")


class TranslateBody(ItemsBody):
    """What `/translate` is asked."""

    parameters: TranslateParameters = TranslateParameters()


class TranslateAnswer(Answer):
    """What `/translate` answers."""

    outputs: list[TranslateOutput]


def _requests(body: TranslateBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked, codec = body.parameters, codecs.texts
    texts = codec.tokens(codec.texts(body.inputs, limits), truncate=asked.truncate)
    return [
        GenerateRequest(
            tokens=tokens,
            max_new_tokens=asked.max_new_tokens
            or min(NEW_TOKENS_PER_TOKEN * len(tokens) + LEAST_NEW_TOKENS, codec.max_tokens - 1),
            num_beams=asked.num_beams,
            length_penalty=asked.length_penalty,
        )
        for tokens in texts
    ]


def _outputs(
    results: Sequence[GenerateResult], requests: Sequence[GenerateRequest], body: TranslateBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result in results:
        best = result.sequences[0]
        text, _ = assembled([token.id for token in best.tokens], codecs.texts, ())
        total = sum(token.log_prob for token in best.tokens)
        greedy = total / max(1, len(best.tokens)) ** body.parameters.length_penalty
        outputs.append({"translation": text, "score": greedy if best.score is None else best.score})
    return outputs


SCHEMA = TaskSchema(
    task=TRANSLATE,
    modality="text",
    body=TranslateBody,
    answer=TranslateAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=usage,
)
ENDPOINT = TaskEndpoint(
    name="translate",
    summary="Translate texts",
    schemas=(SCHEMA,),
    examples=({"model": "transformer-multi30k-en-de", "inputs": ["A man is riding a bike."]},),
)

"""`/score-text`: how likely texts are."""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import count_tokens, tokenize_inputs
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec
from models.tasks import SCORE_TEXT, Request
from models.tasks.text import ScoreTextRequest, ScoreTextResult


class TokenScore(BaseModel):
    """A token; `log_prob` in nats is null where it is given and not predicted."""

    token: str
    log_prob: float | None


class ScoreTextOutput(BaseModel):
    """One text's likelihood; of a bidirectional model its pseudo-likelihood (Salazar et al. 2020)."""

    log_likelihood: float = Field(description="In nats: the sum over the predicted tokens.")
    perplexity: float | None = Field(description="exp(-log_likelihood / predicted tokens); null where there are none.")
    tokens: list[TokenScore]


class ScoreTextBody(ItemsBody):
    """What `/score-text` is asked."""

    parameters: TextParameters = TextParameters()


class ScoreTextAnswer(Answer):
    """What `/score-text` answers."""

    outputs: list[ScoreTextOutput]


def _requests(body: ScoreTextBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [ScoreTextRequest(tokens=tokens) for tokens in tokenize_inputs(body, codecs, limits)]


def _outputs(
    results: Sequence[ScoreTextResult], requests: Sequence[ScoreTextRequest], body: ScoreTextBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [_output(*pair, codecs.texts) for pair in zip(results, requests, strict=True)]


def _output(result: ScoreTextResult, request: ScoreTextRequest, codec: TextCodec) -> dict[str, Any]:
    log_probs = dict(zip(result.places, result.log_probs.tolist(), strict=True))
    total = math.fsum(log_probs.values())
    names = [codec.token(token) for token in request.tokens.ids.tolist()]
    return {
        "log_likelihood": total,
        "perplexity": math.exp(min(-total / len(log_probs), 700.0)) if log_probs else None,
        "tokens": [{"token": name, "log_prob": log_probs.get(place)} for place, name in enumerate(names)],
    }


SCHEMA = TaskSchema(
    task=SCORE_TEXT,
    modality="text",
    body=ScoreTextBody,
    answer=ScoreTextAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="score_text",
    summary="Compute the log-likelihood of texts",
    schemas=(SCHEMA,),
    examples=({"model": "gpt-mini-en", "inputs": ["the dog ran home"]},),
)

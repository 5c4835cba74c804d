"""`/score-text`: how likely texts are."""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.envelope import Answer, Codecs, ItemsBody, Schema, TextParameters, n_tokens, tokens_of
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


def _requests(body: ScoreTextBody, codecs: Codecs, limits: Limits) -> list[Request]:
    return [ScoreTextRequest(tokens=tokens) for tokens in tokens_of(body, codecs, limits)]


def _outputs(
    results: Sequence[ScoreTextResult], requests: Sequence[ScoreTextRequest], body: ScoreTextBody, codecs: Codecs
) -> list[dict[str, Any]]:
    return [_output(*pair, codecs.texts) for pair in zip(results, requests, strict=True)]


def _output(result: ScoreTextResult, request: ScoreTextRequest, codec: TextCodec) -> dict[str, Any]:
    log_probs = [None if math.isnan(one) else one for one in result.log_probs.tolist()]
    predicted = [one for one in log_probs if one is not None]
    total = math.fsum(predicted)
    names = [codec.token(token) for token in request.tokens.ids.tolist()]
    return {
        "log_likelihood": total,
        "perplexity": math.exp(min(-total / len(predicted), 700.0)) if predicted else None,
        "tokens": [{"token": name, "log_prob": one} for name, one in zip(names, log_probs, strict=True)],
    }


SCHEMA = Schema(
    task=SCORE_TEXT,
    modality="text",
    body=ScoreTextBody,
    answer=ScoreTextAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=n_tokens,
)
SCHEMAS = (SCHEMA,)

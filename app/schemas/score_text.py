"""`/score-text`: compute how likely texts are."""

import math
from collections.abc import Collection, Sequence
from typing import Any, cast

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, Parameters, TextParameters
from app.schemas.shared.items import count_tokens, decode_sentences, tokenize_inputs
from app.schemas.shared.memory import of_tokens
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs import SentenceCodec
from models.codecs.arrays import Limits, limit_problems
from models.errors import InvalidItems, Problem
from models.tasks import SCORE_SENTENCE, SCORE_TEXT, Request
from models.tasks.sentences import ScoreSentenceRequest, ScoreSentenceResult
from models.tasks.text import ScoreTextRequest, ScoreTextResult, Tokens

MAX_EXPONENT = 700.0
"""Largest exponent of a perplexity; a little more would overflow a float64."""


class TokenScore(BaseModel):
    """A token of the text and its log-probability."""

    token: str = Field(description="The token.")
    log_prob: float | None = Field(
        description="Log-probability of the token in nats; null for tokens that are not predicted, such as the first."
    )


class ScoreTextOutput(BaseModel):
    """The likelihood of one text.

    From a bidirectional model, it is the pseudo-likelihood (Salazar et al. 2020); from an autoencoder of sentences, the
    likelihood of the tokens and of the end given the latent that the sentence itself is encoded to.
    """

    log_likelihood: float = Field(description="Log-likelihood in nats: the sum over the predicted tokens.")
    perplexity: float | None = Field(
        description="Perplexity: exp(-log_likelihood / predicted tokens); null if no token is predicted."
    )
    tokens: list[TokenScore] = Field(description="The tokens of the text with their log-probabilities.")


class ScoreTextBody(ItemsBody):
    """Request body of `/score-text`. An item is a text."""

    parameters: TextParameters = Field(TextParameters(), description="Parameters of the task.")


class ScoreSentenceParameters(Parameters):
    """Parameters of `/score-text` for sentences: none."""


class ScoreTextAnswer(Answer):
    """Answer of `/score-text`."""

    outputs: list[ScoreTextOutput] = Field(description="The likelihood of each text, in the order of the inputs.")


def _requests(body: ScoreTextBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    texts = tokenize_inputs(body, codecs, limits)
    empty = [index for index, tokens in enumerate(texts) if _is_empty(tokens, codecs.texts.special.all)]
    if empty:
        raise InvalidItems(*limit_problems([Problem("the text has no token to score", index) for index in empty]))
    return [ScoreTextRequest(tokens=tokens) for tokens in texts]


def _is_empty(tokens: Tokens, special_ids: Collection[int]) -> bool:
    """Return whether there are only special tokens, and none that the text itself spells out."""
    if not all(token_id in special_ids for token_id in tokens.ids.tolist()):
        return False
    return all(text is None for text in tokens.details().texts)


def _outputs(
    results: Sequence[ScoreTextResult], requests: Sequence[ScoreTextRequest], body: ScoreTextBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result, request in zip(results, requests, strict=True):
        log_probs = dict(zip(result.positions, result.log_probs.tolist(), strict=True))
        tokens = [codecs.texts.token(token) for token in request.tokens.ids.tolist()]
        outputs.append(_output(tokens, [log_probs.get(position) for position in range(len(tokens))]))
    return outputs


def _output(tokens: Sequence[str], log_probs: Sequence[float | None]) -> dict[str, Any]:
    """Return the output for tokens, some of which are not predicted."""
    predicted = [value for value in log_probs if value is not None]
    total = math.fsum(predicted)
    return {
        "log_likelihood": total,
        "perplexity": math.exp(min(-total / len(predicted), MAX_EXPONENT)) if predicted else None,
        "tokens": [{"token": token, "log_prob": value} for token, value in zip(tokens, log_probs, strict=True)],
    }


SCHEMA = TaskSchema(
    task=SCORE_TEXT,
    modality="text",
    body=ScoreTextBody,
    answer=ScoreTextAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_tokens,
    usage=count_tokens,
)


class ScoreSentenceBody(ItemsBody):
    """Request body of `/score-text` for autoencoders of sentences. An item is a sentence."""

    parameters: ScoreSentenceParameters = Field(ScoreSentenceParameters(), description="Parameters of the task.")


def _sentence_requests(body: ScoreSentenceBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [ScoreSentenceRequest(item=item) for item in decode_sentences(body, codecs, limits)]


def _sentence_outputs(
    results: Sequence[ScoreSentenceResult], requests: Sequence[Any], body: ScoreSentenceBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    codec = cast("SentenceCodec", codecs.items)
    return [_output(codec.tokens(result.ids.numpy()), result.log_probs.tolist()) for result in results]


SENTENCE_SCHEMA = TaskSchema(
    task=SCORE_SENTENCE,
    modality="text",
    body=ScoreSentenceBody,
    answer=ScoreTextAnswer,
    requests=_sentence_requests,
    outputs=_sentence_outputs,
    estimate=of_tokens,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="score_text",
    summary="Compute the log-likelihood of texts",
    description="Scores how likely a text is to the model. An item is a text with at least one token. Returns "
    "the log-likelihood and perplexity of each text, and the log-probability of each of its tokens; an autoencoder of "
    "sentences computes them given the latent of the sentence itself.",
    schemas=(SCHEMA, SENTENCE_SCHEMA),
    examples=({"model": "gpt-mini-en", "inputs": ["the dog ran home"]},),
)

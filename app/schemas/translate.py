"""`/translate`: translate texts into another language."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.generate import assemble_text, count_generated_tokens
from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import tokenize_inputs
from app.schemas.shared.memory import of_generation
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import TRANSLATE, Request
from models.tasks.generation import MAX_BEAMS, GenerateRequest, GenerateResult

N_BEAMS = 5
"""Default of `num_beams` for checkpoints that have none."""
MIN_NEW_TOKENS, NEW_TOKENS_PER_TOKEN = 16, 3
"""Default of `max_new_tokens` for an empty text, and what each token of the text adds to it."""


class TranslateParameters(TextParameters):
    """Parameters of `/translate`."""

    num_beams: int | None = Field(
        None,
        ge=1,
        le=MAX_BEAMS,
        description="Number of beams of the search; 1 takes the likeliest token each time. If omitted, the "
        "checkpoint's, else 5.",
    )
    length_penalty: float | None = Field(
        None,
        ge=-10,
        le=10,
        description="Exponent of the length by which the search divides the log-likelihood; the checkpoint's, else "
        "1.0, if omitted.",
    )
    max_new_tokens: int | None = Field(
        None,
        ge=1,
        description="Maximum number of tokens of a translation. If omitted, the checkpoint's, else three times those "
        "of the text and 16 more; as many as fit, if fewer.",
    )


class TranslateOutput(BaseModel):
    """The translation of one text."""

    translation: str = Field(description="The translation.")
    score: float = Field(description="Log-likelihood in nats, divided by the length to the power of `length_penalty`.")


class TranslateBody(ItemsBody):
    """Request body of `/translate`. An item is a text."""

    parameters: TranslateParameters = Field(TranslateParameters(), description="Parameters of the task.")


class TranslateAnswer(Answer):
    """Answer of `/translate`."""

    outputs: list[TranslateOutput] = Field(description="The translation of each text, in the order of the inputs.")


def _requests(body: TranslateBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    texts = tokenize_inputs(body, codecs, limits)
    defaults = codecs.generation_defaults
    given = {
        "do_sample": False,
        "num_beams": parameters.num_beams or defaults.num_beams or N_BEAMS,
        "length_penalty": parameters.length_penalty,
        "max_new_tokens": parameters.max_new_tokens,
        "n": 1,
    }
    return [defaults.complete(text, given, n_new=NEW_TOKENS_PER_TOKEN * len(text) + MIN_NEW_TOKENS) for text in texts]


def _outputs(
    results: Sequence[GenerateResult], requests: Sequence[GenerateRequest], body: TranslateBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result, request in zip(results, requests, strict=True):
        best = result.sequences[0]
        text, _ = assemble_text([token.id for token in best.tokens], codecs.texts, ())
        total = sum(token.log_prob for token in best.tokens)
        greedy = total / max(1, len(best.tokens)) ** request.length_penalty
        outputs.append({"translation": text, "score": greedy if best.score is None else best.score})
    return outputs


SCHEMA = TaskSchema(
    task=TRANSLATE,
    modality="text",
    body=TranslateBody,
    answer=TranslateAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_generation,
    usage=count_generated_tokens,
)
ENDPOINT = TaskEndpoint(
    name="translate",
    summary="Translate texts",
    description="Translates texts between the languages that the model was trained on, by beam search. An item is a "
    "text. Returns the translation of each text with its score.",
    schemas=(SCHEMA,),
    examples=({"model": "transformer-multi30k-en-de", "inputs": ["A man is riding a bike."]},),
)

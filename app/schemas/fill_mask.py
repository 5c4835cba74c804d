"""`/fill-mask`: the likeliest words behind a mask."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import count_tokens, tokenize_inputs
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec
from models.errors import InvalidItems, Problem
from models.tasks import FILL_MASK, Request
from models.tasks.text import FillMaskRequest, FillMaskResult, Tokens

WORD_BEGINNINGS = ("", "Ġ", "▁")
"""What a vocabulary may put before a token that begins a word."""
MAX_FILLS = 4096
"""Of all masks of a request: each is told with the whole text, which takes up to a fifth of a millisecond to write."""


class FillMaskParameters(TextParameters):
    """Parameters of `/fill-mask`."""

    top_k: int = Field(5, ge=1, le=1000, description="How many tokens for each mask.")
    targets: list[str] | None = Field(
        None, min_length=1, max_length=1000, description="Tokens to choose from; all if left out."
    )


class FillOut(BaseModel):
    """A token, and the text with it."""

    score: float = Field(description="Its probability.")
    token: int
    token_str: str
    sequence: str = Field(description="The text with this token; other masks are left as they are.")


class FillMaskOutput(BaseModel):
    """One text's masks."""

    fills: list[list[FillOut]] = Field(description="For each mask, the likeliest tokens, best first.")


class FillMaskBody(ItemsBody):
    """What `/fill-mask` is asked."""

    parameters: FillMaskParameters = FillMaskParameters()


class FillMaskAnswer(Answer):
    """What `/fill-mask` answers."""

    outputs: list[FillMaskOutput]


def _requests(body: FillMaskBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked, codec = body.parameters, codecs.texts
    targets = None if asked.targets is None else tuple(_target(word, codec) for word in asked.targets)
    texts = tokenize_inputs(body, codecs, limits)
    places = [_masks(tokens, codec) for tokens in texts]
    if missing := [Problem(_advice(codec), number) for number, of_text in enumerate(places) if not of_text]:
        raise InvalidItems(*missing)
    n_masks, n_each = sum(map(len, places)), min(asked.top_k, codec.vocab_size if targets is None else len(targets))
    if n_masks * n_each > MAX_FILLS:
        told = f"{n_masks} masks, {n_each} tokens for each: {n_masks * n_each} in all"
        raise InvalidItems(Problem(f"{told}; the limit is {MAX_FILLS}"))
    return [
        FillMaskRequest(tokens=tokens, places=of_text, top_k=asked.top_k, targets=targets)
        for tokens, of_text in zip(texts, places, strict=True)
    ]


def _masks(tokens: Tokens, codec: TextCodec) -> tuple[int, ...]:
    return tuple(place for place, token in enumerate(tokens.ids.tolist()) if token == codec.special.mask)


def _advice(codec: TextCodec) -> str:
    mask = codec.token(codec.special.mask) if codec.special.mask is not None else ""
    return f"the text has no mask; write {mask} where a word is to be guessed"


def _target(word: str, codec: TextCodec) -> int:
    ids = (codec.id_of(beginning + word) for beginning in WORD_BEGINNINGS)
    found = next((one for one in ids if one is not None), None)
    if found is None:
        raise InvalidItems(Problem(f"the target {word[:40]!r} is no token of this model's vocabulary"))
    return found


def _outputs(
    results: Sequence[FillMaskResult], requests: Sequence[FillMaskRequest], body: FillMaskBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {"fills": [_fills(request, number, result, codecs.texts) for number in range(len(request.places))]}
        for request, result in zip(requests, results, strict=True)
    ]


def _fills(request: FillMaskRequest, number: int, result: FillMaskResult, codec: TextCodec) -> list[dict[str, Any]]:
    ids = request.tokens.ids.tolist()
    is_only = len(request.places) == 1
    fills = []
    for fill in result.fills[number]:
        ids[request.places[number]] = fill.token
        fills.append(
            {
                "score": fill.score,
                "token": fill.token,
                "token_str": codec.token_text(fill.token),
                "sequence": codec.decode(ids, skip_special_tokens=is_only),
            }
        )
    return fills


SCHEMA = TaskSchema(
    task=FILL_MASK,
    modality="text",
    body=FillMaskBody,
    answer=FillMaskAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="fill_mask",
    summary="Predict masked words",
    schemas=(SCHEMA,),
    examples=({"model": "bert-mini-en", "inputs": ["The [MASK] was born in 1950 ."]},),
)

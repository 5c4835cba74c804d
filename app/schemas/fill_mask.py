"""`/fill-mask`: predict masked words."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.registry.model_sizes import FLOAT_BYTES, ModelSizes
from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import count_tokens, tokenize_inputs
from app.schemas.shared.memory import CHARACTER_BYTES, RECORD_BYTES, REQUEST_BYTES
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec
from models.codecs.text.targets import find_targets
from models.errors import InvalidItems, Problem
from models.tasks import FILL_MASK, Request
from models.tasks.text import FillMaskRequest, FillMaskResult, Tokens

MAX_FILLS = 4096
"""Maximum number of predicted tokens for all masks of a request.

The answer has the whole text for each of them, which takes up to 0.2 ms to decode.
"""


class FillMaskParameters(TextParameters):
    """Parameters of `/fill-mask`."""

    top_k: int = Field(5, ge=1, le=1000, description="Number of tokens to return for each mask.")
    targets: list[str] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Tokens to choose from; the whole vocabulary if omitted. Each is spelt as in `token_str` or as "
        "in the vocabulary, in any case if the model ignores case. It names every token that `token_str` shows so.",
    )


class MaskFill(BaseModel):
    """A token that may stand in the place of a mask."""

    score: float = Field(description="Probability of the token.")
    token: int = Field(description="Id of the token.")
    token_str: str = Field(description="The token as text.")
    sequence: str = Field(description="The text with the token in place of the mask; other masks are left as they are.")


class FillMaskOutput(BaseModel):
    """The predictions for the masks of one text."""

    fills: list[list[MaskFill]] = Field(description="The likeliest tokens for each mask, best first.")


class FillMaskBody(ItemsBody):
    """Request body of `/fill-mask`. An item is a text with at least one mask."""

    parameters: FillMaskParameters = Field(FillMaskParameters(), description="Parameters of the task.")


class FillMaskAnswer(Answer):
    """Answer of `/fill-mask`."""

    outputs: list[FillMaskOutput] = Field(description="The predictions for each text, in the order of the inputs.")


def _requests(body: FillMaskBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters, codec = body.parameters, codecs.texts
    targets = None if parameters.targets is None else find_targets(parameters.targets, codec, limits)
    texts = tokenize_inputs(body, codecs, limits)
    masks = _find_masks(texts, codec)
    n_masks = sum(map(len, masks))
    n_each = min(parameters.top_k, codec.vocab_size if targets is None else len(targets))
    if n_masks * n_each > MAX_FILLS:
        detail = f"{n_masks} masks, {n_each} tokens for each: {n_masks * n_each} in all; the limit is {MAX_FILLS}"
        raise InvalidItems(Problem(detail, parameter="top_k" if n_masks <= MAX_FILLS else None))
    return [
        FillMaskRequest(tokens=tokens, positions=positions, top_k=parameters.top_k, targets=targets)
        for tokens, positions in zip(texts, masks, strict=True)
    ]


def _find_masks(texts: Sequence[Tokens], codec: TextCodec) -> list[tuple[int, ...]]:
    """Return the positions of the masks of each text.

    Raises:
        InvalidItems: a text has no mask; the error says how to write one.
    """
    mask = codec.special.mask
    masks = [tuple(position for position, token in enumerate(tokens.ids.tolist()) if token == mask) for tokens in texts]
    without = [index for index, positions in enumerate(masks) if not positions]
    if without:
        written = codec.token(mask) if mask is not None else ""
        detail = f"the text has no mask; write {written} where a word is to be guessed"
        raise InvalidItems(*(Problem(detail, index) for index in without))
    return masks


def _outputs(
    results: Sequence[FillMaskResult], requests: Sequence[FillMaskRequest], body: FillMaskBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {"fills": [_render_fills(request, number, result, codecs.texts) for number in range(len(request.positions))]}
        for request, result in zip(requests, results, strict=True)
    ]


def _render_fills(
    request: FillMaskRequest, number: int, result: FillMaskResult, codec: TextCodec
) -> list[dict[str, Any]]:
    """Return the predictions for one mask of a text, the `number`-th."""
    ids = request.tokens.ids.tolist()
    is_only = len(request.positions) == 1
    fills = []
    for fill in result.fills[number]:
        ids[request.positions[number]] = fill.token
        fills.append(
            {
                "score": fill.score,
                "token": fill.token,
                "token_str": codec.token_text(fill.token),
                "sequence": codec.decode(ids, skip_special_tokens=is_only),
            }
        )
    return fills


def _estimate(requests: Sequence[FillMaskRequest], body: FillMaskBody, sizes: ModelSizes) -> int:
    """Count an entry with the whole text for each prediction, and the logits of the vocabulary for each mask."""
    n_bytes = 0
    for request in requests:
        n_each = min(request.top_k, sizes.vocabulary if request.targets is None else len(request.targets))
        entry = RECORD_BYTES + CHARACTER_BYTES * sum(map(len, request.tokens.sources))
        n_bytes += REQUEST_BYTES + len(request.positions) * (n_each * entry + sizes.vocabulary * FLOAT_BYTES)
    return n_bytes


SCHEMA = TaskSchema(
    task=FILL_MASK,
    modality="text",
    body=FillMaskBody,
    answer=FillMaskAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=_estimate,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="fill_mask",
    summary="Predict masked words",
    description="Predicts masked words. An item is a text that has the model's mask token, such as `[MASK]`, "
    "in place of a word, once or more. Returns the likeliest tokens for each mask of each text, best first.",
    schemas=(SCHEMA,),
    examples=({"model": "bert-mini-en", "inputs": ["The [MASK] was born in 1950 ."]},),
)

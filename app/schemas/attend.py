"""`/attend`: the attention weights between the tokens of a text."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.registry.model_sizes import FLOAT_BYTES, ModelSizes
from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import tokenize_items
from app.schemas.shared.memory import REQUEST_BYTES, WEIGHT_BYTES
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextItem
from models.errors import InvalidItems, Problem
from models.tasks import ATTEND, Request
from models.tasks.text import AttendRequest, AttendResult

MAX_PAIRS = 2**18
"""Maximum number of pairs of tokens in the texts of one request; for a single text, only the model's limit counts."""

KINDS_OF_MAPS = 3
"""Number of kinds of attention maps that an encoder-decoder has: of the text, of the target, and between the two."""


class AttendParameters(TextParameters):
    """Parameters of `/attend`."""

    layers: list[int] | None = Field(
        None, min_length=1, max_length=1000, description="Indices of the layers to return, from 0; all if omitted."
    )
    heads: list[int] | None = Field(
        None, min_length=1, max_length=1000, description="Indices of the heads to return, from 0; all if omitted."
    )


class AttendOutput(BaseModel):
    """The attention weights of one text and, for an encoder-decoder, of its translation."""

    tokens: list[str] = Field(description="The tokens of the text.")
    attention: list[Any] = Field(
        description="Weights between the tokens of the text, `[layer][head][query][key]`; those of a query sum to 1."
    )
    target_tokens: list[str] | None = Field(
        None, description="The tokens of the translation, which the decoder reads; only for encoder-decoders."
    )
    target_attention: list[Any] | None = Field(
        None, description="Weights between the tokens of the translation; only for encoder-decoders."
    )
    cross_attention: list[Any] | None = Field(
        None, description="Weights from the translation's tokens to the text's; only for encoder-decoders."
    )


class AttendBody(ItemsBody):
    """Request body of `/attend`. For an encoder-decoder, `text_pair` is the translation; the model's own if omitted."""

    parameters: AttendParameters = Field(AttendParameters(), description="Parameters of the task.")


class AttendAnswer(Answer):
    """Answer of `/attend`."""

    outputs: list[AttendOutput] = Field(description="The attention weights of each text, in the order of the inputs.")


def _requests(body: AttendBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    parameters, codec = body.parameters, codecs.texts
    items = codec.parse(body.inputs, limits)
    targets = [codec.encode_target(item.pair) if codec.has_target and item.pair is not None else None for item in items]
    layers = None if parameters.layers is None else tuple(parameters.layers)
    heads = None if parameters.heads is None else tuple(parameters.heads)
    sources = [TextItem(item.text, ids=item.ids) for item in items] if codec.has_target else items
    requests = [
        AttendRequest(tokens=tokens, target=target, layers=layers, heads=heads)
        for tokens, target in zip(tokenize_items(sources, parameters, codecs), targets, strict=True)
    ]
    n_pairs = sum(request.cost for request in requests)
    if len(requests) > 1 and n_pairs > MAX_PAIRS:
        detail = f"the texts have {n_pairs} pairs of tokens, all together"
        raise InvalidItems(Problem(f"{detail}; the limit is {MAX_PAIRS}: ask for fewer texts at a time"))
    return [*requests]


def _outputs(
    results: Sequence[AttendResult], requests: Sequence[AttendRequest], body: AttendBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    codec = codecs.texts
    outputs = []
    for result, request in zip(results, requests, strict=True):
        output: dict[str, Any] = {
            "tokens": [codec.token(token) for token in request.tokens.ids.tolist()],
            "attention": result.attention.numpy(),
        }
        if result.target_ids is not None and result.target_attention is not None and result.cross_attention is not None:
            output |= {
                "target_tokens": [codec.token(token) for token in result.target_ids.tolist()],
                "target_attention": result.target_attention.numpy(),
                "cross_attention": result.cross_attention.numpy(),
            }
        outputs.append(output)
    return outputs


def _estimate(requests: Sequence[AttendRequest], body: AttendBody, sizes: ModelSizes) -> int:
    """Count all maps that the forward pass records in float32, and of the answer those that are asked for.

    Without a given target, an encoder-decoder generates one, of a length that only its context limits.
    """
    parameters, n_maps = body.parameters, sizes.attention_maps
    n_shown = n_maps
    if parameters.layers is not None and parameters.heads is not None:
        n_shown = min(n_maps, KINDS_OF_MAPS * len(parameters.layers) * len(parameters.heads))
    n_pairs = 0
    for request in requests:
        is_generated = sizes.has_target and request.target is None
        n_pairs += (len(request.tokens) + sizes.item) ** 2 if is_generated else request.cost
    return len(requests) * REQUEST_BYTES + n_pairs * (n_maps * FLOAT_BYTES + n_shown * WEIGHT_BYTES)


SCHEMA = TaskSchema(
    task=ATTEND,
    modality="text",
    body=AttendBody,
    answer=AttendAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=_estimate,
    usage=lambda requests, results: {"tokens": sum(len(request.tokens) for request in requests)},
)
ENDPOINT = TaskEndpoint(
    name="attend",
    summary="Return attention weights between tokens",
    description="Shows how much each token of a text attends to each other token, in every layer and head. An item is "
    "a text; for an encoder-decoder, `text_pair` may be its translation. Returns the tokens and their attention "
    "weights.",
    schemas=(SCHEMA,),
    examples=({"model": "gpt-mini-en", "inputs": ["the dog ran"], "parameters": {"layers": [0], "heads": [0]}},),
)

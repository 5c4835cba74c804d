"""`/attend`: what tokens see."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextCodec
from models.codecs.text.codec import Text
from models.errors import InvalidItems, Problem
from models.tasks import ATTEND, Request
from models.tasks.text import AttendRequest, AttendResult

MAX_PAIRS = 2**18
"""Of tokens of one text each, of all texts of a request; one text alone has the model's own limit."""


class AttendParameters(TextParameters):
    """Parameters of `/attend`."""

    layers: list[int] | None = Field(
        None, min_length=1, max_length=1000, description="Which layers, from 0; all if left out."
    )
    heads: list[int] | None = Field(
        None, min_length=1, max_length=1000, description="Which heads, from 0; all if left out."
    )


class AttendOutput(BaseModel):
    """One text's attention; of an encoder-decoder, that of its translation as well."""

    tokens: list[str]
    attention: list[Any] = Field(description="Weights [layer][head][query][key]; each query's sum to 1.")
    target_tokens: list[str] | None = Field(None, description="What the decoder has read.")
    target_attention: list[Any] | None = Field(None, description="Among those.")
    cross_attention: list[Any] | None = Field(None, description="From those to the text's tokens.")


class AttendBody(ItemsBody):
    """What `/attend` is asked. Of an encoder-decoder, `text_pair` is the translation; its own if left out."""

    parameters: AttendParameters = AttendParameters()


class AttendAnswer(Answer):
    """What `/attend` answers."""

    outputs: list[AttendOutput]


def _requests(body: AttendBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked, codec = body.parameters, codecs.texts
    texts = codec.texts(body.inputs, limits)
    targets = [codec.encode_target(text.pair) if codec.crosses and text.pair is not None else None for text in texts]
    sources = [Text(text.text, ids=text.ids) for text in texts] if codec.crosses else texts
    requests = [
        AttendRequest(tokens=tokens, target=target, layers=_places(asked.layers), heads=_places(asked.heads))
        for tokens, target in zip(codec.tokens(sources, truncate=asked.truncate), targets, strict=True)
    ]
    n_pairs = sum(request.cost for request in requests)
    if len(requests) > 1 and n_pairs > MAX_PAIRS:
        told = f"the texts have {n_pairs} pairs of tokens, all together"
        raise InvalidItems(Problem(f"{told}; the limit is {MAX_PAIRS}: ask for fewer texts at a time"))
    return [*requests]


def _places(places: list[int] | None) -> tuple[int, ...] | None:
    return None if places is None else tuple(places)


def _outputs(
    results: Sequence[AttendResult], requests: Sequence[AttendRequest], body: AttendBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [_output(*pair, codecs.texts) for pair in zip(results, requests, strict=True)]


def _output(result: AttendResult, request: AttendRequest, codec: TextCodec) -> dict[str, Any]:
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
    return output


SCHEMA = TaskSchema(
    task=ATTEND,
    modality="text",
    body=AttendBody,
    answer=AttendAnswer,
    requests=_requests,
    outputs=_outputs,
    usage=lambda requests, results: {"tokens": sum(len(request.tokens) for request in requests)},
)
ENDPOINT = TaskEndpoint(
    name="attend",
    summary="Return attention weights between tokens",
    schemas=(SCHEMA,),
    examples=({"model": "gpt-mini-en", "inputs": ["the dog ran"], "parameters": {"layers": [0], "heads": [0]}},),
)

"""Streams of `text-generation` that fail after their first event."""

import json
import math
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Message

from app.concurrency.request_memory import RequestMemory
from app.errors import InferenceFailed, QueueFull
from app.http.context import RequestContext
from app.http.request_timer import RequestTimer
from app.inference.stream import Stream
from app.routes.huggingface.generation import stream_events
from app.routes.task_call import TaskCall
from app.schemas.foreign.huggingface.generation import PipelineTextGenerationBody
from models.codecs import TextCodec
from models.codecs.text import SpecialTokens

pytestmark = pytest.mark.anyio

EVENT = {
    "input": 0,
    "generation": 0,
    "text": " the",
    "token": 7,
    "logprobs": {"token": 7, "token_str": " the", "logprob": math.log(0.5), "top": []},
    "finish_reason": None,
    "seed": 1,
}


class BrokenStream:
    """Yields an event and then raises an error."""

    def __init__(self, error: Exception) -> None:
        self.error, self.is_cancelled = error, False

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        yield EVENT
        raise self.error

    def cancel(self) -> None:
        self.is_cancelled = True


async def no_message() -> Message:
    raise AssertionError("nothing is received")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (InferenceFailed("the forward pass failed"), "generation", "the forward pass failed"),
        (QueueFull("too much work", retry_after_s=1), "overloaded", "too much work"),
        (RuntimeError("a secret of a library"), "generation", "the server failed"),
    ],
)
async def test_an_error_becomes_the_last_event(error: Exception, kind: str, message: str) -> None:
    stream = BrokenStream(error)
    codec = cast("TextCodec", SimpleNamespace(special=SpecialTokens(all=frozenset({0}))))
    call = cast("TaskCall", SimpleNamespace(codecs=SimpleNamespace(texts=codec)))
    context = RequestContext("id", {}, RequestTimer(no_message), RequestMemory(lambda: 0).open_share())
    events = stream_events(PipelineTextGenerationBody(inputs="a"), call, cast("Stream", stream), context)
    first, last = [json.loads(event.removeprefix(b"data:")) async for event in events]
    assert (first["token"]["text"], first["token"]["special"]) == (" the", False)
    assert last["error_type"] == kind
    assert last["error"].startswith(message)
    assert stream.is_cancelled

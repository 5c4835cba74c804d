"""Completions in the form of OpenAI."""

import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.errors import Fault, InvalidRequest
from app.http.content import EVENTS, JSON
from app.http.problems import report_error
from app.http.responses import UNBUFFERED_HEADERS, TaskResponse, server_sent_event, task_json
from app.inference.stream import Stream
from app.routes.foreign import ForeignRequest, Reply, call_task, receive, stream_task, stream_usage
from app.routes.openai.dialect import render_error, require_model
from app.routes.task_call import TaskCall
from app.schemas.foreign.openai import DEFAULT_MAX_TOKENS, OpenAICompletionsBody
from app.schemas.foreign.texts import Texts, read_texts
from app.schemas.shared.envelope import SEED_BITS
from app.schemas.shared.parsing import parse_body
from models.codecs import TextCodec
from models.codecs.text.assembly import TextAssembly

LAST_EVENT = b"data: [DONE]\n\n"
NAMES = {
    "parameters/max_new_tokens": "max_tokens",
    **{
        f"parameters/{name}": name
        for name in ("n", "temperature", "top_p", "stop", "seed", "logprobs", "frequency_penalty", "presence_penalty")
    },
}
"""Names of this dialect for the parameters of the native task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Completion:
    """A request for completions.

    Attributes:
        body: the body.
        prompts: its prompts.
        model: the id of the model.
        head: the members that the answer, or each chunk of a stream, begins with.
    """

    body: OpenAICompletionsBody
    prompts: Texts
    model: str
    head: dict[str, Any] = field(
        default_factory=lambda: {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
        }
    )

    @property
    def n(self) -> int:
        """The number of texts for each prompt."""
        return self.body.n or 1

    def native(self) -> dict[str, Any]:
        """Return the body of the native task."""
        body = self.body
        temperature, top_p = (1.0 if given is None else given for given in (body.temperature, body.top_p))
        is_greedy = temperature == 0 or top_p == 0
        parameters = {
            "max_new_tokens": DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens,
            "n": self.n,
            "num_beams": 1,
            "do_sample": not is_greedy,
            "temperature": None if is_greedy else temperature,
            "top_p": None if is_greedy else top_p,
            "frequency_penalty": body.frequency_penalty,
            "presence_penalty": body.presence_penalty,
            "stop": body.stop,
            "seed": None if body.seed is None else body.seed % 2**SEED_BITS,
            "logprobs": body.logprobs,
            "stream": bool(body.stream),
        }
        return {"model": self.model, "inputs": self.prompts.items, "parameters": parameters}

    def prompt_text(self, index: int, codec: TextCodec) -> str:
        """Return the text of a prompt, which may be token ids."""
        prompt = self.prompts.items[index]
        return prompt if isinstance(prompt, str) else codec.decode(prompt)


async def answer_completions(request: Request, model: str | None = None) -> Response:
    """Answer a request for completions, as a whole or as a stream.

    Args:
        request: the request.
        model: the id of the model if the route has fixed it; the one that the body names has no effect then.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    foreign = await receive(request)

    def read(values: Any) -> _Completion:
        body = parse_body(OpenAICompletionsBody, values, strict=True)
        _check_together(body)
        prompts = read_texts("" if body.prompt is None else body.prompt, "prompt")
        return _Completion(body=body, prompts=prompts, model=require_model(body.model, model))

    completion = await foreign.parse(read)
    names = {**completion.prompts.names, **NAMES}
    if completion.body.stream:
        call, stream = await stream_task(foreign, "generate", completion.native(), names)
        headers = {"x-model": call.model.name, **UNBUFFERED_HEADERS}
        return StreamingResponse(_events(foreign, completion, call, stream), media_type=EVENTS, headers=headers)
    reply = await call_task(foreign, "generate", completion.native(), names)
    content = await foreign.services.pools.run(_render, completion, reply, n_bytes=len(foreign.data))
    return TaskResponse(content, JSON, reply.headers)


def _check_together(body: OpenAICompletionsBody) -> None:
    """Check fields that depend on one another.

    Raises:
        InvalidRequest: they contradict one another, or together ask for what this server does not do.
    """
    n = body.n or 1
    if body.best_of not in (None, n):
        detail = f"{body.best_of} is refused: texts are not ranked; leave it out, or send the same as n, {n}"
        raise InvalidRequest.of([Fault("/best_of", detail)])
    if body.echo and body.logprobs is not None:
        detail = (
            "there are none for the tokens of a prompt; leave out either echo or logprobs; POST /score-text has them"
        )
        raise InvalidRequest.of([Fault("/logprobs", detail)])
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest.of([Fault("/stream_options", "these are for streams, and stream is not true")])


def _usage(native: Mapping[str, int]) -> dict[str, int]:
    n_read, n_generated = native["tokens"], native["generated_tokens"]
    return {"prompt_tokens": n_read, "completion_tokens": n_generated, "total_tokens": n_read + n_generated}


def _render(completion: _Completion, reply: Reply) -> bytes:
    """Return the answer in JSON."""
    body, codec = completion.body, reply.call.codecs.texts
    choices: list[dict[str, Any]] = []
    for index, output in enumerate(reply.outputs):
        prompt = completion.prompt_text(index, codec)
        for generation in output["generations"]:
            logprobs = None
            if body.logprobs is not None:
                logprobs = _LogprobsWriter(prompt, codec).describe(generation["logprobs"])
            choices.append(
                {
                    "index": len(choices),
                    "text": (prompt if body.echo else "") + generation["text"],
                    "logprobs": logprobs,
                    "finish_reason": generation["finish_reason"],
                }
            )
    head = {**completion.head, "model": reply.call.model.name}
    return task_json({**head, "choices": choices, "usage": _usage(reply.usage)})


class _LogprobsWriter:
    """Describes the tokens of one text, as they arrive, in the form of this dialect.

    A token begins where the text of the tokens before it ends. The tokens of one character all begin where it does.
    """

    def __init__(self, prompt: str, codec: TextCodec) -> None:
        self._offset = len(prompt)
        self._assembly = TextAssembly(codec)

    def describe(self, tokens: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the next tokens of the text, given as the native task describes them."""
        offsets: list[int] = []
        alternatives: list[dict[str, float]] = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(self._assembly.feed(token["token"]))
            top: dict[str, float] = {}
            for other in (*token["top"], token):  # of tokens with the same text, the likeliest counts
                top.setdefault(other["token_str"], other["logprob"])
            alternatives.append(top)
        return {
            "tokens": [token["token_str"] for token in tokens],
            "token_logprobs": [token["logprob"] for token in tokens],
            "top_logprobs": alternatives,
            "text_offset": offsets,
        }


async def _events(
    foreign: ForeignRequest, completion: _Completion, call: TaskCall, stream: Stream
) -> AsyncIterator[bytes]:
    """Yield the events of a stream. An error becomes the last one, which then is not `[DONE]`."""
    body, codec = completion.body, call.codecs.texts
    wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    head = {**completion.head, "model": call.model.name}
    begun: dict[int, _LogprobsWriter] = {}
    try:
        async for event in stream:
            index = event["input"] * completion.n + event["generation"]
            text, logprobs = event["text"], None
            if index not in begun:
                prompt = completion.prompt_text(event["input"], codec)
                begun[index] = _LogprobsWriter(prompt, codec)
                text = (prompt if body.echo else "") + text
            if "logprobs" in event:
                logprobs = begun[index].describe([event["logprobs"]])
            reason = event["finish_reason"]
            if text or logprobs or reason:
                choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
                yield server_sent_event({**head, "choices": [choice], **({"usage": None} if wants_usage else {})})
        if wants_usage:
            yield server_sent_event({**head, "choices": [], "usage": _usage(stream_usage(call, stream))})
        yield LAST_EVENT
    except Exception as error:
        _, content = render_error(report_error(error, foreign.context))
        yield server_sent_event(content)
    finally:
        stream.cancel()

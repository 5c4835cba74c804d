"""Generation in the form of Ollama."""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.engine.job import Outcome
from app.errors import Fault, InvalidRequest
from app.http.problems import report_error
from app.http.responses import UNBUFFERED_HEADERS
from app.inference.stream import Stream
from app.registry.served_model import ServedModel
from app.routes.foreign import ForeignRequest, Reply, call_task, json_response, receive, stream_task, stream_usage, wake
from app.routes.ollama.dialect import NS_PER_MS, checked_options, find_model, render_error, timestamp
from app.routes.task_call import TaskCall
from app.schemas.foreign.ollama import OllamaGenerateBody, OllamaOptions
from app.schemas.shared.envelope import SEED_BITS
from app.schemas.shared.parsing import parse_body

NDJSON = "application/x-ndjson"
DEFAULTS: dict[str, float | int] = {"temperature": 0.8, "top_k": 40, "top_p": 0.9}
"""Ollama's own values of parameters that neither the request nor the checkpoint has."""
NAMES = {
    "inputs/0": "prompt",
    "inputs": "prompt",
    "parameters/max_new_tokens": "options/num_predict",
    "parameters/repetition_penalty": "options/repeat_penalty",
    "parameters/logprobs": "top_logprobs",
    **{
        f"parameters/{name}": f"options/{name}"
        for name in (
            *("temperature", "top_k", "top_p", "min_p", "typical_p"),
            *("presence_penalty", "frequency_penalty", "seed", "stop"),
        )
    },
}
"""Names of this dialect for the parts of a native body."""


async def answer_generate(request: Request) -> Response:
    """Answer a request to continue a text, as a whole or line by line.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    started_at = time.perf_counter_ns()
    foreign = await receive(request)
    body = await foreign.parse(lambda values: parse_body(OllamaGenerateBody, values, strict=True))
    model = find_model(foreign.services, "generate", body.model)
    options = checked_options(body, model)
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequest.of([Fault("/top_logprobs", "these are for logprobs, and logprobs is not true")])
    is_stream = body.stream is None or body.stream
    await wake(model)
    if not body.prompt:
        return await _answer_empty(foreign, model, is_stream)
    values = {
        "model": model.name,
        "inputs": [body.prompt],
        "parameters": {
            **_native_parameters(options, model),
            "logprobs": (body.top_logprobs or 0) if body.logprobs else None,
            "stream": is_stream,
        },
    }
    if is_stream:
        call, stream = await stream_task(foreign, "generate", values, NAMES)
        lines = _lines(foreign, call, stream, started_at, has_top=bool(body.top_logprobs))
        headers = {"x-model": call.model.name, **UNBUFFERED_HEADERS}
        return StreamingResponse(lines, media_type=NDJSON, headers=headers)
    reply = await call_task(foreign, "generate", values, NAMES)
    return await json_response(foreign, _whole(reply, started_at, has_top=bool(body.top_logprobs)), reply.headers)


def _native_parameters(options: OllamaOptions, model: ServedModel) -> dict[str, Any]:
    """Return the parameters of the native task. What the request leaves out is the checkpoint's, else Ollama's."""
    is_greedy = options.temperature == 0
    preferred = model.loaded.generation_defaults.preferred() if model.loaded else {}
    sampling = {name: getattr(options, name) for name in ("temperature", "top_k", "top_p", "min_p", "typical_p")}
    for name, value in DEFAULTS.items():
        if sampling[name] is None and name not in preferred:
            sampling[name] = value
    if (sampling["top_k"] or 0) <= 0:
        sampling["top_k"] = None
    seed = options.seed
    return {
        "do_sample": not is_greedy,
        **({} if is_greedy else sampling),
        "num_beams": 1,
        "n": 1,
        "max_new_tokens": options.num_predict,
        "repetition_penalty": _repetition_penalty(options),
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
        "seed": None if seed is None or seed < 0 else seed % 2**SEED_BITS,
        "stop": options.stop,
    }


def _repetition_penalty(options: OllamaOptions) -> float | None:
    penalty, n_tokens = options.repeat_penalty, options.repeat_last_n
    if n_tokens == 0:
        return 1.0
    if n_tokens not in (None, -1) and penalty not in (None, 1.0):
        detail = (
            f"{n_tokens} is refused: the penalty is on all tokens of the text; leave it out, or send -1, or 0 for none"
        )
        raise InvalidRequest.of([Fault("/options/repeat_last_n", detail)])
    return penalty


def _head(model_name: str) -> dict[str, Any]:
    return {"model": model_name, "created_at": timestamp(time.time())}


async def _answer_empty(foreign: ForeignRequest, model: ServedModel, is_stream: bool) -> Response:
    """Answer a request without a prompt, by which clients ask for a model to be loaded."""
    answer = {**_head(model.name), "response": "", "done": True, "done_reason": "load"}
    if is_stream:
        return Response(_line(answer), media_type=NDJSON)
    return await json_response(foreign, answer)


def _whole(reply: Reply, started_at: int, *, has_top: bool) -> dict[str, Any]:
    (generation,) = reply.outputs[0]["generations"]
    end = _end(generation["finish_reason"], reply.usage, reply.outcome, started_at)
    answer = {**_head(reply.call.model.name), "response": generation["text"], "done": True, **end}
    if "logprobs" in generation:
        answer["logprobs"] = [_token(token, has_top) for token in generation["logprobs"]]
    return answer


def _end(reason: str, usage: Mapping[str, int], outcome: Outcome | None, started_at: int) -> dict[str, Any]:
    """Return the members that the end of a text has."""
    return {
        "done_reason": reason,
        "total_duration": time.perf_counter_ns() - started_at,
        "load_duration": 0,
        "prompt_eval_count": usage["tokens"],
        "eval_count": usage["generated_tokens"],
        "eval_duration": round(outcome.inference_ms * NS_PER_MS) if outcome else 0,
    }


def _token(token: Mapping[str, Any], has_top: bool) -> dict[str, Any]:
    described = {"token": token["token_str"], "logprob": token["logprob"]}
    if has_top:
        described["top_logprobs"] = [
            {"token": other["token_str"], "logprob": other["logprob"]} for other in token["top"]
        ]
    return described


def _line(content: Mapping[str, Any]) -> bytes:
    return orjson.dumps(content) + b"\n"


async def _lines(
    foreign: ForeignRequest, call: TaskCall, stream: Stream, started_at: int, *, has_top: bool
) -> AsyncIterator[bytes]:
    """Yield the lines of a stream. An error becomes the last one."""
    name, reason = call.model.name, "length"
    try:
        async for event in stream:
            reason = event["finish_reason"] or reason
            part = {**_head(name), "response": event["text"], "done": False}
            if "logprobs" in event:
                part["logprobs"] = [_token(event["logprobs"], has_top)]
            if event["text"] or "logprobs" in event:
                yield _line(part)
        end = _end(reason, stream_usage(call, stream), stream.outcome(), started_at)
        yield _line({**_head(name), "response": "", "done": True, **end})
    except Exception as error:
        _, content = render_error(report_error(error, foreign.context))
        yield _line(content)
    finally:
        stream.cancel()

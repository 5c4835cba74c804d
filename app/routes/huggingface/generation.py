"""The pipeline `text-generation`, with the answer as a whole or as a stream."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

import orjson

from app.errors import Fault, InvalidRequest
from app.http.context import RequestContext
from app.http.problems import report_error
from app.inference.stream import Stream
from app.routes.foreign import Reply
from app.routes.huggingface.errors import render_error
from app.routes.huggingface.pipeline import NativeCall, Pipeline, given_parameters, pointers
from app.routes.task_call import TaskCall
from app.schemas.foreign.huggingface.generation import PipelineTextGenerationBody, PipelineTextGenerationParameters
from app.schemas.generate import assemble_text
from models.checkpoint import Checkpoint
from models.codecs import TextCodec

SAMPLING = ("temperature", "top_k", "top_p", "typical_p")
"""Parameters that have an effect on sampling alone."""
NAMES = {
    name: name
    for name in ("max_new_tokens", "do_sample", *SAMPLING, "seed", "repetition_penalty", "frequency_penalty", "stop")
}


def _generate(body: PipelineTextGenerationBody, checkpoint: Checkpoint) -> NativeCall:
    """Convert a body; without sampling, the parameters that have an effect on sampling alone are left out.

    Raises:
        InvalidRequest: the prompt is longer than `truncate`.
    """
    given = body.parameters or PipelineTextGenerationParameters()
    if given.truncate is not None:
        n_tokens = len(cast("TextCodec", checkpoint.codec).encode(body.inputs))
        if n_tokens > given.truncate:
            detail = f"the prompt has {n_tokens} tokens, more than {given.truncate}, and is never cut"
            raise InvalidRequest.of([Fault("/parameters/truncate", detail)])
    parameters = given_parameters(body, NAMES)
    if given.do_sample is False:
        parameters |= dict.fromkeys(SAMPLING)
    if given.details or body.stream:
        parameters["logprobs"] = given.top_n_tokens or 0
    return NativeCall(task="generate", inputs=[body.inputs], parameters={**parameters, "stream": bool(body.stream)})


def _render_tokens(logprobs: Mapping[str, Any], codec: TextCodec) -> Iterator[dict[str, Any]]:
    """Yield a generated token and then the likeliest ones in its place."""
    for token in (logprobs, *logprobs["top"]):
        is_special = token["token"] in codec.special.all
        yield {"id": token["token"], "text": token["token_str"], "logprob": token["logprob"], "special": is_special}


def _finish_reason(generation: Mapping[str, Any], stops: Sequence[str], codec: TextCodec) -> str:
    if generation["finish_reason"] == "length":
        return "length"
    _, is_stopped = assemble_text(generation["tokens"], codec, stops)
    return "stop_sequence" if is_stopped else "eos_token"


def _texts(body: PipelineTextGenerationBody, reply: Reply) -> list[dict[str, Any]]:
    given, codec = body.parameters or PipelineTextGenerationParameters(), reply.call.codecs.texts
    generation = reply.outputs[0]["generations"][0]
    answer: dict[str, Any] = {"generated_text": _prefix(body) + generation["text"]}
    if given.details:
        tokens, top_tokens = [], []
        for logprobs in generation["logprobs"]:
            first, *others = _render_tokens(logprobs, codec)
            tokens.append(first)
            top_tokens.append(others)
        answer["details"] = {
            "finish_reason": _finish_reason(generation, given.stop or (), codec),
            "generated_tokens": len(tokens),
            "seed": None if given.do_sample is False else generation["seed"],
            "prefill": [],
            "tokens": tokens,
            **({"top_tokens": top_tokens} if given.top_n_tokens else {}),
        }
    return [answer]


def _prefix(body: PipelineTextGenerationBody) -> str:
    """Return what the answer puts before the generated text."""
    return body.inputs if body.parameters and body.parameters.return_full_text else ""


TEXT_GENERATION = Pipeline(
    name="text-generation",
    tasks=("generate",),
    modality="text",
    form="a text",
    body=PipelineTextGenerationBody,
    takes=lambda inputs: isinstance(inputs, str),
    to_native=_generate,
    from_native=_texts,
    names=pointers(NAMES),
)


async def stream_events(
    body: PipelineTextGenerationBody, call: TaskCall, stream: Stream, context: RequestContext
) -> AsyncIterator[bytes]:
    """Yield the events of a stream. An error becomes the last event."""
    given, codec = body.parameters or PipelineTextGenerationParameters(), call.codecs.texts
    text, n_tokens, index = _prefix(body), 0, 0
    try:
        async for event in stream:
            index += 1
            text += event["text"]
            n_tokens += event["token"] is not None
            token, *others = _event_tokens(event, codec)
            answer = {"index": index, "token": token, "generated_text": None, "details": None}
            if given.top_n_tokens:
                answer["top_tokens"] = others
            if event["finish_reason"] is not None:
                answer["generated_text"] = text
                answer["details"] = {
                    "finish_reason": _event_finish_reason(event),
                    "generated_tokens": n_tokens,
                    "input_length": len(codec.encode(body.inputs)),
                    "seed": None if given.do_sample is False else event["seed"],
                }
            yield _render_event(answer)
    except Exception as error:
        _, content = render_error(report_error(error, context))
        yield _render_event(content)
    finally:
        stream.cancel()


def _event_tokens(event: Mapping[str, Any], codec: TextCodec) -> list[dict[str, Any]]:
    """Return the token of a native event and the likeliest ones in its place; the end of a text is a special token.

    The text of the first is what has become certain, so that the texts of all events make up the generated one.
    """
    if event["token"] is None:
        return [{"id": codec.special.end, "text": event["text"], "logprob": None, "special": True}]
    first, *others = _render_tokens(event["logprobs"], codec)
    return [{**first, "text": event["text"]}, *others]


def _event_finish_reason(event: Mapping[str, Any]) -> str:
    """Return why a text ends. A text that the model ends has no token at its end, unlike one with a stop string."""
    if event["finish_reason"] == "length":
        return "length"
    return "eos_token" if event["token"] is None else "stop_sequence"


def _render_event(content: Any) -> bytes:
    return b"data:" + orjson.dumps(content) + b"\n\n"

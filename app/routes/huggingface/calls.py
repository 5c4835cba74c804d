"""Answering a call of a pipeline: the body is read, the pipeline chosen, and the native task called."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.errors import Fault, InvalidRequest
from app.http.content import EVENTS, JSON, PNG
from app.http.context import RequestContext
from app.http.json_body import read_json
from app.http.responses import UNBUFFERED_HEADERS, TaskResponse
from app.routes.foreign import ForeignRequest, call_task, json_response, receive, stream_task
from app.routes.huggingface.dispatch import choose_pipeline, named_pipeline
from app.routes.huggingface.generation import stream_events
from app.routes.huggingface.pipeline import NativeCall, Pipeline, is_single
from app.routes.model_ids import find_model
from app.schemas.foreign.huggingface.generation import PipelineTextGenerationBody
from app.schemas.shared.parsing import parse_body
from app.schemas.shared.quick_texts import SURE_BYTES
from models.checkpoint import Checkpoint
from models.codecs.text.codec import TRUNCATE_HINT

LONGER_PATHS = {"health": "GET, HEAD", "info": "GET, HEAD"}
"""Last parts of paths that go on after the id of a model, with their methods."""
T = TypeVar("T")


async def answer_pipeline(request: Request, model: str, name: str | None = None) -> Response:
    """Answer a request for a pipeline of a model.

    Args:
        request: the request.
        model: the id of the model.
        name: the name of the pipeline; the one that the body means if None.

    Raises:
        ManifoldError: the request is refused or failed; pointers are to the fields of this dialect.
    """
    foreign = await receive(request)
    longer_paths = LONGER_PATHS if name is None else {}
    with await find_model(foreign.services.registry, model, request.method, longer_paths).acquire() as loaded:
        return await _answer(foreign, loaded.checkpoint, model, name)


async def _answer(foreign: ForeignRequest, checkpoint: Checkpoint, model: str, name: str | None) -> Response:
    given = await _read_values(foreign)

    def read() -> tuple[Pipeline, BaseModel, NativeCall]:
        pipeline = _find_pipeline(given, checkpoint, foreign.context, name)
        body = parse_body(pipeline.body, given, strict=True)
        return pipeline, body, pipeline.to_native(body, checkpoint)

    pipeline, body, call = await _run(foreign, read)
    values = {"model": model, "inputs": call.inputs, "parameters": call.parameters}
    names = {**({"inputs/0": "inputs"} if is_single(body) else {}), **pipeline.names}
    with _hint_at_own_parameters(pipeline):
        if isinstance(body, PipelineTextGenerationBody) and body.stream:
            return await _stream(foreign, body, values, names)
        reply = await call_task(foreign, call.task, values, names)
    answer = pipeline.from_native(body, reply)
    if pipeline.is_picture:
        return TaskResponse(answer, PNG, reply.headers)
    return await json_response(foreign, answer, reply.headers)


async def _run(foreign: ForeignRequest, function: Callable[[], T]) -> T:
    """Call a function that reads the whole body, on a thread if that may take long."""
    if len(foreign.data) <= SURE_BYTES:
        return function()
    return await foreign.services.pools.run(function, n_bytes=len(foreign.data))


async def _read_values(foreign: ForeignRequest) -> dict[str, Any]:
    """Return the values of a body: an object in JSON, or an image, which becomes the inputs.

    Clients send images without a content type or with any. What is not said to be JSON is JSON if it begins like it.

    Raises:
        MalformedBody: it is said to be JSON and is not.
        InvalidRequest: it is JSON, but no object; or there is no body.
    """
    data = foreign.data
    kind = (foreign.context.header(b"content-type") or "").partition(";")[0].strip().lower()
    if not data:
        raise InvalidRequest.of([Fault("", "it is empty; send an object with `inputs`, or an image")])
    if kind.startswith("image/") or (kind != JSON and data.lstrip()[:1] not in (b"{", b"[")):
        return {"inputs": data}
    values = await read_json(data, foreign.services, foreign.context)
    if not isinstance(values, dict):
        raise InvalidRequest.of([Fault("", "it must be an object with `inputs`, or an image")])
    return values


def _find_pipeline(
    values: Mapping[str, Any], checkpoint: Checkpoint, context: RequestContext, name: str | None
) -> Pipeline:
    if name is not None:
        return named_pipeline(name, checkpoint)
    accept = context.header(b"accept") or ""
    wants_picture = "image/" in accept and JSON not in accept and "*/*" not in accept
    return choose_pipeline(values, checkpoint, wants_picture=wants_picture)


@contextmanager
def _hint_at_own_parameters(pipeline: Pipeline) -> Iterator[None]:
    """Leave the hint at truncation out of the errors of a pipeline that has no parameter for it.

    Raises:
        InvalidRequest: in place of the same error with the hint.
    """
    try:
        yield
    except InvalidRequest as error:
        if "parameters/truncate" in pipeline.names or not error.faults:
            raise
        faults = [Fault(fault.pointer, fault.detail.removesuffix(TRUNCATE_HINT)) for fault in error.faults]
        raise InvalidRequest.of(faults) from error


async def _stream(
    foreign: ForeignRequest, body: PipelineTextGenerationBody, values: Mapping[str, Any], names: Mapping[str, str]
) -> Response:
    """Answer with a stream. An error before the first event is answered as any other error."""
    call, stream = await stream_task(foreign, "generate", values, names)
    headers = {"x-model": call.model.name, **UNBUFFERED_HEADERS}
    events = stream_events(body, call, stream, foreign.context)
    return StreamingResponse(events, media_type=EVENTS, headers=headers)

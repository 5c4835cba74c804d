"""The native dialect: reads a task's request, runs it, and renders its answer."""

import json
from collections.abc import AsyncIterator
from functools import cache

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.concurrency.worker_pools import MAX_INLINE_ARRAY_NUMBERS, MAX_INLINE_NUMBERS
from app.engine.execution import too_large
from app.engine.job import Outcome
from app.errors import Fault, InferenceFailed, InvalidRequest, NotAcceptable
from app.http.content import CSV, EVENTS, FLAC, JSON, NPY, PARQUET, PNG, PYARROW, WAV, has_parquet, negotiate
from app.http.context import RequestContext, context_in
from app.http.deadline import deadline_of
from app.http.problems import report_error
from app.http.responses import (
    UNBUFFERED_HEADERS,
    TaskResponse,
    check_finite,
    server_sent_event,
    task_csv,
    task_json,
)
from app.inference.deadline import Deadline
from app.inference.stream import Stream
from app.routes.by_line import LineRequest, answer_by_line
from app.routes.foreign import ForeignRequest, TaskForm
from app.routes.request_body import RawBody, read_request
from app.routes.task_call import (
    Target,
    TaskCall,
    answer_headers,
    check_call,
    count_usage,
    decode_requests,
    find_target,
    model_header,
    run_requests,
    start_stream,
)
from app.schemas.shared.quick_texts import are_quick_texts
from app.schemas.shared.rows import columns_of, has_rows, rows_of
from app.schemas.shared.sounds import audio_codec
from app.schemas.shared.task_schema import CodecSchema, ModelCodecs, TaskEndpoint, TaskSchema
from app.services import Services
from models.codecs import ImageCodec
from models.codecs.npy import to_npy
from models.codecs.parquet_writing import to_parquet
from models.sounds.files import SoundFormat, has_sound_files
from models.tasks import Request as TaskRequest

MAX_HEADER_WARNINGS = 8
"""Maximum number of warnings in the header of an answer that is not JSON."""
SOUND_FORMATS: dict[str, SoundFormat] = {WAV: "wav", FLAC: "flac"}
"""Formats of sounds by the type of the answer."""
FILE_FORMATS = ("png", *SOUND_FORMATS.values())
"""Values of the parameter `format` that ask for items as `data:` URLs of files."""


async def answer_task(
    services: Services, endpoint: TaskEndpoint, request: Request, form: TaskForm | None = None
) -> Response:
    """Answer one request to a task. Its deadline and a disconnect of the client end it early.

    A body of the other form, if the task has one, is answered in the dialect of that form.

    Raises:
        ManifoldError: the request is refused or failed.
        InvalidItems: items of the request are refused.
    """
    context = context_in(request.scope)
    context.task = endpoint.name
    deadline = deadline_of(request, services.settings, endpoint.to_save_time)
    context.timer.end_at(deadline.at_s, deadline.exceeded)
    raw = await read_request(services, endpoint, request)
    if form is not None and raw.query is None and isinstance(raw.values, dict) and form.field in raw.values:
        context.dialect = form.dialect
        return await form.answer(ForeignRequest(services=services, context=context, data=raw.data, deadline=deadline))
    target = await find_target(services, endpoint, raw.values, context)
    with target.loaded:
        if raw.lines is not None and isinstance(target.schema, TaskSchema):
            body = raw.values["model"], raw.data, raw.query or [], raw.kind
            lines = LineRequest(services, endpoint, target, *body, raw.lines, deadline, context)
            return await answer_by_line(lines, target.schema)
        return await _answer(services, target, raw, deadline, context)


async def _answer(
    services: Services, target: Target, raw: RawBody, deadline: Deadline, context: RequestContext
) -> Response:
    media_type = _negotiate_answer(target, context.header(b"accept") or "")
    call = await check_call(services, target, raw.values, len(raw.data), raw.query)
    form = call.parameter("format")
    if media_type in (NPY, *SOUND_FORMATS) and form in FILE_FORMATS:
        detail = f"{form} is for answers in JSON, and this one is {media_type}"
        raise InvalidRequest.of([Fault("/parameters/format", detail)])
    if isinstance(call.schema, CodecSchema):
        return await _answer_by_codec(call, call.schema)
    requests = await decode_requests(call, call.schema)
    if call.parameter("stream"):
        return await _stream(call, call.schema, requests, deadline, context)
    outcome = await run_requests(call, call.schema, requests)
    return await _render(call, call.schema, requests, outcome, media_type)


@cache
def _offered_types(schema: TaskSchema | CodecSchema, *, has_images: bool, has_rows: bool) -> tuple[str, ...]:
    """Return the types of the answer, the first of which is the default."""
    if isinstance(schema, CodecSchema):
        return (JSON,)
    images = [PNG] if schema.answers_images and has_images else []
    sounds = SOUND_FORMATS if schema.answers_sounds and has_sound_files() else ()
    rows = [CSV, *([PARQUET] if has_parquet() else [])] if has_rows else []
    return (JSON, *([NPY] if schema.array else []), *images, *sounds, *rows)


def _negotiate_answer(target: Target, accept: str) -> str:
    """Return the type of the answer.

    Raises:
        NotAcceptable: the client accepts none of the types.
    """
    schema, codec = target.schema, target.checkpoint.codec
    if EVENTS in accept and isinstance(schema, TaskSchema) and schema.writer is not None:
        return JSON  # whether there is a stream is up to the parameters
    may_have_rows = isinstance(schema, TaskSchema) and has_rows(schema, codec)
    try:
        offered = _offered_types(schema, has_images=isinstance(codec, ImageCodec), has_rows=may_have_rows)
        return negotiate(accept, offered)
    except NotAcceptable as error:
        hint = f"; {PARQUET} is written by {PYARROW}" if PARQUET in accept and not has_parquet() else ""
        raise NotAcceptable(f"{error.detail}{hint}") from None


async def _answer_by_codec(call: TaskCall, schema: CodecSchema) -> Response:
    def render() -> bytes:
        outputs = schema.outputs(call.body, call.codecs, call.services.limits)
        return task_json({"model": call.model.name, "outputs": outputs, "usage": {"items": len(outputs)}})

    call.memory.claim(schema.bytes_per_byte * call.n_bytes)
    is_quick = are_quick_texts(call.body, call.n_bytes)
    content = render() if is_quick else await call.services.pools.run(render, n_bytes=call.n_bytes)
    return TaskResponse(content, JSON, [model_header(call.model)])


async def _render(
    call: TaskCall, schema: TaskSchema, requests: list[TaskRequest], outcome: Outcome, media_type: str
) -> Response:
    """Render the answer in the negotiated media type, with headers for the model, the times and the batch size."""
    limit = MAX_INLINE_ARRAY_NUMBERS if media_type == NPY else MAX_INLINE_NUMBERS
    n_numbers = schema.n_numbers(outcome.results)
    is_quick = media_type not in (CSV, PARQUET) and n_numbers is not None and n_numbers <= limit
    arguments = call, schema, requests, outcome, media_type
    if is_quick:
        content = _render_content(*arguments)
    else:
        content = await call.services.pools.run(_render_content, *arguments, n_bytes=call.n_bytes)
    headers = answer_headers(call.model, outcome)
    if media_type != JSON and call.parameter("truncate"):
        headers.append((b"x-truncated", b"%d" % call.codecs.n_truncated))
    if media_type != JSON and call.codecs.warnings:
        first = _warnings(call.codecs)[:MAX_HEADER_WARNINGS]
        headers.append((b"x-warnings", json.dumps(first).encode()))  # which is ASCII, as headers must be
    return TaskResponse(content, media_type, headers)


def _render_content(
    call: TaskCall, schema: TaskSchema, requests: list[TaskRequest], outcome: Outcome, media_type: str
) -> bytes:
    try:
        return _render_finite(call, schema, requests, outcome, media_type)
    except InferenceFailed:
        if (refusal := too_large(requests)) is not None:  # it overflowed in the unit that clients see
            raise refusal from None
        raise


def _render_finite(
    call: TaskCall, schema: TaskSchema, requests: list[TaskRequest], outcome: Outcome, media_type: str
) -> bytes:
    codecs, results = call.codecs, outcome.results
    if schema.array and media_type in (NPY, PNG, *SOUND_FORMATS):
        array = schema.array(results, call.body, codecs)
        check_finite(array)
        if media_type == PNG and isinstance(codecs.items, ImageCodec):
            return codecs.items.png(array)
        if media_type in SOUND_FORMATS:
            return audio_codec(codecs).file(array, SOUND_FORMATS[media_type])
        return to_npy(array)
    outputs = schema.outputs(results, requests, call.body, codecs)
    if media_type == CSV:
        return task_csv(rows_of(schema, outputs, codecs))
    if media_type == PARQUET:
        check_finite(outputs)
        return to_parquet(rows_of(schema, outputs, codecs), columns_of(schema, codecs))
    answer = {
        "model": call.model.name,
        "outputs": outputs,
        **schema.summary(results),
        **({"warnings": _warnings(codecs)} if codecs.warnings else {}),
        "usage": count_usage(call, schema, len(outputs), requests, results),
    }
    return task_json(answer)


def _warnings(codecs: ModelCodecs) -> list[dict[str, str]]:
    """Return the warnings about the inputs of a request, as answers show them."""
    return [{"pointer": f"/inputs/{each.index}", "detail": each.detail} for each in codecs.warnings]


async def _stream(
    call: TaskCall, schema: TaskSchema, requests: list[TaskRequest], deadline: Deadline, context: RequestContext
) -> Response:
    """Answer with a stream of Server-Sent Events.

    An error before the first event is answered as any other error; a later one becomes the last event.
    """
    stream = await start_stream(call, schema, requests, deadline)
    headers = {"x-model": call.model.name, **UNBUFFERED_HEADERS}
    return StreamingResponse(_events(call, schema, requests, stream, context), media_type=EVENTS, headers=headers)


async def _events(
    call: TaskCall, schema: TaskSchema, requests: list[TaskRequest], stream: Stream, context: RequestContext
) -> AsyncIterator[bytes]:
    try:
        async for event in stream:
            yield server_sent_event(event)
        usage = count_usage(call, schema, len(requests), requests, stream.outcome().results)
        yield server_sent_event({"model": call.model.name, "usage": usage})
    except Exception as error:
        yield server_sent_event({"error": report_error(error, context).content(context.request_id)})
    finally:
        stream.cancel()

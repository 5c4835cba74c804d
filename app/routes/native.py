"""The native dialect: reads a task's request, runs it, and renders its answer."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.concurrency.request_memory import claim_memory
from app.concurrency.worker_pools import MAX_INLINE_ARRAY_NUMBERS, MAX_INLINE_NUMBERS
from app.engine.execution import too_large
from app.engine.job import Outcome
from app.errors import Fault, InferenceFailed, InvalidRequest, MalformedBody, UnsupportedMediaType
from app.http.body_memory import MAX_PARSED, ROW_BYTES_PER_BYTE
from app.http.content import (
    CSV,
    EVENTS,
    IMAGES,
    JSON,
    MULTIPART,
    NDJSON,
    NPY,
    PNG,
    content_type,
    negotiate,
    read_body,
)
from app.http.context import RequestContext, context_in
from app.http.deadline import deadline_of
from app.http.json_body import read_json
from app.http.multipart import parse_files
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
from app.routes.by_line import LineRequest, answer_by_line, has_inputs, negotiate_lines, parse_lines
from app.routes.foreign import ForeignRequest, TaskForm
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
from app.schemas.shared.task_schema import CodecSchema, ModelCodecs, TaskEndpoint, TaskSchema
from app.services import Services
from models.codecs import Codec, ImageCodec, TableCodec
from models.codecs.csv_numbers import parse_csv, parse_csv_rows
from models.codecs.npy import parse_npy, to_npy
from models.codecs.table.columns import GAPS
from models.errors import UndecodableItems
from models.tasks import Request as TaskRequest

MAX_HEADER_WARNINGS = 8
"""Maximum number of warnings in the header of an answer that is not JSON."""
BYTES_PER_BYTE = {NPY: 8, CSV: 16, NDJSON: MAX_PARSED, MULTIPART: 3}
"""Most memory for a byte of a body, by its type: numbers of one byte become 8; those of CSV, with their commas, two
bytes long, become texts for a moment; and files are copied out of the body."""
PNG_FORMAT = "png"
"""Value of the parameter `format` that asks for images as `data:` URLs."""


@dataclass(slots=True)
class RawBody:
    """A request before it is checked.

    Attributes:
        values: the body's values.
        data: the body, decoded from its content coding.
        query: the parameters in the URL, for a body that is not JSON; None for one that is.
        kind: the content type.
        lines: the content type of the answer by line; None if the answer is a whole.
    """

    values: Any
    data: bytes
    query: list[tuple[str, str]] | None = None
    kind: str = JSON
    lines: str | None = None


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
    raw = await _read(services, endpoint, request)
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
    if media_type == NPY and call.parameter("format") == PNG_FORMAT:
        detail = f"{PNG_FORMAT} is for answers in JSON, and this one is {NPY}"
        raise InvalidRequest.of([Fault("/parameters/format", detail)])
    if isinstance(call.schema, CodecSchema):
        return await _answer_by_codec(call, call.schema)
    requests = await decode_requests(call, call.schema)
    if call.parameter("stream"):
        return await _stream(call, call.schema, requests, deadline, context)
    outcome = await run_requests(call, call.schema, requests)
    return await _render(call, call.schema, requests, outcome, media_type)


async def _read(services: Services, endpoint: TaskEndpoint, request: Request) -> RawBody:
    settings, kind = services.settings, content_type(request)
    accepted = _accepted_types(endpoint)
    if kind not in accepted:
        detail = f"accepted {'is' if len(accepted) == 1 else 'are'} {', '.join(accepted)}"
        raise UnsupportedMediaType(f"the content type {kind[:100]!r} is not taken; {detail}")
    if kind == JSON and request.scope["query_string"]:
        detail = f"query parameters {sorted(request.query_params)} go into the body when the body is JSON"
        raise InvalidRequest.of([Fault("", detail)])
    context = context_in(request.scope)
    data = await read_body(request, settings.max_body_bytes, services.pools)
    if kind == JSON:
        return RawBody(await read_json(data, services, context), data, kind=kind)
    query = request.query_params.multi_items() if request.scope["query_string"] else []
    names = [text for name, text in query if name == "model"]
    if len(names) > 1:
        raise InvalidRequest.of([Fault("/model", "this parameter is given twice")])
    codec = _codec_of(services, names[0]) if names else None
    lines = negotiate_lines(endpoint, kind, codec, context.header(b"accept") or "")
    if lines is not None:
        if not names:
            raise InvalidRequest.of(
                [Fault("/model", "name the model in the query of a request that is answered by line")]
            )
        inputs = []  # read while they are answered
    else:
        has_columns = getattr(codec, "has_columns", False)
        inputs = await _read_inputs(services, context, kind, data, has_columns=has_columns)
    values = {"inputs": inputs, **({"model": names[0]} if names else {})}
    return RawBody(values, data, [pair for pair in query if pair[0] != "model"], kind, lines)


def _codec_of(services: Services, name: str) -> Codec | None:
    """Return the codec of a model; None for models of texts, whose codec takes long to read, and unknown ones."""
    model = services.registry.models.get(name)
    if model is None or model.checkpoint is None or model.checkpoint.modality == "text":
        return None
    return model.checkpoint.codec


async def _read_inputs(
    services: Services, context: RequestContext, kind: str, data: bytes, *, has_columns: bool
) -> Any:
    """Return the inputs of a body that is not JSON, on a thread if that may take long.

    CSV is rows of numbers, or with `has_columns`, of values by column.
    """
    settings = services.settings
    bytes_per_byte = ROW_BYTES_PER_BYTE if kind == CSV and has_columns else BYTES_PER_BYTE.get(kind, 0)
    claim_memory(bytes_per_byte * len(data))
    if kind == MULTIPART:
        arguments = data, context.header(b"content-type") or "", settings.max_items
        return await services.pools.run(parse_files, *arguments, n_bytes=len(data))
    if kind not in (NPY, CSV, NDJSON):
        return [data]
    n_cells, n_lines = settings.max_values, settings.max_lists
    read_csv: Callable[[bytes], Any] = partial(parse_csv, max_cells=n_cells, max_lines=n_lines)
    if has_columns:
        read_csv = partial(parse_csv_rows, gaps=GAPS, max_cells=n_cells, max_lines=n_lines)
    parsers: dict[str, Callable[[bytes], Any]] = {
        NPY: parse_npy,
        CSV: read_csv,
        NDJSON: partial(parse_lines, max_items=settings.max_items),
    }
    parse = parsers[kind]
    try:
        if len(data) <= settings.inline_bytes:
            return parse(data)
        large_values = context.keep_large_values()
        inputs = await services.pools.run(parse, data, n_bytes=len(data))
        large_values.keep(inputs)
        return inputs
    except UndecodableItems as error:
        raise MalformedBody(str(error)) from error


@cache
def _accepted_types(endpoint: TaskEndpoint) -> tuple[str, ...]:
    arrays, images = (NPY, CSV) if endpoint.takes_arrays else (), (MULTIPART, *IMAGES) if endpoint.takes_images else ()
    return (JSON, *arrays, *images, *((NDJSON,) if has_inputs(endpoint) else ()))


@cache
def _offered_types(schema: TaskSchema | CodecSchema, codec: type[Codec]) -> tuple[str, ...]:
    if isinstance(schema, CodecSchema):
        return (JSON,)
    images = [PNG] if schema.answers_images and issubclass(codec, ImageCodec) else []
    rows = [CSV] if schema.row and issubclass(codec, TableCodec) else []
    return (JSON, *([NPY] if schema.array else []), *images, *rows)


def _negotiate_answer(target: Target, accept: str) -> str:
    schema = target.schema
    if EVENTS in accept and isinstance(schema, TaskSchema) and schema.writer is not None:
        return JSON  # whether there is a stream is up to the parameters
    return negotiate(accept, _offered_types(schema, type(target.checkpoint.codec)))


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
    is_quick = n_numbers is not None and n_numbers <= limit
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
    if schema.array and media_type in (NPY, PNG):
        array = schema.array(results, call.body, codecs)
        check_finite(array)
        if media_type == PNG and isinstance(codecs.items, ImageCodec):
            return codecs.items.png(array)
        return to_npy(array)
    outputs = schema.outputs(results, requests, call.body, codecs)
    if schema.row and media_type == CSV:
        return task_csv(outputs, schema.row)
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

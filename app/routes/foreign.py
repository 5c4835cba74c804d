"""What the foreign dialects share: reading requests, calling tasks by their native bodies, and describing routes."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.concurrency.worker_pools import MAX_INLINE_NUMBERS
from app.engine.job import Outcome
from app.errors import InvalidRequest
from app.http.content import JSON, read_body
from app.http.context import RequestContext, context_in
from app.http.deadline import deadline_of
from app.http.error_answers import Dialect
from app.http.json_body import read_json
from app.http.responses import TaskResponse, task_json
from app.inference.deadline import Deadline
from app.inference.stream import Stream
from app.registry.served_model import ServedModel
from app.routes.foreign_faults import renamed_faults
from app.routes.task_call import (
    Header,
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
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.task_schema import CodecSchema, TaskEndpoint, TaskSchema
from app.services import Services, services_in

T = TypeVar("T")
TO_SAVE_TIME = "send fewer or shorter inputs"
"""What a client can do to be answered sooner, for the error of a deadline that has passed."""


class DialectModule(Protocol):
    """The module of a foreign dialect."""

    DIALECT: Dialect
    router: APIRouter


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignRequest:
    """A request of a foreign dialect whose whole body has been received.

    Attributes:
        services: the components of the server.
        context: the id and the headers of the request.
        data: the body, after gzip has been decoded.
        deadline: the time by which the request must be answered; its timer is running.
    """

    services: Services
    context: RequestContext
    data: bytes
    deadline: Deadline

    async def json(self) -> Any:
        """Return the values of a body in JSON, whatever its content type says.

        Raises:
            MalformedBody: the body is not JSON.
        """
        return await read_json(self.data, self.services, self.context)

    async def parse(self, read: Callable[[Any], T]) -> T:
        """Return what `read` makes of the values of a body in JSON. A long body is read on a thread.

        Raises:
            MalformedBody: the body is not JSON.
            Exception: whatever `read` raises.
        """
        values = await read_json(self.data, self.services, self.context)
        if len(self.data) <= self.services.settings.inline_bytes:
            return read(values)
        return await self.services.pools.run(read, values, n_bytes=len(self.data))


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskForm:
    """A form of bodies, of a foreign dialect, that the native route of a task takes as well.

    Attributes:
        dialect: the dialect, in whose form errors are answered.
        field: the field that bodies of this form have and native ones have not.
        answer: answers a request of this form.
    """

    dialect: Dialect
    field: str
    answer: Callable[[ForeignRequest], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The answer to a call of a task.

    Attributes:
        call: the call.
        outcome: the results with their times; None for tasks that the tokenizer alone answers.
        outputs: the outputs as the native answer has them; numbers may be NumPy arrays.
        usage: the counts of the native answer.
        decoding_ms: the time in milliseconds for the conversion of the items, such as their tokenization.
    """

    call: TaskCall
    outcome: Outcome | None
    outputs: list[dict[str, Any]]
    usage: dict[str, int]
    decoding_ms: float = 0.0

    @property
    def headers(self) -> list[Header]:
        """The headers for the model and the times."""
        if self.outcome is None:
            return [model_header(self.call.model)]
        headers = answer_headers(self.call.model, self.outcome)
        if "truncated" in self.usage:
            headers.append((b"x-truncated", b"%d" % self.usage["truncated"]))
        return headers


async def receive(request: Request, to_save_time: str = TO_SAVE_TIME) -> ForeignRequest:
    """Read the body of a request, start its deadline, and end the request early if the client hangs up.

    The error of a deadline that has passed says what the client can do `to_save_time`.

    Raises:
        InvalidRequest, PayloadTooLarge, UnsupportedMediaType, MalformedBody, ClientDisconnected: it is refused.
    """
    services, context = services_in(request.scope), context_in(request.scope)
    deadline = deadline_of(request, services.settings, to_save_time)
    context.timer.end_at(deadline.at_s, deadline.exceeded)
    data = await read_body(request, services.settings.max_body_bytes, services.pools)
    return ForeignRequest(services=services, context=context, data=data, deadline=deadline)


async def call_task(
    request: ForeignRequest, task: str, values: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> Reply:
    """Call a task and wait for its results.

    Args:
        request: the request.
        task: the name of the task, with underscores.
        values: a body in the native form: `model`, `inputs` and `parameters`. Parameters that are None are left out.
        names: for pointers of native errors, such as `inputs` or `parameters/max_new_tokens`, what the dialect has in
            their place.

    Raises:
        ManifoldError: the call is refused or failed; the error has the names of the dialect.
    """
    with renamed_faults(names or {}):
        target = await find_target(request.services, endpoint_named(task), values, request.context)
        with target.loaded:
            return await _reply(await _check(request, target, values))


async def _reply(call: TaskCall) -> Reply:
    if isinstance(call.schema, CodecSchema):
        call.memory.claim(call.schema.bytes_per_byte * call.n_bytes)
        outputs = await _run(call, call.schema.outputs, call.body, call.codecs, call.services.limits)
        return Reply(call=call, outcome=None, outputs=outputs, usage={"items": len(outputs)})
    schema = call.schema
    started_s = time.perf_counter()
    requests = await decode_requests(call, schema)
    decoding_ms = (time.perf_counter() - started_s) * 1000
    outcome = await run_requests(call, schema, requests)
    n_numbers = schema.n_numbers(outcome.results)
    arguments = outcome.results, requests, call.body, call.codecs
    if n_numbers is not None and n_numbers <= MAX_INLINE_NUMBERS:
        outputs = schema.outputs(*arguments)
    else:
        outputs = await _run(call, schema.outputs, *arguments)
    usage = count_usage(call, schema, len(outputs), requests, outcome.results)
    return Reply(call=call, outcome=outcome, outputs=outputs, usage=usage, decoding_ms=decoding_ms)


async def stream_task(
    request: ForeignRequest, task: str, values: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> tuple[TaskCall, Stream]:
    """Start a task that streams; the stream's events are those of the native stream. The caller cancels it at its end.

    The arguments are those of `call_task`.

    Raises:
        ManifoldError: the call is refused, or failed before its first event.
    """
    with renamed_faults(names or {}):
        target = await find_target(request.services, endpoint_named(task), values, request.context)
        with target.loaded:
            call = await _check(request, target, values)
            if isinstance(call.schema, CodecSchema):
                raise InvalidRequest(f"{task} does not stream")
            call.requests = await decode_requests(call, call.schema)
            return call, await start_stream(call, call.schema, call.requests, request.deadline)


def stream_usage(call: TaskCall, stream: Stream) -> dict[str, int]:
    """Return the counts of the native answer for a stream of `stream_task` that has ended well."""
    if not isinstance(call.schema, TaskSchema):
        return {"items": len(call.requests)}
    return count_usage(call, call.schema, len(call.requests), call.requests, stream.outcome().results)


async def wake(model: ServedModel) -> None:
    """Load a model if it is idle, so that what is known of a loaded model can be read.

    Raises:
        ModelUnavailable: it is not in memory, and is not loaded on demand or cannot be.
    """
    (await model.acquire()).release()


async def _check(request: ForeignRequest, target: Target, values: Mapping[str, Any]) -> TaskCall:
    given = values.get("parameters", {})
    values = {**values, "parameters": {name: value for name, value in given.items() if value is not None}}
    return await check_call(request.services, target, values, len(request.data))


async def _run(call: TaskCall, function: Any, *arguments: Any) -> Any:
    return await call.services.pools.run(function, *arguments, n_bytes=call.n_bytes)


@cache
def endpoint_named(task: str) -> TaskEndpoint:
    """Return the endpoint of a task by its name, with underscores."""
    return next(endpoint for endpoint in task_endpoints() if endpoint.name == task)


async def json_response(request: ForeignRequest, content: Any, headers: Sequence[Header] = ()) -> TaskResponse:
    """Return an answer in JSON, rendered on a thread if the request was large. Arrays of numbers become lists.

    Raises:
        InferenceFailed: a number is not finite.
    """
    if len(request.data) <= request.services.settings.inline_bytes:
        body = task_json(content)
    else:
        body = await request.services.pools.run(task_json, content, n_bytes=len(request.data))
    return TaskResponse(body, JSON, headers)


def describe_foreign(
    dialect: Dialect,
    *,
    operation_id: str,
    summary: str,
    body: type[BaseModel] | None = None,
    example: Mapping[str, Any] | None = None,
    answer: Any = None,
    media_types: Sequence[str] = (),
    statuses: Sequence[int] = (),
) -> dict[str, Any]:
    """Return the keyword arguments that describe a route of a foreign dialect to FastAPI.

    Args:
        dialect: the dialect; its `bodies` must contain `body`.
        operation_id: the name of the operation, unique in the document.
        summary: what the route does, in the imperative.
        body: the model of the body in JSON; None for a route that takes none.
        example: a body that the shipped models answer with 200.
        answer: the model of the answer in JSON, as FastAPI's `response_model`; `dialect.answers` must contain it.
        media_types: further media types of the answer, such as `text/event-stream`.
        statuses: the statuses of the errors that the route may answer with.
    """
    error = {"model": dialect.error, "description": "The request is refused or failed."}
    reference = {"$ref": f"#/components/schemas/{body.__name__}"} if body else {}
    described: dict[str, Any] = {
        "operation_id": operation_id,
        "summary": summary,
        "tags": [dialect.name],
        "response_model": answer,
        "responses": {
            200: {"description": "The answer.", "content": {kind: {} for kind in media_types}},
            **{status: dict(error) for status in statuses},
        },
    }
    if body:
        examples = {"examples": {"shipped": {"value": dict(example)}}} if example else {}
        content = {JSON: {"schema": reference, **examples}}
        described["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return described

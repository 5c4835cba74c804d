"""Answering items line by line, in JSON lines (NDJSON) or CSV: a request may have more items than fit into memory.

The whole body is read first, since most clients read no answer before they have sent all. Its items are read, computed
and answered a batch at a time, no faster than the client reads.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from starlette.responses import Response, StreamingResponse

from app.concurrency.parquet_reading import rows_from_lines
from app.errors import Fault, InvalidRequest, MalformedBody, NotAcceptable
from app.http.body_memory import MAX_PARSED, ROW_BYTES_PER_BYTE, SMALL_BODY_BYTES
from app.http.content import CSV, JSON, NDJSON, NPY, PARQUET, PNG, negotiate
from app.http.context import RequestContext
from app.http.problems import problem_of, report_error
from app.http.responses import UNBUFFERED_HEADERS, task_csv, task_json
from app.inference.deadline import Deadline
from app.routes.lines import BYTES_AT_ONCE, parse_line, split_lines, take_lines
from app.routes.task_call import Target, TaskCall, check_call, decode_requests, run_requests
from app.schemas.shared.rows import rows_of
from app.schemas.shared.task_schema import TaskEndpoint, TaskSchema
from app.services import Services
from models.codecs import Codec, TableCodec
from models.codecs.csv_numbers import csv_rows
from models.codecs.csv_writing import to_csv
from models.codecs.table.columns import GAPS
from models.errors import InvalidItems, Problem, UndecodableItems
from models.tasks import Request as TaskRequest

LINES_AT_ONCE = 256
"""Most items that are computed together."""


@dataclass(frozen=True)
class LineRequest:
    """A request that is answered by line.

    Attributes:
        services: the components of the server.
        endpoint: the task.
        target: the model, and the schema by which it serves the task.
        name: the name of the model.
        data: the body.
        query: the parameters in the URL.
        kind: the content type of the body.
        answer_kind: the content type of the answer.
        deadline: the time by which the first batch must be answered; each further one has as long.
        context: the context of the request.
    """

    services: Services
    endpoint: TaskEndpoint
    target: Target
    name: str
    data: bytes
    query: list[tuple[str, str]]
    kind: str
    answer_kind: str
    deadline: Deadline
    context: RequestContext


@dataclass(frozen=True)
class Batch:
    """Lines that are answered together.

    Attributes:
        values: the value of each line, or the error of a line that has none.
        is_last: whether it is known that no line follows.
    """

    values: list[Any]
    is_last: bool


def has_inputs(endpoint: TaskEndpoint) -> bool:
    """Return whether the items of a task can be sent in several requests, as lines are."""
    bodies = [schema.body.model_fields for schema in endpoint.schemas if isinstance(schema, TaskSchema)]
    return not endpoint.is_joint and any("inputs" in fields for fields in bodies)


def negotiate_lines(endpoint: TaskEndpoint, kind: str, codec: Codec | None, accept: str) -> str | None:
    """Return the type of an answer by line to a body of this content type; None if it is answered as a whole.

    JSON lines are answered by line unless the client prefers another type, CSV and Parquet only if it prefers lines.
    The lines are JSON, or also CSV if the codec of the model, if the request names one, is that of rows.
    """
    if kind not in (NDJSON, CSV, PARQUET) or not has_inputs(endpoint):
        return None
    lines = (NDJSON, CSV) if endpoint.answers_rows and isinstance(codec, TableCodec) else (NDJSON,)
    whole = (JSON, NPY, PNG, PARQUET)
    try:
        chosen = negotiate(accept, (*lines, *whole) if kind == NDJSON else (*whole, *lines))
    except NotAcceptable:
        return None
    return chosen if chosen in lines else None


async def answer_by_line(request: LineRequest, schema: TaskSchema) -> Response:
    """Answer with a line for each item: its output, or an object `error`. In CSV, a refused item ends the work.

    An error before the first line is answered as any other error; one that ends the work later becomes the last line.
    An answer in CSV is left incomplete after this line, which no row is like.

    Raises:
        InvalidRequest: a parameter is refused, or makes an answer depend on the place of its item.
        InvalidItems: an item is refused, and the answer is CSV.
        MalformedBody: the first line of a CSV body is no line of names.
    """
    _check_parameters(request)
    items = _items(request)
    held = request.target.memory.n_bytes
    first = await _next(request, items)
    lines = await _answer_batch(request, schema, first, 0)
    headers = {"x-model": request.name, **UNBUFFERED_HEADERS}
    rest = _rest(request, schema, items, first, lines, held)
    return StreamingResponse(rest, media_type=request.answer_kind, headers=headers)


async def _rest(
    request: LineRequest, schema: TaskSchema, items: Iterator[Any], batch: Batch, lines: bytes, held: int
) -> AsyncIterator[bytes]:
    """Yield the lines of the first batch, and then answer the others. Each gives back all memory but the `held`."""
    n_items, memory, loaded = 0, request.target.memory, request.target.loaded
    loaded.retain()  # here, because a generator that is never begun does not end either
    try:
        while batch.values:
            yield lines
            if batch.is_last:
                break
            n_items += len(batch.values)
            memory.give_back(max(0, memory.n_bytes - held))
            batch, lines = await _answer_next(request, schema, items, n_items)
    except Exception as error:
        if request.answer_kind == CSV:
            yield to_csv([{"error": f"error: {problem_of(error).detail}"}], has_names=False)
            raise
        problem = report_error(error, request.context)
        yield task_json({"error": problem.content(request.context.request_id)}) + b"\n"
    finally:
        loaded.release()


async def _answer_next(
    request: LineRequest, schema: TaskSchema, items: Iterator[Any], n_before: int
) -> tuple[Batch, bytes]:
    """Return a further batch and its answer. The request's timer would end the answer without a last line.

    Raises:
        DeadlineExceeded: it took longer than the first batch may.
    """
    try:
        async with asyncio.timeout(request.deadline.limit_ms / 1000):
            batch = await _next(request, items)
            return batch, await _answer_batch(request, schema, batch, n_before)
    except TimeoutError:
        raise request.deadline.exceeded() from None


def _check_parameters(request: LineRequest) -> None:
    for name in request.endpoint.joint_parameters:
        if any(given == name or given.startswith(f"{name}_") for given, _ in request.query):
            detail = "this depends on the place of an item among the inputs, and lines are answered one by one"
            raise InvalidRequest.of([Fault(f"/parameters/{name}", detail)])


def _items(request: LineRequest) -> Iterator[Any]:
    """Yield the lines of JSON, or the rows of CSV or Parquet."""
    has_rows = isinstance(request.target.checkpoint.codec, TableCodec)
    if not has_rows and (request.kind != NDJSON or request.answer_kind == CSV):
        raise InvalidRequest(f"{request.name} has no rows of a table, which are answered by line; send {NDJSON}")
    if request.kind == NDJSON:
        return split_lines(request.data)
    if request.kind == PARQUET:
        return rows_from_lines(request.data)
    return csv_rows(request.data, gaps=GAPS, max_cells=len(request.data) + 1, max_lines=len(request.data) + 1)


async def _next(request: LineRequest, items: Iterator[Any]) -> Batch:
    """Read the next batch on a thread; an empty one at the end. Its memory is claimed before it is taken.

    Raises:
        MalformedBody: a line of a CSV body is no row.
        PayloadTooLarge, MemoryExhausted: there is no memory for it.
    """
    pools, memory = request.services.pools, request.target.memory
    n_at_once = min(LINES_AT_ONCE, request.services.settings.max_items)
    try:
        if request.kind != NDJSON:
            memory.claim(ROW_BYTES_PER_BYTE * min(len(request.data), BYTES_AT_ONCE))
            rows: list[Any] = await pools.run(list, islice(items, n_at_once), n_bytes=BYTES_AT_ONCE)
            return Batch(rows, is_last=len(rows) < n_at_once)
        lines, is_last = await pools.run(take_lines, items, n_at_once, n_bytes=BYTES_AT_ONCE)
        n_bytes = sum(len(line.text) for line in lines)
        memory.claim(MAX_PARSED * n_bytes)
        return Batch(await pools.run(lambda: list(map(parse_line, lines)), n_bytes=n_bytes), is_last)
    except UndecodableItems as error:
        raise MalformedBody(str(error)) from error


async def _answer_batch(request: LineRequest, schema: TaskSchema, batch: Batch, n_before: int) -> bytes:
    """Return the answer to a batch before which there were `n_before` items.

    Raises:
        InvalidItems: an item is refused, and the answer is CSV.
    """
    values = batch.values
    faults: dict[int, InvalidItems] = {
        place: value for place, value in enumerate(values) if isinstance(value, UndecodableItems)
    }
    places = [place for place in range(len(values)) if place not in faults]
    call, requests, refused = await _decode(request, schema, [values[place] for place in places])
    faults |= {places[number]: error for number, error in refused.items()}
    places = [place for place in places if place not in faults]
    results, refused = await _run(call, schema, requests)
    if refused:
        faults |= {places[number]: error for number, error in refused.items()}
        requests = [each for number, each in enumerate(requests) if number not in refused]
        places = [place for place in places if place not in faults]
        call = await _call(request, [values[place] for place in places])
    faults = {place: _with_index(error, n_before + place) for place, error in sorted(faults.items())}
    if faults and request.answer_kind == CSV:
        raise next(iter(faults.values()))
    outputs: list[Any] = []
    if requests:
        arguments = results, requests, call.body, call.codecs
        outputs = await request.services.pools.run(schema.outputs, *arguments, n_bytes=BYTES_AT_ONCE)
    if request.answer_kind == CSV:
        return await request.services.pools.run(
            lambda: task_csv(rows_of(schema, outputs, call.codecs), has_names=n_before == 0), n_bytes=BYTES_AT_ONCE
        )
    by_place = dict(zip(places, outputs, strict=True))
    by_place |= {place: _error_line(error) for place, error in faults.items()}
    return b"".join(task_json(by_place[place]) + b"\n" for place in range(len(values)))


async def _run(
    call: TaskCall, schema: TaskSchema, requests: list[TaskRequest]
) -> tuple[list[Any], dict[int, InvalidItems]]:
    """Return the results of the requests, in order, and the errors of those that the model refuses, by their place.

    The refusal of one ends the work for all of a call. They are then run again, each in a call of its own.

    Raises:
        PayloadTooLarge, MemoryExhausted, QueueFull, ModelUnavailable, InferenceFailed: as `run_requests` says.
    """
    if not requests:
        return [], {}
    try:
        return [*(await run_requests(call, schema, requests)).results], {}
    except InvalidItems as error:
        if len(requests) == 1:
            return [], {0: error}
    outcomes = await asyncio.gather(*(run_requests(call, schema, [each]) for each in requests), return_exceptions=True)
    refused: dict[int, InvalidItems] = {}
    results: list[Any] = []
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, InvalidItems):
            refused[number] = outcome
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            results += outcome.results
    return results, refused


async def _decode(
    request: LineRequest, schema: TaskSchema, values: list[Any]
) -> tuple[TaskCall, list[TaskRequest], dict[int, InvalidItems]]:
    """Return the requests of the values that are items, and the errors of the others by their place."""
    call = await _call(request, values)
    if not values:
        return call, [], {}
    try:
        requests = await decode_requests(call, schema)
        if len(requests) == len(values):
            return call, requests, {}
    except InvalidItems as error:
        if any(problem.parameter is not None for problem in error.problems):
            raise
    alone: dict[int, list[TaskRequest]] = {}
    refused: dict[int, InvalidItems] = {}
    for place, value in enumerate(values):
        try:
            alone[place] = await _decode_alone(request, schema, value)
        except InvalidItems as error:
            refused[place] = error
    call = await _call(request, [values[place] for place in alone])
    requests = await decode_requests(call, schema) if alone else []
    if len(requests) != len(alone):  # together, the items could also be the parts of a single one
        requests = [each for found in alone.values() for each in found]
    return call, requests, refused


async def _decode_alone(request: LineRequest, schema: TaskSchema, value: Any) -> list[TaskRequest]:
    """Return the request of a single value.

    Raises:
        InvalidItems: it is no item.
    """
    if type(value) in (int, float):
        raise InvalidItems(Problem("the line is a number; it must be an item, such as a list of numbers"))
    return await decode_requests(await _call(request, [value]), schema)


async def _call(request: LineRequest, values: list[Any]) -> TaskCall:
    """Return the call for some values, whose memory has been claimed, so that they count as a small body."""
    body = {"model": request.name, "inputs": values}
    return await check_call(request.services, request.target, body, SMALL_BODY_BYTES, request.query)


def _with_index(error: InvalidItems, index: int) -> InvalidItems:
    return type(error)(*(replace(problem, index=index) for problem in error.problems))


def _error_line(error: InvalidItems) -> dict[str, Any]:
    problem = problem_of(error)
    return {"error": {"status": problem.status, "detail": problem.detail}}

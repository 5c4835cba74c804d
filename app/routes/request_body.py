"""Reading the request to a task in the native dialect: a body of any type, and the parameters in the URL."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from starlette.requests import Request

from app.concurrency.parquet_reading import TableLimits, rows_from_lines
from app.concurrency.request_memory import claim_memory
from app.errors import Fault, InvalidRequest, MalformedBody, UnsupportedMediaType
from app.http.body_memory import MAX_PARSED, ROW_BYTES_PER_BYTE
from app.http.content import (
    CSV,
    IMAGES,
    JSON,
    MULTIPART,
    NDJSON,
    NPY,
    PARQUET,
    PYARROW,
    SOUNDS,
    content_type,
    has_parquet,
    read_body,
    reads_sounds,
)
from app.http.context import RequestContext, context_in
from app.http.json_body import read_json
from app.http.multipart import parse_files
from app.routes.by_line import has_inputs, negotiate_lines
from app.routes.lines import parse_lines
from app.schemas.shared.task_schema import TaskEndpoint
from app.services import Services
from models.codecs import Codec, TableCodec, TableSeriesCodec
from models.codecs.csv_numbers import parse_csv, parse_csv_rows
from models.codecs.npy import parse_npy
from models.codecs.table.columns import GAPS
from models.errors import UndecodableItems
from models.sounds.files import INSTALLATION

BYTES_PER_BYTE = {NPY: 8, CSV: 16, NDJSON: MAX_PARSED, MULTIPART: 3}
"""Most memory for a byte of a body, by its type: numbers of one byte become 8; those of CSV, with their commas, two
bytes long, become texts for a moment; and files are copied out of the body."""


@dataclass(slots=True)
class RawBody:
    """A request before it is checked.

    Attributes:
        values: the body's values.
        data: the body, decoded from its content coding; of Parquet, the lines that `parquet_to_lines` makes of it.
        query: the parameters in the URL, for a body that is not JSON; None for one that is.
        kind: the content type.
        lines: the content type of the answer by line; None if the answer is a whole.
    """

    values: Any
    data: bytes
    query: list[tuple[str, str]] | None = None
    kind: str = JSON
    lines: str | None = None


async def read_request(services: Services, endpoint: TaskEndpoint, request: Request) -> RawBody:
    """Receive the body of a request, and parse it unless it is answered by line.

    Raises:
        UnsupportedMediaType, PayloadTooLarge, MemoryExhausted, MalformedBody, ClientDisconnected: it cannot be read.
        InvalidRequest: query parameters stand beside JSON, or lack the model where they must name it.
        UnknownModel, TaskNotServed: a Parquet file is for no model of this task.
        QueueFull, DecoderUnavailable, InvalidItems: a Parquet file cannot be read now, or is refused.
    """
    settings, kind = services.settings, content_type(request)
    accepted = _accepted_types(endpoint)
    if kind not in accepted:
        detail = f"accepted {'is' if len(accepted) == 1 else 'are'} {', '.join(accepted)}"
        detail += f"; {PARQUET} is read on Linux, by {PYARROW}" if kind == PARQUET and not reads_parquet() else ""
        detail += f"; sounds are read on Linux, by {INSTALLATION}" if kind in SOUNDS and not reads_sounds() else ""
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
    if kind == PARQUET:
        if names:
            services.registry.model_for(endpoint.name, names[0])
        data = await _read_parquet(services, context, codec, data)
    lines = negotiate_lines(endpoint, kind, codec, context.header(b"accept") or "")
    if lines is not None:
        if not names:
            raise InvalidRequest.of(
                [Fault("/model", "name the model in the query of a request that is answered by line")]
            )
        inputs = []  # read while they are answered
    else:
        has_columns = endpoint.takes_images and getattr(codec, "has_columns", False)  # and takes no latents
        inputs = await _read_inputs(services, context, kind, data, has_columns=has_columns)
    values = {"inputs": inputs, **({"model": names[0]} if names else {})}
    return RawBody(values, data, [pair for pair in query if pair[0] != "model"], kind, lines)


def _codec_of(services: Services, name: str) -> Codec | None:
    """Return the codec of a model; None for models of texts, whose codec takes long to read, and unknown ones."""
    model = services.registry.models.get(name)
    if model is None or model.checkpoint is None or model.checkpoint.modality == "text":
        return None
    return model.checkpoint.codec


async def _read_parquet(services: Services, context: RequestContext, codec: Codec | None, data: bytes) -> bytes:
    """Return the rows of a Parquet body as lines of JSON, which are not parsed yet.

    Raises:
        InvalidRequest: the request names no model whose items have columns.
        QueueFull, PayloadTooLarge, MemoryExhausted, DecoderUnavailable, InvalidItems: as `read_parquet` says.
    """
    if not isinstance(codec, TableCodec | TableSeriesCodec):
        detail = "name a model of rows of a table in the query of a Parquet body"
        raise InvalidRequest.of([Fault("/model", detail)])
    settings = services.settings
    limits = TableLimits(max_rows=settings.max_lists, max_cells=settings.max_values, max_bytes=settings.max_body_bytes)
    lines = await services.decoders.read_parquet(data, limits, context.client)
    context.memory.claim(len(lines))
    return lines


async def _read_inputs(
    services: Services, context: RequestContext, kind: str, data: bytes, *, has_columns: bool
) -> Any:
    """Return the inputs of a body that is not JSON, on a thread if that may take long.

    CSV is rows of numbers, or with `has_columns`, of values by column.
    """
    settings = services.settings
    bytes_per_byte = ROW_BYTES_PER_BYTE if has_columns and kind in (CSV, PARQUET) else BYTES_PER_BYTE.get(kind, 0)
    claim_memory(bytes_per_byte * len(data))
    if kind == MULTIPART:
        arguments = data, context.header(b"content-type") or "", settings.max_items
        return await services.pools.run(parse_files, *arguments, n_bytes=len(data))
    if kind not in (NPY, CSV, PARQUET, NDJSON):
        return [data]
    n_cells, n_lines = settings.max_values, settings.max_lists
    read_csv: Callable[[bytes], Any] = partial(parse_csv, max_cells=n_cells, max_lines=n_lines)
    if has_columns:
        read_csv = partial(parse_csv_rows, gaps=GAPS, max_cells=n_cells, max_lines=n_lines)
    parsers: dict[str, Callable[[bytes], Any]] = {
        NPY: parse_npy,
        CSV: read_csv,
        PARQUET: lambda data: list(rows_from_lines(data)),
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
    arrays = (NPY, CSV) if endpoint.takes_arrays else ()
    images = (MULTIPART, *IMAGES) if endpoint.takes_images else ()
    sounds = SOUNDS if endpoint.takes_sounds and reads_sounds() else ()
    tables = (PARQUET,) if endpoint.takes_images and reads_parquet() else ()  # whoever takes images takes all items
    return (JSON, *arrays, *tables, *images, *sounds, *((NDJSON,) if has_inputs(endpoint) else ()))


@cache
def reads_parquet() -> bool:
    """Return whether Parquet bodies are read: where pyarrow is, on Linux, which limits the memory of a process."""
    return sys.platform == "linux" and has_parquet()

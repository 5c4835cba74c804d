"""Rendering the answer to an inference: JSON, and the raw bytes of tensors that are asked for as such."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.responses import Response

from app.concurrency.worker_pools import MAX_INLINE_NUMBERS
from app.http.content import CODINGS, JSON, compress
from app.http.responses import TaskResponse, check_finite, task_json
from app.http.tensors import BYTES, DTYPES, raw_numbers, raw_texts
from app.registry.served_model import ServedModel
from app.routes.foreign import ForeignRequest, Reply
from app.routes.kserve.reading import JSON_LENGTH, WantedOutput
from app.routes.task_call import Header
from app.schemas.foreign.kserve import VERSION
from app.schemas.shared.task_schema import TaskSchema

OCTETS = "application/octet-stream"


async def render(
    foreign: ForeignRequest,
    model: ServedModel,
    request_id: str | None,
    wanted: Sequence[WantedOutput],
    replies: Sequence[Reply],
) -> Response:
    """Return the answer, compressed if the client takes exactly one content coding, as Triton's does if asked to."""
    accepted = foreign.context.header(b"accept-encoding") or ""
    coding = accepted if accepted in CODINGS else None
    n_numbers = [_n_numbers(reply) for reply in replies]
    is_quick = coding is None and all(n is not None and n <= MAX_INLINE_NUMBERS for n in n_numbers)
    arguments = model, request_id, wanted, replies, coding
    if is_quick:
        content, headers = _render_content(*arguments)
    else:
        content, headers = await foreign.services.pools.run(_render_content, *arguments, n_bytes=len(foreign.data))
    slowest = max(replies, key=lambda reply: reply.outcome.inference_ms if reply.outcome else 0.0)
    media_type = OCTETS if any(output.is_raw for output in wanted) else JSON
    return TaskResponse(content, media_type, [*headers, *slowest.headers])


def _n_numbers(reply: Reply) -> int | None:
    """Return the number of numbers of an answer; None if rendering takes longer than their number says."""
    schema, outcome = reply.call.schema, reply.outcome
    return schema.n_numbers(outcome.results) if isinstance(schema, TaskSchema) and outcome else None


def _render_content(
    model: ServedModel,
    request_id: str | None,
    wanted: Sequence[WantedOutput],
    replies: Sequence[Reply],
    coding: str | None,
) -> tuple[bytes, list[Header]]:
    rendered = [_render_tensor(output, reply) for output, reply in zip(wanted, replies, strict=True)]
    answer = {
        "model_name": model.name,
        "model_version": VERSION,
        **({} if request_id is None else {"id": request_id}),
        "outputs": [tensor for tensor, _ in rendered],
    }
    content = task_json(answer)
    headers: list[Header] = []
    if any(output.is_raw for output in wanted):
        headers.append((JSON_LENGTH, b"%d" % len(content)))
        content = b"".join([content, *(raw for _, raw in rendered if raw is not None)])
    if coding is not None:
        content = compress(content, coding)
        headers.append((b"content-encoding", coding.encode()))
    return content, headers


def _render_tensor(wanted: WantedOutput, reply: Reply) -> tuple[dict[str, Any], bytes | memoryview | None]:
    """Return a tensor of the answer, and its raw bytes if it is asked for as such."""
    spec, labels = wanted.offered.spec, wanted.offered.labels
    values, datatype = wanted.offered.source.read(reply.outputs, labels), spec.datatype
    shape = [len(values)] if isinstance(values, list) else list(values.shape)
    if wanted.n_classes and not isinstance(values, list):
        values, n_classes = _classes(values, labels, wanted.n_classes)
        shape, datatype = [shape[0], n_classes], BYTES
    tensor = {"name": spec.name, "shape": shape, "datatype": datatype}
    if isinstance(values, list):
        raw: bytes | memoryview = raw_texts(values) if wanted.is_raw else b""
    else:
        values = values.astype(DTYPES[datatype], copy=False)
        check_finite(values)
        raw = raw_numbers(values, datatype) if wanted.is_raw else b""
    if wanted.is_raw:
        return tensor | {"parameters": {"binary_data_size": len(raw)}}, raw
    return tensor | {"data": values if isinstance(values, list) else values.ravel()}, None


def _classes(values: Any, labels: Sequence[str], n_classes: int) -> tuple[list[str], int]:
    """Return the largest elements of each item as texts `value:index` or `value:index:label`, and how many they are."""
    check_finite(values)
    flat = values.reshape(len(values), -1)
    best = np.argsort(-flat, axis=1, kind="stable")[:, :n_classes]
    names = [f":{label}" for label in labels] or [""] * flat.shape[1]
    texts = [
        f"{row[index]:f}:{index}{names[index]}" for row, indices in zip(flat, best, strict=True) for index in indices
    ]
    return texts, best.shape[1]

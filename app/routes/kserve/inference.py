"""Inference in the Open Inference Protocol: tensors in, calls of the tasks behind the outputs, tensors out."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.errors import Fault, InvalidRequest
from app.registry.loaded_model import LoadedModel
from app.registry.served_model import ServedModel
from app.routes.foreign import ForeignRequest, Reply, call_task, receive
from app.routes.kserve.reading import WantedOutput, read_body, read_input, wanted_outputs
from app.routes.kserve.rendering import render
from app.schemas.foreign.kserve_tensors import TaskOutput, native_inputs, signature_of


async def answer_inference(model: ServedModel, request: Request) -> Response:
    """Run the model on tensors, in JSON or as raw bytes after the JSON, and return those that the request asks for.

    Raises:
        ModelUnavailable: the model is not in memory.
        ManifoldError: the request is refused or failed.
    """
    foreign = await receive(request)
    with await model.acquire() as loaded:
        return await _infer(model, loaded, foreign)


async def _infer(model: ServedModel, loaded: LoadedModel, foreign: ForeignRequest) -> Response:
    signature = signature_of(loaded)
    body, raw = await read_body(foreign)
    if body.model_name is not None and body.model_name != model.name:
        detail = f"{body.model_name[:100]!r} is refused: the path names the model {model.name!r}"
        raise InvalidRequest.of([Fault("/model_name", detail)])
    wanted = wanted_outputs(signature, body)

    def read_inputs() -> Any:
        values = read_input(signature.input, body.inputs, raw, foreign.services.limits.max_items)
        return native_inputs(loaded.checkpoint, values)

    is_quick = len(foreign.data) <= foreign.services.settings.inline_bytes
    inputs = read_inputs() if is_quick else await foreign.services.pools.run(read_inputs, n_bytes=len(foreign.data))
    names = {"inputs": f"inputs/{signature.input.name}"}
    replies = await _call_tasks(foreign, {"model": model.name, "inputs": inputs}, names, wanted, body.parameters or {})
    return await render(foreign, model, body.id, wanted, replies)


async def _call_tasks(
    foreign: ForeignRequest,
    values: Mapping[str, Any],
    names: Mapping[str, str],
    wanted: Sequence[WantedOutput],
    parameters: Mapping[str, Any],
) -> list[Reply]:
    """Call the task behind each of the outputs, all at the same time.

    Args:
        foreign: the request.
        values: the model and the inputs of a native body.
        names: the names of their parts in this dialect, as `call_task` takes them.
        wanted: the outputs.
        parameters: the parameters of the request; each task is given those that are its own.

    Raises:
        ManifoldError: a call is refused or failed; the others are given up.
    """

    async def call(source: TaskOutput) -> Reply:
        given = {name: parameters[name] for name in source.parameters if name in parameters}
        return await call_task(foreign, source.task, {**values, "parameters": {**given, **source.fixed}}, names)

    if len(wanted) == 1:
        return [await call(wanted[0].offered.source)]
    try:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(call(output.offered.source)) for output in wanted]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [each.result() for each in calls]

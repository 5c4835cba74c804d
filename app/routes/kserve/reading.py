"""Reading a request for an inference: the outputs that it asks for, and the tensor that it sends."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import Fault, InvalidRequest, MalformedRequest
from app.http.json_body import read_json
from app.http.tensors import (
    BYTES,
    TensorHead,
    numbers_from_bytes,
    numbers_from_json,
    texts_from_bytes,
    texts_from_json,
)
from app.routes.foreign import ForeignRequest
from app.schemas.foreign.kserve import InferBody, InputTensor
from app.schemas.foreign.kserve_tensors import ANY, OfferedOutput, Signature, TensorSpec, Values
from app.schemas.shared.parsing import parse_body

JSON_LENGTH = b"inference-header-content-length"
"""Name of the header for the number of bytes of JSON before the raw bytes."""
MAX_LENGTH_DIGITS = 12
"""Maximum number of digits accepted in that header."""
MAX_CLASSES = 1000
"""Maximum number of classes that an output may be classified into."""
SHARED_MEMORY = "shared_memory_region"
"""Name of the parameter of tensors that are in shared memory, which the server does not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedOutput:
    """An output that a request asks for.

    Attributes:
        offered: the output.
        is_raw: whether it is answered as raw bytes.
        n_classes: the number of classes to answer in place of the numbers; 0 for the numbers.
    """

    offered: OfferedOutput
    is_raw: bool
    n_classes: int = 0


async def read_body(foreign: ForeignRequest) -> tuple[InferBody, memoryview]:
    """Return the JSON of a request, and the raw bytes that follow it.

    Raises:
        MalformedRequest: the header for the length of the JSON is no number, or more than the body has.
        MalformedBody, InvalidRequest: the JSON is refused.
    """
    given, n_bytes = foreign.context.header(JSON_LENGTH), len(foreign.data)
    is_number = given is None or (given.isdecimal() and given.isascii() and len(given) <= MAX_LENGTH_DIGITS)
    n_json = n_bytes if given is None or not is_number else int(given)
    if not is_number or n_json > n_bytes:
        limit = f"it must be the number of bytes of the JSON, at most the {n_bytes} of the body"
        raise MalformedRequest(f"{JSON_LENGTH.decode()} is {(given or '')[:40]!r}; {limit}")

    values = await read_json(foreign.data[:n_json], foreign.services, foreign.context)

    def parse() -> InferBody:
        return parse_body(InferBody, values, strict=True)

    is_quick = n_json <= foreign.services.settings.inline_bytes
    body = parse() if is_quick else await foreign.services.pools.run(parse, n_bytes=n_json)
    return body, memoryview(foreign.data)[n_json:]


def wanted_outputs(signature: Signature, body: InferBody) -> list[WantedOutput]:
    """Return the outputs that a request asks for, which are all if it names none.

    Raises:
        InvalidRequest: an output is unknown or named twice, or a parameter is refused.
    """
    are_raw = _flag(body.parameters, "binary_data_output", "/parameters", default=False)
    known = ", ".join(signature.outputs) or "none; the model answers only by its own routes"
    if not body.outputs:
        if not signature.outputs:
            raise InvalidRequest.of([Fault("/outputs", f"the outputs of the model are {known}")])
        return [WantedOutput(offered=offered, is_raw=are_raw) for offered in signature.outputs.values()]
    wanted: dict[str, WantedOutput] = {}
    for place, output in enumerate(body.outputs):
        pointer, parameters = f"/outputs/{place}", output.parameters or {}
        offered = signature.outputs.get(output.name)
        if offered is None or output.name in wanted:
            reason = f"no output is named {output.name[:100]!r}; there are: {known}"
            raise InvalidRequest.of([Fault(f"{pointer}/name", reason if offered is None else "the output comes twice")])
        _refuse_shared_memory(parameters, f"{pointer}/parameters")
        wanted[output.name] = WantedOutput(
            offered=offered,
            is_raw=_flag(parameters, "binary_data", f"{pointer}/parameters", default=are_raw),
            n_classes=_n_classes(parameters, offered, f"{pointer}/parameters/classification"),
        )
    return list(wanted.values())


def _flag(parameters: Mapping[str, Any] | None, name: str, pointer: str, *, default: bool) -> bool:
    value = (parameters or {}).get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest.of([Fault(f"{pointer}/{name}", "this parameter is true or false")])
    return default if value is None else value


def _n_classes(parameters: Mapping[str, Any], offered: OfferedOutput, pointer: str) -> int:
    given = parameters.get("classification")
    if given is None:
        return 0
    if type(given) is not int or not 1 <= given <= MAX_CLASSES:
        detail = f"{reprlib.repr(given)} is refused; 1 to {MAX_CLASSES} classes may be asked for"
        raise InvalidRequest.of([Fault(pointer, detail)])
    if offered.spec.datatype == BYTES:
        raise InvalidRequest.of([Fault(pointer, f"{offered.spec.name} holds texts, which have no classes")])
    return given


def _refuse_shared_memory(parameters: Mapping[str, Any], pointer: str) -> None:
    if SHARED_MEMORY in parameters:
        raise InvalidRequest.of([Fault(f"{pointer}/{SHARED_MEMORY}", "this server shares no memory with its clients")])


def read_input(spec: TensorSpec, tensors: Sequence[InputTensor], raw: memoryview, max_items: int) -> Values:
    """Return the values of the input of the model.

    Raises:
        InvalidRequest: inputs are unknown, missing or given twice, or the data do not fit.
    """
    names = [tensor.name for tensor in tensors]
    for place, name in enumerate(names):
        if name != spec.name:
            reason = f"no input is named {name[:100]!r}; there is: {spec.name}"
            raise InvalidRequest.of([Fault(f"/inputs/{place}/name", reason)])
    if len(names) != 1:
        reason = "it is missing" if not names else f"it comes {len(names)} times"
        raise InvalidRequest.of([Fault(f"/inputs/{spec.name}", f"the model takes this input once, and {reason}")])
    (tensor,) = tensors
    head = TensorHead(name=tensor.name, datatype=tensor.datatype, shape=tuple(tensor.shape))
    if (spec.datatype == BYTES) != (head.datatype == BYTES):
        expected = BYTES if spec.datatype == BYTES else "numbers, such as FP32"
        raise head.refusal(f"the datatype {head.datatype} is refused; this input takes {expected}")
    _require_shape(head, spec, max_items)
    return _read_data(head, tensor, raw)


def _require_shape(head: TensorHead, spec: TensorSpec, max_items: int) -> None:
    """Raise InvalidRequest if a tensor has another shape than its specification, no element or too many items."""
    given, wanted = head.shape, spec.shape
    if len(given) != len(wanted) or any(a != b for a, b in zip(given, wanted, strict=True) if b != ANY):
        detail = f"the shape {list(given)} is refused; this input takes {list(wanted)}"
        raise head.refusal(f"{detail}, where {ANY} is any number")
    if not 1 <= given[0] <= max_items:
        raise head.refusal(f"the shape {list(given)} has {given[0]} items; a request takes 1 to {max_items}")
    if head.size == 0:
        raise head.refusal(f"the shape {list(given)} has no elements")


def _read_data(head: TensorHead, tensor: InputTensor, raw: memoryview) -> Values:
    """Return the elements of a tensor, from its JSON or from the raw bytes after the JSON of the request."""
    parameters = tensor.parameters or {}
    _refuse_shared_memory(parameters, f"/inputs/{head.name}/parameters")
    n_raw = parameters.get("binary_data_size")
    is_text = head.datatype == BYTES
    if n_raw is None:
        if len(raw) > 0:
            raise head.refusal(f"{len(raw)} raw bytes follow the JSON, and no input has a binary_data_size")
        if tensor.data is None:
            raise head.refusal("it has neither data nor a binary_data_size")
        return texts_from_json(head, tensor.data) if is_text else numbers_from_json(head, tensor.data)
    if tensor.data is not None:
        raise head.refusal("it has both data and a binary_data_size")
    if type(n_raw) is not int or n_raw != len(raw):
        raise head.refusal(f"binary_data_size is {reprlib.repr(n_raw)}; {len(raw)} raw bytes follow the JSON")
    return texts_from_bytes(head, raw) if is_text else numbers_from_bytes(head, raw)

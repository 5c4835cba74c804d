"""Reads the tensors of an ONNX file before ONNX Runtime does: all of them must be in the file itself.

An ONNX file is a protocol buffer. Its tensors may name other files that hold their numbers, and no file of a checkpoint
may lead to other files. Only the messages that can contain tensors are read, and of these the lengths.

Source: onnx.proto of ONNX 1.23; the encoding of protocol buffers.
"""

from collections.abc import Iterator

from models.codecs.varint import decode_varint
from models.errors import CheckpointError

PARTS = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
"""Messages in which there may be tensors: the fields that lead to these, and the messages in the fields."""
DATA_TYPE, FLOAT_DATA, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 2, 4, 9, 13, 14
"""Numbers of fields of a TensorProto."""
FLOAT_BYTES = {1: 4, 10: 2, 11: 8, 16: 2}
"""Sizes in bytes of the elements of the floating-point types: float32, float16, float64 and bfloat16."""
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
"""Types of fields in the encoding."""
MAX_TAG_BYTES, MAX_LENGTH_BYTES, MAX_NUMBER_BYTES = 5, 5, 10
MAX_TAG = 2**32 - 1


def count_weights(content: memoryview) -> int:
    """Return the number of floating-point numbers in the tensors of an ONNX file.

    Raises:
        CheckpointError: the file is damaged or has no graph, or a tensor of it is in another file.
    """
    n_weights, n_graphs = 0, 0
    messages = [("ModelProto", content)]
    try:
        while messages:
            message, data = messages.pop()
            if message == "TensorProto":
                n_weights += _n_floats(data)
                continue
            n_graphs += message == "GraphProto"
            for number, value in _fields(data):
                part = PARTS[message].get(number)
                if part is not None and isinstance(value, memoryview):
                    messages.append((part, value))
    except ValueError as error:
        raise CheckpointError(f"this is no whole ONNX file: {error}") from None
    if not n_graphs:
        raise CheckpointError("this is no ONNX file: there is no graph in it")
    return n_weights


def _n_floats(tensor: memoryview) -> int:
    """Return the number of floating-point numbers in a TensorProto.

    Raises:
        CheckpointError: its numbers are in another file.
    """
    fields = dict(_fields(tensor))
    if EXTERNAL_DATA in fields or fields.get(DATA_LOCATION):
        raise CheckpointError(
            "its weights are in another file, which is never read; export it again with external_data=False"
        )
    data_type, data = fields.get(DATA_TYPE), fields.get(RAW_DATA, fields.get(FLOAT_DATA))
    if not isinstance(data_type, int) or not isinstance(data, memoryview):
        return 0
    return len(data) // FLOAT_BYTES[data_type] if data_type in FLOAT_BYTES else 0


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the numbers of the fields of a message, in order, and their values.

    Raises:
        ValueError: the bytes are no message.
    """
    place = 0
    while place < len(message):
        start = place
        tag, place = decode_varint(message, place, max_bytes=MAX_TAG_BYTES)
        number, encoding = tag >> 3, tag & 7
        if encoding == VARINT:
            value, place = decode_varint(message, place, max_bytes=MAX_NUMBER_BYTES)
            yield number, value
            continue
        if encoding == BYTES:
            length, place = decode_varint(message, place, max_bytes=MAX_LENGTH_BYTES)
        else:
            length = {FIXED_64: 8, FIXED_32: 4}.get(encoding, len(message))
        if tag > MAX_TAG or place + length > len(message):
            raise ValueError(f"no whole field begins at byte {start} of a message of {len(message)} bytes")
        yield number, message[place : place + length]
        place += length

"""Bodies in parts, JSON, CSV and NumPy format that cost more than their size."""

import struct
from collections.abc import Callable

from benchmarks.server.hostile.cases import sends
from benchmarks.server.hostile.visitor import json_request
from benchmarks.server.http_client import http_request

MB = 2**20
HEAD = b'{"model":"vanilla-ae-mnist","inputs":['
RECONSTRUCT = "/reconstruct?model=vanilla-ae-mnist"
PART = b'--bbb\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
END = b"\r\n--bbb--\r\n"
LONG_NAME = b'--bbb\r\nContent-Disposition: form-data; name="files"; filename="' + b"x" * 8 * MB + b'"\r\n\r\nq' + END


def _parts(make: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: http_request(RECONSTRUCT, make(), {"content-type": "multipart/form-data; boundary=bbb"})


def _json(make: Callable[[], bytes], path: str = "/reconstruct") -> Callable[[], bytes]:
    return lambda: json_request(path, make())


def _file(make: Callable[[], bytes], content_type: str, path: str = RECONSTRUCT) -> Callable[[], bytes]:
    return lambda: http_request(path, make(), {"content-type": content_type})


def _npy(shape: str, data: bytes) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def _chunked() -> bytes:
    """Return a request whose body comes in a hundred thousand chunks of one byte."""
    head = (
        b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return head + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n"


CASES = (
    sends("parts-zeros", _parts(lambda: PART + bytes(8 * MB) + END)),
    sends("parts-returns", _parts(lambda: PART + b"\r" * 8 * MB + END)),
    sends("parts-near-boundaries", _parts(lambda: PART + b"\r\n--bb" * (8 * MB // 6) + END)),
    sends("parts-preamble", _parts(lambda: b"\r\n" * 4 * MB + PART + b"x" + END)),
    sends("parts-epilogue", _parts(lambda: PART + b"x" + END + b"\r\n" * 4 * MB)),
    sends("parts-long-name", _parts(lambda: LONG_NAME)),
    sends("parts-many-headers", _parts(lambda: b"--bbb\r\n" + b"a: b\r\n" * (8 * MB // 6) + b"\r\nq" + END)),
    sends("parts-1024-empty", _parts(lambda: (PART + b"\r\n") * 1024 + b"--bbb--\r\n")),
    sends("parts-100000-empty", _parts(lambda: (PART + b"\r\n") * 100_000 + b"--bbb--\r\n")),
    sends("json-numbers", _json(lambda: HEAD + b"0," * (16 * MB - 100) + b"0]}")),
    sends("json-numbers-4", _json(lambda: HEAD + b"0," * (16 * MB - 100) + b"0]}"), at_once=4),
    sends("json-lists", _json(lambda: HEAD + b"[]," * 10 * MB + b"[]]}")),
    sends("json-objects", _json(lambda: HEAD + b"{}," * 10 * MB + b"{}]}")),
    sends("json-wrong-end", _json(lambda: HEAD + b"0," * 15 * MB + b"0]")),
    sends("json-lists-wrong-end", _json(lambda: HEAD + b"[]," * 10 * MB + b"[]]")),
    sends("json-nan-at-end", _json(lambda: HEAD + b"0," * 15 * MB + b"NaN]}")),
    sends("json-strings", _json(lambda: HEAD + b'"aa",' * 6 * MB + b'"a"]}')),
    sends("json-escapes", _json(lambda: HEAD + b'"' + rb"\u0041" * 5 * MB + b'"]}')),
    sends("json-unknown-keys", _json(lambda: b"{" + b",".join(b'"k%d":0' % n for n in range(2_000_000)) + b"}")),
    sends("json-same-key", _json(lambda: b"{" + b'"model":"x",' * 2 * MB + b'"model":"x"}')),
    sends("json-deep", _json(lambda: b"[" * 100_000 + b"]" * 100_000)),
    sends("json-deep-open", _json(lambda: b"[" * 10 * MB)),
    sends("json-deep-objects", _json(lambda: b'{"a":' * 4 * MB)),
    sends("json-deep-inputs", _json(lambda: HEAD + b"[" * 900 + b"]" * 900 + b"]}")),
    sends("json-digits", _json(lambda: HEAD + b",".join([b"9" * 4000] * 8000) + b"]}")),
    sends("json-one-number", _json(lambda: HEAD + b"9" * 30 * MB + b"]}")),
    sends("json-fraction", _json(lambda: HEAD + b"0." + b"3" * 30 * MB + b"]}")),
    sends("json-exponents", _json(lambda: HEAD + b",".join([b"1e400"] * 784) + b"]}")),
    sends("json-small-exponents", _json(lambda: HEAD + b",".join([b"1e-400"] * 784) + b"]}")),
    sends(
        "json-valid-1024",
        _json(lambda: HEAD + b",".join([b"[" + b",".join([b"0.1234567890123456789"] * 784) + b"]"] * 1024) + b"]}"),
        at_once=2,
    ),
    sends(
        "json-dialect",
        _json(lambda: b'{"model":"bert-mini-en","input":[' + b'"a",' * 4 * MB + b'"a"]}', "/v1/embeddings"),
        models=("bert-mini-en",),
    ),
    sends(
        "json-token-ids",
        _json(lambda: b'{"model":"bert-mini-en","inputs":[[' + b"5," * 15 * MB + b"5]]}", "/encode"),
        models=("bert-mini-en",),
    ),
    sends("csv-commas", _file(lambda: b"," * 30 * MB, "text/csv"), at_once=2),
    sends("csv-lines", _file(lambda: b"0\n" * 15 * MB, "text/csv"), at_once=2),
    sends("csv-quote", _file(lambda: b'"' + b"0," * 15 * MB, "text/csv"), at_once=2),
    sends("npy-claims", _file(lambda: _npy("(1000000000, 1000000000)", bytes(100)), "application/x-npy"), at_once=4),
    sends("npy-negative", _file(lambda: _npy("(-1, 784)", bytes(100)), "application/x-npy")),
    sends("npy-deep-header", _file(lambda: _npy("(" * 20_000, b""), "application/x-npy")),
    sends("npy-valid-full", _file(lambda: _npy("(1024, 784)", bytes(1024 * 784 * 4)), "application/x-npy"), at_once=8),
    sends("chunks-of-one-byte", _chunked, at_once=2),
)

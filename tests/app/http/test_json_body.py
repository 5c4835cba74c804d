"""A large JSON body, parsed in parts, has the same values and the same errors as one parsed as a whole."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedBody, PayloadTooLarge
from app.http import json_outline, json_text
from app.http.json_body import parse_json
from models.cancellation import WorkAbandoned, watch_caller


@dataclass(frozen=True)
class Limits:
    inline_bytes: int = 0
    max_values: int = 10_000
    max_lists: int = 10_000


WHOLE = Limits(inline_bytes=2**30)
PARTS = Limits()


@contextmanager
def _part_sizes(chunk: int, piece: int = 16) -> Iterator[None]:
    """Parse in parts so small that a short text has many."""
    with (
        mock.patch.object(json_outline, "CHUNK_BYTES", chunk),
        mock.patch.object(json_outline, "LONG_STRING_BYTES", chunk),
        mock.patch.object(json_text, "PIECE_BYTES", piece),
    ):
        yield


def _outcome(data: bytes, limits: Limits) -> Any:
    try:
        return repr(parse_json(data, limits))  # in which NaN equals NaN, and 1 differs from 1.0
    except MalformedBody as error:
        return error.detail


texts = st.text(st.sampled_from('ab"\\/\n\té\U0001f600,:[]{} \x01'), max_size=24) | st.text(max_size=40)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda children: (
        st.lists(children, max_size=6)
        | st.dictionaries(st.sampled_from(["", "a", "b", '"']) | texts, children, max_size=5)
    ),
    max_leaves=40,
)
ends = st.sampled_from([",", ":", "[", "]", "{", "}", '"', "\\", " ", "\n", "0", "-", "a", "\x00", ""])


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    return json.dumps(draw(values), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 0, 2])))


@given(json_texts(), st.integers(1, 40))
def test_a_text_in_parts_has_the_same_value(text: str, chunk: int) -> None:
    data = text.encode()
    with _part_sizes(chunk):
        assert _outcome(data, PARTS) == _outcome(data, WHOLE)


@given(
    json_texts(),
    st.integers(1, 40),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), ends), min_size=1, max_size=3),
)
def test_a_damaged_text_in_parts_has_the_same_error(
    text: str, chunk: int, damage: list[tuple[float, int, str]]
) -> None:
    for place, n_lost, added in damage:
        at = int(place * len(text))
        text = text[:at] + added + text[at + n_lost :]
    data = text.encode()
    with _part_sizes(chunk):
        assert _outcome(data, PARTS) == _outcome(data, WHOLE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "1",
        "1,2",
        "[1]]",
        "]",
        "[1}",
        '{"a":1]',
        "[[1,2],[3,[4",
        '{"a":[1,2],"b":{"c":[3,{"d":4}]},"a":[5]}',
        '{"a":{"x":1},"b":0,"a":{"y":2}}',
        '{"":[1,2],"":{"":3}}',
        '{"a":[1],,"b":2}',
        '{"a":[1] "b":2}',
        '{"a" [1]}',
        '{"a":1[2]}',
        "[[1],,[2]]",
        "[[1] [2]]",
        "[[1],]",
        "[,[1]]",
        "[NaN,[Infinity],-Infinity]",
        '"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\""',
        '"' + "\\ud83d\\ude00" * 12 + '"',
        '"' + "\\\\ud83d\\\\ude00" * 12 + '"',
        '"' + "\U0001f600" * 24 + '"',
        '["' + "a" * 60,
        '["' + "a" * 60 + "\x01" + '"]',
        '{"a":"' + "a" * 30 + '\\x"}',
        '{"' + "a" * 60 + '":[' + "1," * 30 + "1]}",
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_brackets_commas_and_long_strings_in_other_parts(text: str, chunk: int) -> None:
    with _part_sizes(chunk):
        assert _outcome(text.encode(), PARTS) == _outcome(text.encode(), WHOLE)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_other_encodings_are_read(encoding: str) -> None:
    text = json.dumps({"texts": ["é\U0001f600"] * 9, "numbers": [1, 2.5, None]}, ensure_ascii=False)
    with _part_sizes(16):
        assert parse_json(text.encode(encoding), PARTS) == json.loads(text)


@pytest.mark.parametrize(
    "data", [b'["\xff"]', b'["a", "\xc3"]', b'["' + b"\xe2\x82\xac" * 20 + b'\xe2"]', b"\xff\xfe[\x00]"]
)
def test_bytes_that_are_no_text_have_the_same_error(data: bytes) -> None:
    with _part_sizes(8):
        assert _outcome(data, PARTS) == _outcome(data, WHOLE)


@pytest.mark.parametrize("written", [b"\\ud800", b"\\uDfFf", b"\xed\xa0\x80"])
@pytest.mark.parametrize("limits", [WHOLE, PARTS], ids=["whole", "parts"])
def test_a_lone_surrogate_becomes_the_replacement_character(written: bytes, limits: Limits) -> None:
    values = parse_json(b'{"a%b": ["x%by", {"b": "%b"}, "\\ud83d\\ude00", 1]}' % (written, written, written), limits)
    lone = "\ufffd"
    assert values == {f"a{lone}": [f"x{lone}y", {"b": lone}, "\U0001f600", 1]}


def test_the_place_of_an_error_is_counted_in_lines_and_characters() -> None:
    data = ('[\n"é",\n"' + "é" * 70_000 + '", x]').encode()
    with pytest.raises(MalformedBody, match="line 3, column 70005: expecting value"):
        parse_json(data, PARTS)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[" + b"0," * 10_000 + b"0]", "more than 10000 values, which is the limit max_values"),
        (b"[" + b"[]," * 101 + b"0]", "more than 100 lists and objects, which is the limit max_lists"),
        (b"[1" + b"0" * 4300 + b"]", "a number of 4301 bytes; the limit is 4300"),
        (b"[" + b" " * (2**20 + 1) + b"0]", "more than 1048576 bytes without a comma"),
        (b'{"' + b"a" * 2**20 + b'":0}', "more than 1048576 bytes without a comma"),
        (b"{" + b",".join(b'"%d":0' % i for i in range(2**17 + 1)) + b"}", "an object of 131073 members"),
    ],
)
def test_a_large_body_beyond_a_limit_is_refused(data: bytes, reason: str) -> None:
    limits = Limits(max_lists=100, max_values=2**20 if b":" in data else 10_000)
    with pytest.raises(PayloadTooLarge, match=reason):
        parse_json(data, limits)


def test_what_is_nested_too_deeply_is_refused() -> None:
    assert parse_json(b"[" * 1024 + b"]" * 1024, PARTS)
    for text in (b"[" * 1025 + b"]" * 1025, b"[" * 2**20, b'{"a":' * 1025):
        with pytest.raises(MalformedBody, match="nested more than 1024 deep"):
            parse_json(text, PARTS)


def test_a_large_body_within_the_limits_is_as_read_at_once() -> None:
    rows = [[x / 7 - y for x in range(784)] for y in range(64)]
    data = json.dumps({"inputs": rows, "text": "é\\n" * 100_000, "parameters": {}}, ensure_ascii=False).encode()
    assert parse_json(data, Limits(max_values=2**20)) == json.loads(data)


def test_parsing_ends_once_the_caller_has_left() -> None:
    looks = iter([False, False, True])
    watch_caller(lambda: next(looks))
    try:
        with pytest.raises(WorkAbandoned):
            parse_json(b"[" + b"0," * 2**20 + b"0]", Limits(max_values=2**22))
    finally:
        watch_caller(None)

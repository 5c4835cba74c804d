"""Strings that hold bytes, against the rules of RFC 2397, RFC 3986 and RFC 4648."""

import base64
import re
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codecs.data_url import bytes_of_string

HEADS = ["data:image/png;base64,", "DATA:image/png;BASE64,", "data:;base64,", "data:image/png;name=a.png;base64,"]


@given(st.binary(max_size=50), st.sampled_from(HEADS), st.booleans())
def test_base64_may_be_percent_encoded(data: bytes, head: str, is_quoted: bool) -> None:
    encoded = base64.b64encode(data).decode()
    assert bytes_of_string(head + (quote(encoded, safe="") if is_quoted else encoded)) == data
    assert bytes_of_string(encoded) == data


@given(st.binary(max_size=50), st.sampled_from(["data:,", "data:image/png,", "Data:;charset=utf-8,"]))
def test_data_without_base64_are_percent_encoded(data: bytes, head: str) -> None:
    assert bytes_of_string(head + quote(data)) == data
    assert bytes_of_string(head + "".join(f"%{byte:02x}" for byte in data)) == data


@given(st.binary(min_size=100, max_size=200))
def test_line_breaks_and_fragments_are_no_data(data: bytes) -> None:
    lines = base64.encodebytes(data).decode()
    for text in (lines, lines.replace("\n", "\r\n"), "data:;base64," + lines, "data:;base64, \t" + lines + "#fragment"):
        assert bytes_of_string(text) == data


@pytest.mark.parametrize(
    "url", [" data:;base64,AAEC", "data:;base64,AAEC\n", "data:a/b; base64,AAEC", "data:; BASE64 ,AAEC"]
)
def test_white_space_around_a_url_and_around_base64_is_ignored(url: str) -> None:
    assert bytes_of_string(url) == b"\0\1\2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data:image/png;base64", "has a comma before its data"),
        ("data:", "has a comma before its data"),
        ("AAA", "it has 3 characters, which is not a multiple of 4: padding or data are missing"),
        ("data:;base64,AA", "it has 2 characters"),
        ("data:;base64,AA%3D", "it has 3 characters"),
        ("-_-_", "which belong to base64url"),
        ("data:;base64,AA-_", "which belong to base64url"),
        ("AA==AAAA", "its padding is not at its end"),
        ("=AAA", "its padding is not at its end"),
        ("AA%%", "'%' is not a character of base64"),
        ("data:;base64,%zz=", "'%' is not a character of base64"),
        ("AA\u00a0A", "is not a character of base64"),
        ("https://example.org/a.png", "is not a character of base64"),
    ],
)
def test_the_reason_of_a_refusal_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        bytes_of_string(text)


@given(st.text(max_size=40), st.sampled_from(["", "data:", "data:;base64,"]))
def test_any_text_is_decoded_or_refused(text: str, head: str) -> None:
    with suppress(ValueError):
        assert len(bytes_of_string(head + text)) <= 4 * len(text)


@given(st.binary(max_size=60), st.sampled_from(["", "data:;base64,"]), st.sampled_from(["", "\n", " \r\n"]))
def test_long_strings_are_decoded_in_parts(data: bytes, head: str, white_space: str) -> None:
    encoded = white_space.join(base64.b64encode(data).decode()) + white_space
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.codecs.data_url.PART_CHARACTERS", 8)
        assert bytes_of_string(head + encoded) == data
        assert bytes_of_string("data:," + quote(data)) == data
        assert bytes_of_string("data:;base64," + quote(encoded, safe="")) == data
        for wrong in ("AA==" + "AAAA" * 9, "AAAA" * 9 + "AA==A", "A" * 41, "AAAA" * 5 + "-" * 4):
            with pytest.raises(ValueError, match=r"padding|multiple of 4|base64url"):
                bytes_of_string(head + wrong)

"""Tests of lines and rows of text files, and of damaged ones."""

import gzip
import hashlib
from pathlib import Path

import pytest

from training.data.files import DataFile, DataFolder
from training.data.text_files import TextFile, read_texts
from training.errors import DataError


def test_only_a_line_feed_ends_a_line() -> None:
    assert list(TextFile("f", "a\u2028b\x85c\n\nd\n").lines()) == [(1, "a\u2028b\x85c"), (2, ""), (3, "d")]
    assert list(TextFile("f", "a\nb").lines()) == [(1, "a"), (2, "b")]
    assert list(TextFile("f", "").lines()) == []


def test_quoted_commas_and_line_ends_belong_to_a_column() -> None:
    rows = TextFile("f", '"a, ""b""","c\r\nd"\r\ne,f\r\n').comma_separated(2)
    assert list(rows) == [(2, ['a, "b"', "c\r\nd"]), (3, ["e", "f"])]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\nc\n", "f, line 2: 1 columns; expected 2"), ('a,b\n"c,d', "f, line 2: not CSV"), ("a,b\n\n", "line 2: 0 ")],
)
def test_damaged_csv_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(TextFile("f", text).comma_separated(2))


@pytest.mark.parametrize(
    ("text", "message"), [('{"a": 1}\n{', "f, line 2: not JSON: "), ("[]", "f, line 1: not a JSON object")]
)
def test_damaged_json_lines_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(TextFile("f", text).json_objects())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"plain", "set/a.gz is not a whole gzip file"),
        (gzip.compress(b"some text", mtime=0)[:-9], "set/a.gz is not a whole gzip file"),
        (gzip.compress(b"\xff", mtime=0), "set/a.gz is not UTF-8"),
    ],
)
def test_files_that_are_not_compressed_text_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.gz").write_bytes(data)
    file = DataFile(name="a.gz", url="", sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(DataError, match=message):
        read_texts(DataFolder(tmp_path, download=False), "set", [file])

"""Files, standard input and arguments as inputs of a task."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli.errors import Refused, WrongUsage
from app.cli.inputs import Reader
from models.codecs.npy import to_npy
from tests.app.items import images, npy, png


def reader(**changes: Any) -> Reader:
    options: dict[str, Any] = {"takes_texts": True, "text_format": "lines"}
    return Reader(**options | changes)


def read(path: Path, content: str | bytes, **changes: Any) -> list[tuple[Any, str]]:
    """The items of a file, each with its place, in which the folder is left out."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(item.value, item.place.replace(str(path), path.name)) for item in reader(**changes).read([str(path)])]


def test_a_text_is_a_line_and_empty_lines_are_skipped(tmp_path: Path) -> None:
    items = read(tmp_path / "a.txt", "\ufeffone\r\n\n two \x0b\nthree")
    assert items == [("one", "a.txt, line 1"), (" two \x0b", "a.txt, line 3"), ("three", "a.txt, line 4")]
    assert read(tmp_path / "a.md", "one\ntwo", whole=True) == [("one\ntwo", "a.md")]


def test_numbers_are_a_row_and_gaps_are_null(tmp_path: Path) -> None:
    items = read(tmp_path / "a.csv", "x,y\n1,2.5\n\nnan, \n-3e-2,07\n")
    assert items == [([1, 2.5], "a.csv, line 2"), ([None, None], "a.csv, line 4"), ([-0.03, 7], "a.csv, line 5")]
    assert read(tmp_path / "a.tsv", "1\t2\n3\t4", whole=True) == [([[1, 2], [3, 4]], "a.tsv")]
    assert read(tmp_path / "a.data", "1,2", takes_texts=False, text_format="csv") == [([1, 2], "a.data, line 1")]
    with pytest.raises(Refused, match="line 2: 'second' is not a number"):
        read(tmp_path / "a.csv", "x,y\nsecond,line\n1,2\n")


def test_rows_of_a_table_are_objects_or_for_a_whole_file_columns(tmp_path: Path) -> None:
    content = "site,load\neast, 1.5\n\nwest,n/a\n"
    first, second = {"site": "east", "load": "1.5"}, {"site": "west", "load": None}
    assert read(tmp_path / "a.csv", content, format="rows") == [(first, "a.csv, line 2"), (second, "a.csv, line 4")]
    columns = {"site": ["east", "west"], "load": ["1.5", None]}
    assert read(tmp_path / "a.csv", content, format="rows", whole=True) == [(columns, "a.csv")]
    with pytest.raises(Refused, match="line 3: 1 cells; the first line has 2 names"):
        read(tmp_path / "a.csv", "a,b\n1,2\n3\n", format="rows")


def test_texts_are_read_from_a_column_or_a_member(tmp_path: Path) -> None:
    items = read(tmp_path / "a.csv", 'id,review\n1,"good,\nvery"\n2,bad\n', field="review")
    assert items == [("good,\nvery", "a.csv, line 3"), ("bad", "a.csv, line 4")]
    assert read(tmp_path / "a.jsonl", '{"t": "x"}\n\n{"t": [1]}', field="t") == [
        ("x", "a.jsonl, line 1"),
        ([1], "a.jsonl, line 3"),
    ]


def test_json_is_a_list_of_items_or_one(tmp_path: Path) -> None:
    assert read(tmp_path / "a.json", "[[1, 2], null]") == [([1, 2], "a.json, item 1"), (None, "a.json, item 2")]
    assert read(tmp_path / "a.json", "[[1, 2]]", whole=True) == [([[1, 2]], "a.json")]
    assert read(tmp_path / "a.json", '{"text": "x"}') == [({"text": "x"}, "a.json")]


def test_the_first_axis_of_an_array_counts_the_items(tmp_path: Path) -> None:
    items = read(tmp_path / "a.npy", npy(np.eye(2)))
    assert [(value.tolist(), place) for value, place in items] == [
        ([1.0, 0.0], "a.npy, row 1"),
        ([0.0, 1.0], "a.npy, row 2"),
    ]
    ((value, place),) = read(tmp_path / "a.npy", to_npy(np.eye(2)), whole=True)
    assert (value.shape, place) == ((2, 2), "a.npy")


def test_pictures_and_arrays_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    ((value, _),) = read(tmp_path / "picture", png(images(1)[0]))
    assert value.startswith("data:image/png;base64,iVBOR")
    assert len(read(tmp_path / "array", npy(images(3)))) == 3


def test_an_argument_may_be_an_input_itself() -> None:
    items = reader().read(["Once upon a time", '{"text": "x"}', "[1, 2]", "[MASK] ran."], ["notes.txt"])
    assert [item.value for item in items] == ["Once upon a time", {"text": "x"}, [1, 2], "[MASK] ran.", "notes.txt"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "1,2\n3,x\n", "a.csv, line 2: 'x' is not a number. --from rows reads rows of a table"),
        ("a.csv", "1,inf\n", "a.csv, line 1: inf is not finite."),
        ("a.txt", b"ok\n\xff\n", "a.txt, line 2: byte 3 is not UTF-8."),
        ("a.json", '{\n"a": }', "a.json, line 2, column 6: this is not JSON:"),
        ("a.ndjson", "1\n{\n", "a.ndjson, line 2: this is not JSON:"),
        ("a.npy", b"\x93NUMPY", "a.npy cannot be read: the body is not a .npy file"),
        ("a.npy", npy(np.array([np.inf])), "a.npy has an infinite number, which no task takes."),
        ("a.png", b"GIF89a", "a.png is not a PNG, JPEG or WebP picture."),
        ("a.txt", "\n\n", "There is nothing in"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(Refused) as refused:
        read(tmp_path / name, content)
    assert said in refused.value.problems[0].replace(str(tmp_path) + "/", "")
    assert refused.value.exit_code == 1


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        ("a,b\n1,2\n", "c", "has no column 'c'; its first line has a, b."),
        ("a,b\n1\n", "b", "line 2: there is no column b; the line has 1 cells."),
    ],
)
def test_a_column_that_is_not_there_is_named(tmp_path: Path, content: str, field: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        read(tmp_path / "a.csv", content, field=field)


def test_a_folder_and_the_name_of_no_file_are_wrong_usage(tmp_path: Path) -> None:
    for argument, said in (
        (str(tmp_path), "is a folder; name the files in it."),
        ("notes.txt", "There is no file 'notes.txt'."),
        ("dir/notes", "There is no file 'dir/notes'."),
    ):
        with pytest.raises(WrongUsage, match=said):
            reader().read([argument])

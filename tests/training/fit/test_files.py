"""Tables in other files than those of separated values, and folders of them."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training.errors import DataError
from training.fit.files import read_file, read_folder


def test_lines_of_json(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_text('{"a": 1, "b": "x "}\n\n{"a": 2.5, "c": true}\n{"b": null, "c": false}\n')
    table = read_file(tmp_path / "t.ndjson")
    assert table.columns == {"a": ["1", "2.5", None], "b": ["x", None, None], "c": [None, "true", "false"]}
    assert table.lines == [1, 3, 4]


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([[1.0, np.nan], [2.5, 4.0]]))
    assert read_file(tmp_path / "t.npy").columns == {"0": ["1.0", "2.5"], "1": [None, "4.0"]}
    np.savez(tmp_path / "t.npz", load=np.array([1, 2]), flow=np.array([[1.5], [2.5]]))
    assert read_file(tmp_path / "t.npz").columns == {"load": ["1", "2"], "flow0": ["1.5", "2.5"]}


def test_parquet(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    at = [dt.datetime(2026, 1, 1, 12), None, dt.datetime(2026, 1, 2)]  # noqa: DTZ001
    table = pyarrow.table({"at": at, "n": [1, None, 3], "x": [0.5, 1.5, None], "ok": [True, False, None]})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert read_file(tmp_path / "t.parquet").columns == {
        "at": ["2026-01-01T12:00:00", None, "2026-01-02T00:00:00"],
        "n": ["1", None, "3"],
        "x": ["0.5", "1.5", None],
        "ok": ["true", "false", None],
    }


def test_a_folder_is_one_table_with_the_names_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    (tmp_path / "a.ndjson").write_text('{"y": 4, "x": 3}\n{"y": 6, "x": 5}\n')
    (tmp_path / "notes.txt").write_text("not a table")
    table = read_folder(tmp_path)
    assert table.columns == {"y": ["4", "6", "2"], "x": ["3", "5", "1"], "file": ["a", "a", "b"]}
    (tmp_path / "c.csv").write_text("x,z\n1,2\n")
    with pytest.raises(DataError, match=r"c\.csv: files of a folder must not differ in their columns from a\.ndjson"):
        read_folder(tmp_path)


def _objects(path: Path) -> None:
    path.with_suffix(".ndjson").write_text('{"a": 1}\n[2]\n')


def _broken(path: Path) -> None:
    path.with_suffix(".ndjson").write_text('{"a": 1}\n{"a":\n')


def _nested(path: Path) -> None:
    path.with_suffix(".ndjson").write_text('{"a": [1]}\n')


def _empty(path: Path) -> None:
    path.with_suffix(".ndjson").write_text("\n")


def _pickled(path: Path) -> None:
    np.save(path.with_suffix(".npy"), np.array([{"a": 1}]), allow_pickle=True)


def _cube(path: Path) -> None:
    np.save(path.with_suffix(".npy"), np.zeros((2, 3, 4)))


def _uneven(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), a=np.zeros(2), b=np.zeros(3))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_objects, "t.ndjson, line 2: expected an object of names and single values"),
        (_broken, "t.ndjson, line 2: "),
        (_nested, "t.ndjson, line 1: expected an object"),
        (_empty, "t.ndjson: there are no rows"),
        (_pickled, "t.npy: "),
        (_cube, "the shape [2, 3, 4] and the type float64; expected numbers of shape [rows] or [rows, columns]"),
        (_uneven, "t.npz: the arrays have 2, 3 rows; expected equally many"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(write: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    write(tmp_path / "t")
    (path,) = tmp_path.iterdir()
    with pytest.raises(DataError) as caught:
        read_file(path)
    assert words in str(caught.value)

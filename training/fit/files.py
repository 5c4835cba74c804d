"""Read tables from the kinds of files that people have them in, and from folders of such files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import orjson
from numpy.typing import NDArray

from training.errors import DataError
from training.fit.table_file import MAX_ROWS, Table, check_names, read_table

FILE = "file"
"""Name of the column that says from which file of a folder a row is."""
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".ndjson", ".jsonl", ".npy", ".npz")


def read_file(path: Path) -> Table:
    """Read a table by the ending of the file's name.

    `.parquet` is Parquet, `.ndjson` and `.jsonl` are JSON objects on a line each, and `.npy` and `.npz` are arrays of
    one or two dimensions. All others are files of separated values.

    Raises:
        DataError: the file cannot be read, or has no rows, or the package that reads it is not installed.
    """
    readers: Mapping[str, Callable[[Path], Table]] = {
        ".parquet": _read_parquet,
        ".ndjson": _read_objects,
        ".jsonl": _read_objects,
        ".npy": _read_arrays,
        ".npz": _read_arrays,
    }
    table = readers.get(path.suffix.lower(), read_table)(path)
    if not len(table):
        raise DataError(f"{path}: there are no rows")
    if len(table) > MAX_ROWS:
        raise DataError(f"{path}: {len(table)} rows; {MAX_ROWS} is the limit")
    return table


def read_folder(folder: Path) -> Table:
    """Read all tables in a folder as one, with a column `file` that has the name of each row's file.

    Raises:
        DataError: there is none, one cannot be read, or two have different columns.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
    if not paths:
        raise DataError(f"{folder} has no picture, and no file that ends with {', '.join(TABLE_SUFFIXES)}")
    tables = [read_file(path) for path in paths]
    names = list(tables[0].columns)
    for path, table in zip(paths, tables, strict=True):
        if set(table.columns) != set(names) or FILE in table.columns:
            fault = (
                f"have a column {FILE!r}" if FILE in table.columns else f"differ in their columns from {paths[0].name}"
            )
            raise DataError(f"{path}: files of a folder must not {fault}")
    columns: dict[str, Sequence[str | None]] = {
        name: [cell for table in tables for cell in table.columns[name]] for name in names
    }
    columns[FILE] = [path.stem for path, table in zip(paths, tables, strict=True) for _ in range(len(table))]
    return Table(columns, [line for table in tables for line in table.lines])


def _read_objects(path: Path) -> Table:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = orjson.loads(line)
                if not isinstance(row, dict) or any(isinstance(value, list | dict) for value in row.values()):
                    raise DataError(f"{path}, line {number}: expected an object of names and single values")
                rows.append(row)
                lines.append(number)
                if len(rows) > MAX_ROWS:
                    raise DataError(f"{path}: more than {MAX_ROWS} rows, which is the limit")
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}, line {number}: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: {error}") from error
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table({name: [_cell(row.get(name)) for row in rows] for name in names}, lines)


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise DataError(
            f"{path}: Parquet needs pyarrow; pip install -c constraints.txt -e '.[parquet]' installs it"
        ) from error
    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: {error}") from error
    check_names(path, table.column_names)
    columns = {name: [_cell(value) for value in table.column(name).to_pylist()] for name in table.column_names}
    return Table(columns, range(1, table.num_rows + 1))


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the array of a `.npy` file, whose name is empty, or the arrays of a `.npz` file by their names.

    Raises:
        DataError: the file cannot be read, or holds pickled objects.
    """
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"": content}
        with content:
            return dict(content)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: {error}") from error


def _read_arrays(path: Path) -> Table:
    """Read an array `[n]` or `[n, d]`, whose columns are named by their numbers, or several by the names of arrays."""
    arrays = load_arrays(path)
    columns: dict[str, Sequence[str | None]] = {}
    for name, array in arrays.items():
        if array.ndim not in (1, 2) or array.dtype.kind not in "biuf":
            raise DataError(
                f"{path}: the array {name or 'in it'} has the shape {list(array.shape)} and the type {array.dtype}; "
                "expected numbers of shape [rows] or [rows, columns]"
            )
        if array.ndim == 1:
            columns[name or "0"] = _cells(array.tolist())
        else:
            columns |= {f"{name}{place}": _cells(column.tolist()) for place, column in enumerate(array.T)}
    lengths = {len(cells) for cells in columns.values()}
    if len(lengths) != 1:
        raise DataError(f"{path}: the arrays have {', '.join(map(str, sorted(lengths)))} rows; expected equally many")
    return Table(columns, range(1, lengths.pop() + 1))


def _cells(values: Iterable[Any]) -> list[str | None]:
    return [_cell(value) for value in values]


def _cell(value: Any) -> str | None:
    """Return a value as the cell of a file of separated values would have it; None for a gap."""
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    isoformat: Callable[[], str] | None = getattr(value, "isoformat", None)
    text = isoformat() if isoformat else value if isinstance(value, str) else repr(value)
    return text.strip() or None

"""JSON files of checkpoints, and the errors that name them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import CheckpointError
from models.json_files import read_json, read_json_list


def test_objects_and_lists_are_read(tmp_path: Path) -> None:
    (tmp_path / "object.json").write_text('{"a": [1]}')
    (tmp_path / "list.json").write_text('["a"]')
    assert read_json(tmp_path, "mine", "object.json") == {"a": [1]}
    assert read_json_list(tmp_path, "mine", "list.json") == ["a"]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_json, None, "mine/file.json is missing"),
        (read_json, "[]", "mine/file.json holds no JSON object"),
        (read_json, "{", "mine/file.json is not readable as JSON"),
        (read_json, "[" * 100_000, "mine/file.json is not readable as JSON"),
        (read_json, b"\xff", "mine/file.json is not readable as JSON"),
        (read_json_list, "{}", "mine/file.json holds no JSON list"),
    ],
)
def test_other_files_are_refused_by_name(
    tmp_path: Path, read: Callable[[Path, str, str], Any], content: str | bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "file.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match=message) as error:
        read(tmp_path, "mine", "file.json")
    assert str(tmp_path) not in str(error.value)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.json").mkdir()
    with pytest.raises(CheckpointError, match=r"mine/file\.json is not readable: Is a directory"):
        read_json(tmp_path, "mine", "file.json")

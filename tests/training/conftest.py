"""Fixtures with small files in place of the data sets."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from training.data.files import DataFile, DataFolder

Place = Callable[[ModuleType, str, dict[str, str]], DataFolder]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a function that writes a data set's files, and makes its reader accept them as the official ones."""

    def write(module: ModuleType, dataset: str, contents: dict[str, str]) -> DataFolder:
        (tmp_path / dataset).mkdir(exist_ok=True)
        packed = {name: gzip.compress(text.encode()) for name, text in contents.items()}
        for name, data in packed.items():
            (tmp_path / dataset / name).write_bytes(data)

        def official(known: Any) -> Any:
            if isinstance(known, tuple):
                return tuple(official(each) for each in known)
            if isinstance(known, DataFile) and known.name in packed:
                return replace(known, sha256=hashlib.sha256(packed[known.name]).hexdigest())
            return known

        for constant, known in list(vars(module).items()):
            if isinstance(known, DataFile | tuple):
                monkeypatch.setattr(module, constant, official(known))
        return DataFolder(tmp_path, download=False)

    return write

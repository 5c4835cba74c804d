"""Folders that several tests of models read and none changes."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain folders of transformers with random weights, by architecture."""
    from tests.models.sentence_folders import write_bases  # because importing the library takes seconds

    root = tmp_path_factory.mktemp("bases")
    write_bases(root)
    return root


@pytest.fixture(scope="session")
def saved(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder with a pooling and a dense layer."""
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling

    from tests.models.sentence_folders import WIDTH, save

    return save(bases, tmp_path_factory.mktemp("saved") / "mine", Pooling(WIDTH), Dense(WIDTH, 5))

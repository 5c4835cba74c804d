"""Families are found by their folders, and folders that break the rules are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import models.autoencoders
from models import catalogue
from models.errors import CatalogueError
from models.family import FamilySpec


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose packages count as autoencoder families."""
    monkeypatch.setattr(models.autoencoders, "__path__", [*models.autoencoders.__path__, str(tmp_path)])
    catalogue.families.cache_clear()
    yield tmp_path
    catalogue.families.cache_clear()


def declare(scratch: Path, name: str, source: str) -> None:
    (scratch / name).mkdir()
    (scratch / name / "__init__.py").write_text(source)


def test_families_are_found_by_their_folders() -> None:
    assert "autoencoders/vanilla" in catalogue.families()
    assert all(spec.id == family_id for family_id, spec in catalogue.families().items())


def test_a_new_folder_is_a_new_family(scratch: Path) -> None:
    source = "import dataclasses\nfrom models.autoencoders.vanilla import FAMILY as V\n"
    declare(scratch, "scratch_new", source + "FAMILY = dataclasses.replace(V, id='autoencoders/scratch_new')\n")
    assert catalogue.family("autoencoders/scratch_new").title == "Vanilla autoencoder"


def test_a_folder_that_declares_nothing_is_an_error(scratch: Path) -> None:
    declare(scratch, "scratch_empty", "")
    with pytest.raises(CatalogueError, match=r"models/autoencoders/scratch_empty/__init__\.py declares no FAMILY"):
        catalogue.families()


def test_an_id_that_differs_from_the_path_is_an_error(scratch: Path) -> None:
    declare(scratch, "scratch_lost", "from models.autoencoders.vanilla import FAMILY as FAMILY\n")
    with pytest.raises(
        CatalogueError, match=r"'autoencoders/vanilla'; it must be its path, 'autoencoders/scratch_lost'"
    ):
        catalogue.families()


@pytest.mark.parametrize("spec", [spec for spec in catalogue.families().values() if spec.modality == "text"])
def test_a_family_of_texts_declares_how_its_checkpoints_are_published(spec: FamilySpec[Any]) -> None:
    assert spec.published is not None
    assert spec.tokenizer is not None


def test_an_unknown_family_lists_the_known() -> None:
    with pytest.raises(CatalogueError, match=r"unknown family 'autoencoders/none'; known are .*autoencoders/vanilla"):
        catalogue.family("autoencoders/none")

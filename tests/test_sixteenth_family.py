"""The Transformer that `docs/adding-a-family.md` adds, file by file, in a copy of the tree: nothing else is edited."""

import re
from pathlib import Path

import pytest

from tests.added_family import check_sources, copy_tree, run

FAMILY = "models/transformers/megatron"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    copy_tree(root, FAMILY)
    return root


@pytest.mark.timeout(300)
def test_contract_tests_take_it_up(tree: Path) -> None:
    files = ["tests/models/transformers/test_contract.py", "tests/test_layout.py"]
    output = run(tree, "pytest", *files, "-k", "megatron", "-vv")
    assert int(re.findall(r"(\d+) passed", output)[0]) > 50
    assert "test_what_it_publishes_it_reads[megatron-0]" in output
    assert "test_every_family_has_the_same_files[transformers/megatron]" in output


@pytest.mark.timeout(300)
def test_a_published_folder_is_read_and_served(tree: Path) -> None:
    output = run(tree, "pytest", "tests/check_megatron.py", "-vv")
    assert "6 passed" in output


@pytest.mark.timeout(300)
def test_it_is_written_as_the_others_are(tree: Path) -> None:
    check_sources(tree, FAMILY)

"""The family that `docs/adding-a-family.md` adds, file by file, in a copy of the tree: nothing else is edited."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = re.compile(r"```(?:python|markdown)\n(?:# |<!-- )(models/\S+)(?: -->)?\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, and the family's folder as the document has it."""
    root = tmp_path_factory.mktemp("tree")
    for name in ("models", "app", "training", "tests", "pyproject.toml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, root / name)
    for name, content in FILE.findall((ROOT / "docs/adding-a-family.md").read_text()):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    return root


def run(tree: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_contract_and_http_tests_take_it_up(tree: Path) -> None:
    files = ["tests/models/test_families_contract.py", "tests/app/routes/test_autoencoders.py", "tests/test_layout.py"]
    output = run(tree, "pytest", *files, "-k", "sparse", "-vv")
    assert int(re.findall(r"(\d+) passed", output)[0]) > 50
    assert "test_every_task_answers[sparse-0-compress]" in output
    assert "test_every_family_has_the_same_files[autoencoders/sparse]" in output


@pytest.mark.timeout(300)
def test_it_is_written_as_the_others_are(tree: Path) -> None:
    run(tree, "ruff", "check", "models/autoencoders/sparse")
    run(tree, "ruff", "format", "--check", "models/autoencoders/sparse")
    run(tree, "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), "models/autoencoders/sparse")  # knows the libraries

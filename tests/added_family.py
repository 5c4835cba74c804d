"""A copy of the tree with a family that `docs/adding-a-family.md` adds, and commands that run in it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = re.compile(r"```(?:python|markdown)\n(?:# |<!-- )(models/\S+)(?: -->)?\n(.*?)```", re.DOTALL)


def copy_tree(tree: Path, family_folder: str) -> None:
    """Copy the sources, and write the files that the document has for this folder, and nothing else."""
    for name in ("models", "app", "training", "tests", "pyproject.toml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tree / name)
    (tree / family_folder).mkdir()
    for name, content in FILE.findall((ROOT / "docs/adding-a-family.md").read_text()):
        if name.startswith(f"{family_folder}/"):
            (tree / name).write_text(content)


def run(tree: Path, *arguments: str) -> str:
    """Run a Python module with these arguments in the copy, and return the output; a failure fails the test."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_sources(tree: Path, family_folder: str) -> None:
    """Check that the family passes the linters and the type checker, as all sources do."""
    run(tree, "ruff", "check", family_folder)
    run(tree, "ruff", "format", "--check", family_folder)
    run(tree, "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), family_folder)  # which has the types of libraries

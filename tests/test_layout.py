"""What the project promises about its own shape."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalogue import families

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for folder in ("models", "app", "training", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")
)
MAX_LINES, MAX_FUNCTION_LINES = 400, 60


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    for function in functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno < MAX_FUNCTION_LINES, function.name


@pytest.mark.parametrize("path", sorted((ROOT / "app/routes").glob("*.py")), ids=lambda path: path.name)
def test_routes_neither_catch_nor_compute(path: Path) -> None:
    for function in functions(ast.parse(path.read_text())):
        if isinstance(function, ast.AsyncFunctionDef):
            assert len(function.body) <= 4, f"{function.name}: a docstring and three lines"
            assert not any(isinstance(node, ast.Try) for node in ast.walk(function))


@pytest.mark.parametrize("family", families())
def test_every_family_has_the_same_files(family: str) -> None:
    folder = ROOT / "models" / family
    for name in ("__init__.py", "config.py", "model.py", "objective.py", "README.md"):
        assert (folder / name).is_file(), f"{folder} lacks {name}"


def test_nothing_unpickles() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "pickle" not in ast.unparse(node), path
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("torch.load", "torch.save"), path

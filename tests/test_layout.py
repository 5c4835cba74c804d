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
MAX_APP_LINES, MAX_APP_FUNCTION_LINES = 350, 50


APP = [path for path in SOURCES if path.is_relative_to(ROOT / "app")]


def n_body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The number of lines below the signature, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    for function in functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno < MAX_FUNCTION_LINES, function.name


@pytest.mark.parametrize("path", APP, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_of_the_service_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_APP_LINES
    for function in functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno < MAX_APP_FUNCTION_LINES, function.name


def test_few_functions_of_the_service_have_one_line() -> None:
    """Many functions of one line are as hard to follow as a few long ones."""
    lengths = [n_body_lines(function) for path in APP for function in functions(ast.parse(path.read_text()))]
    assert sum(length <= 1 for length in lengths) <= len(lengths) / 6


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

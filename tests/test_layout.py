"""What the project promises about its own shape."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalogue import families

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("models", "app", "training", "benchmarks", "tests", "acceptance")
    for path in (ROOT / folder).rglob("*.py")
)
PRODUCT = [path for path in SOURCES if path.is_relative_to(ROOT / "app") or path.is_relative_to(ROOT / "models")]
"""The files that serve requests; the others train, measure and test."""
MAX_LINES, MAX_FUNCTION_LINES = 400, 60
MAX_PRODUCT_LINES, MAX_PRODUCT_FUNCTION_LINES = 350, 50
TRITON_KERNELS = ROOT / "models/ops/triton/kernels.py"
"""The file whose functions may be longer, because a Triton kernel cannot be split."""
FRAGMENT = re.compile(r"(As|At|By|For|From|How|If|In|Of|On|See|Same|Those|To|What|Where|Whether|With)\b")
"""First words of docstrings that only complete the line above."""
NOUN_PHRASE = re.compile(r"(A|All|An|Each|Its|No|One|The)\b")
"""First words of docstrings that describe a value. A property is a value; a function does something."""


def n_body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The number of lines below the signature, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def is_route(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the function is declared to answer a path."""
    return any(ast.unparse(decorator).startswith("router.") for decorator in function.decorator_list)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    for function in functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno < MAX_FUNCTION_LINES, function.name


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_of_the_product_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_PRODUCT_LINES
    if path != TRITON_KERNELS:
        for function in functions(ast.parse(text)):
            assert (function.end_lineno or 0) - function.lineno < MAX_PRODUCT_FUNCTION_LINES, function.name


@pytest.mark.parametrize("package", ["app", "models"])
def test_few_functions_have_one_line(package: str) -> None:
    """Many functions of one line are as hard to follow as a few long ones. Routes are declarations."""
    paths = [path for path in PRODUCT if path.is_relative_to(ROOT / package)]
    found = (function for path in paths for function in functions(ast.parse(path.read_text())))
    lengths = [n_body_lines(function) for function in found if not is_route(function)]
    assert lengths.count(1) <= len(lengths) / 6


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_of_functions_are_sentences(path: Path) -> None:
    for function in functions(ast.parse(path.read_text())):
        docstring = ast.get_docstring(function) or ""
        is_value = any("property" in ast.unparse(d) or "click" in ast.unparse(d) for d in function.decorator_list)
        assert not FRAGMENT.match(docstring), f"{function.name}: {docstring}"
        assert is_value or not NOUN_PHRASE.match(docstring), f"{function.name}: {docstring}"
        assert not docstring or docstring.split("\n\n")[0].rstrip().endswith((".", ":", "?")), function.name


@pytest.mark.parametrize("path", sorted((ROOT / "models/layers").glob("*.py")), ids=lambda path: path.name)
def test_layers_are_modules(path: Path) -> None:
    """A layer is a class that derives from a module. Beside layers, there are only constants and dataclasses."""
    for node in ast.parse(path.read_text()).body:
        assert not isinstance(node, ast.FunctionDef), node.name


@pytest.mark.parametrize("family", families())
def test_every_family_has_the_same_files(family: str) -> None:
    folder = ROOT / "models" / family
    for name in ("__init__.py", "config.py", "model.py", "objective.py", "README.md"):
        assert (folder / name).is_file(), f"{folder} lacks {name}"


def test_nothing_unpickles_but_the_conversion() -> None:
    folders = ROOT / "app/conversion", ROOT / "tests/app/conversion"
    for path in SOURCES:
        if path.parent in folders:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "pickle" not in ast.unparse(node), path
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("torch.load", "torch.save"), path

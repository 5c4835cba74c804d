"""Follows the code of an example of sentence-transformers, without executing it, up to the numbers that it prints."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["similarities", "scores"]
Role = Literal["query", "document"]

CLASSES = ("SentenceTransformer", "CrossEncoder", "SparseEncoder")
HARMLESS = frozenset(
    ("batch_size", "show_progress_bar", "convert_to_numpy", "convert_to_tensor", "device", "trust_remote_code")
)
"""Arguments of the library that do not change its numbers."""
METHODS: Mapping[str, Role | None] = {"encode": None, "encode_query": "query", "encode_document": "document"}
"""Methods that compute vectors, and the role of the texts."""
VIEWS = ("tolist", "numpy", "cpu")
"""Methods that return the same numbers in another form."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2}(?!\d))?")
_DAMAGED = re.compile("[\ud800-\udfff\ufffd]")


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Texts that the library made vectors of.

    Attributes:
        texts: the texts.
        role: whether the library was told that they are queries or documents.
        prompt_name: the name of their prompt, if one is chosen by name.
        prompt: the text of their prompt, if it is given.
    """

    texts: tuple[str, ...]
    role: Role | None = None
    prompt_name: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, kw_only=True)
class Computed:
    """The texts of an example, and the numbers that the library printed for them.

    Attributes:
        kind: `similarities` of embeddings, or `scores` of pairs by a cross-encoder.
        queries: the texts that are compared with the documents; the first texts of pairs.
        documents: the texts that the queries are compared with; the second texts of pairs.
        expected: the similarities `[queries, documents]`, or the scores `[pairs, n_labels]`.
        resolution: the place value of the last decimal that is printed.
    """

    kind: Kind
    queries: Encoded
    documents: Encoded
    expected: NDArray[np.float64]
    resolution: float


_MODEL = object()
"""Stands for a model with its own settings."""


def follow_code(code: str) -> Iterator[Computed]:
    """Yield the results whose numbers the code prints; none if it is not Python.

    Raises:
        RecursionError: the code is nested too deeply.
    """
    try:
        statements = ast.parse(code).body
    except (SyntaxError, ValueError, MemoryError):  # the last one stands for too much nesting
        return
    values: dict[str, Any] = {}
    lines = code.split("\n")
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=expression):
                values[name] = _evaluate(expression, values)
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=arguments)):
                computed = _evaluate(arguments[0], values) if len(arguments) == 1 else None
                printed = _comment_after(lines, statement)
                if isinstance(computed, Computed) and (result := _add_numbers(computed, printed)):
                    yield result
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                pass
            case _:
                values |= dict.fromkeys(_changed_names(statement))


def _changed_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names whose values a statement may change: all of them, as it is not followed."""
    return (node.id for node in ast.walk(statement) if isinstance(node, ast.Name))


def _evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return the value of an expression; None if it is not known."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values.get(name)
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_evaluate(element, values) for element in elements]
        case ast.Call(func=ast.Name(id=name)) if name in CLASSES:
            return _MODEL if _are_harmless(node) else None
        case ast.Call(func=ast.Attribute(value=owner, attr=name)):
            return _call(node, owner, name, values)
        case _:
            return None


def _call(node: ast.Call, owner: ast.expr, name: str, values: Mapping[str, Any]) -> Any:
    """Return the result of a method; None if it is not known."""
    if name in VIEWS and not node.args and not node.keywords:
        return _evaluate(owner, values)
    is_model = isinstance(owner, ast.Name) and values.get(owner.id, _MODEL) is _MODEL
    arguments = [_evaluate(argument, values) for argument in node.args]
    match name, arguments:
        case (("encode" | "encode_query" | "encode_document"), [texts]) if is_model:
            return _encode(texts, METHODS[name], node.keywords, values)
        case "similarity", [Encoded() as queries, Encoded() as documents] if is_model and not node.keywords:
            return _result("similarities", queries, documents)
        case "predict", [[*pairs]] if is_model and _are_harmless(node):
            if pairs and all(isinstance(pair, list) and len(pair) == 2 and _are_texts(pair) for pair in pairs):
                first, second = zip(*pairs, strict=True)
                return _result("scores", Encoded(texts=first), Encoded(texts=second))
    return None


def _encode(texts: Any, role: Role | None, keywords: list[ast.keyword], values: Mapping[str, Any]) -> Encoded | None:
    texts = [texts] if isinstance(texts, str) else texts
    given = {str(keyword.arg): _evaluate(keyword.value, values) for keyword in keywords if keyword.arg not in HARMLESS}
    is_known = given.keys() <= {"prompt_name", "prompt"} and all(_are_texts([value]) for value in given.values())
    return Encoded(texts=tuple(texts), role=role, **given) if _are_texts(texts) and is_known else None


def _are_texts(values: object) -> bool:
    """Return whether this is a list of texts, each of which is as its author wrote it."""
    is_list = isinstance(values, list) and bool(values)
    return is_list and all(isinstance(value, str) and not _DAMAGED.search(value) for value in values)  # type: ignore[attr-defined]


def _are_harmless(node: ast.Call) -> bool:
    return all(keyword.arg in HARMLESS for keyword in node.keywords)


def _result(kind: Kind, queries: Encoded, documents: Encoded) -> Computed:
    return Computed(kind=kind, queries=queries, documents=documents, expected=np.zeros((0, 0)), resolution=0)


def _comment_after(lines: list[str], statement: ast.stmt) -> str:
    """Return the list in the comment that follows a statement, from its first bracket to the one that closes it."""
    comments: list[str] = []
    for line in lines[statement.end_lineno :]:
        if not line.startswith("#"):
            break
        comments.append(line[1:])
    _, bracket, after = "\n".join(comments).partition("[")
    depth = len(bracket)
    for index, character in enumerate(after):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if depth == 0:
            return after[:index]
    return ""


def _add_numbers(computed: Computed, printed: str) -> Computed | None:
    """Return the result with the numbers that are printed; None if these are not all of its numbers."""
    numbers, n_rows = _NUMBER.findall(printed), len(computed.queries.texts)
    n_columns = len(computed.documents.texts) if computed.kind == "similarities" else len(numbers) // n_rows
    expected = np.array(numbers, np.float64)
    if not numbers or len(numbers) != n_rows * n_columns or not np.isfinite(expected).all():
        return None
    parts = [number.lower().partition("e") for number in numbers]
    n_decimals = max(len(mantissa.partition(".")[2]) for mantissa, _, _ in parts)
    resolution = 10.0 ** (max(int(exponent or 0) for _, _, exponent in parts) - n_decimals)
    return replace(computed, expected=expected.reshape(n_rows, n_columns), resolution=resolution)

"""Errors of a body: each points at what is to blame, once, also where a field may have one of several types."""

from typing import Any, Literal

import pytest
from pydantic import Field

from app.errors import InvalidRequest
from app.schemas.generate import GenerateBody
from app.schemas.shared.envelope import Body, Parameters, Strict
from app.schemas.shared.parsing import parse_body


class Range(Strict):
    """An object as one type of a field."""

    least: int
    most: int


class Mixed(Parameters):
    """Fields of several types."""

    size: int | Literal["all"] | None = None
    places: list[int | list[int]] | None = None
    limits: Range | list[Range] | None = None
    named: dict[str, int | str] = Field({})


class MixedBody(Body):
    """A body with such parameters."""

    parameters: Mixed = Mixed()


def faults(kind: type[Body], **parameters: Any) -> list[tuple[str, str]]:
    inputs = {"inputs": ["a"]} if kind is GenerateBody else {}
    with pytest.raises(InvalidRequest) as refusal:
        parse_body(kind, {**inputs, "parameters": parameters}, strict=True)
    return [(fault.pointer.removeprefix("/parameters"), fault.detail) for fault in refusal.value.faults]


@pytest.mark.parametrize(
    ("stop", "pointer", "detail"),
    [
        ([""], "/stop/0", "'' is refused: string should have at least 1 character"),
        ("", "/stop", "'' is refused: string should have at least 1 character"),
        (7, "/stop", "7 is refused: input should be a valid string; or input should be a valid list"),
        (["a", {}], "/stop/1", "{} is refused: input should be a valid string"),
        (["a", "b" * 300], "/stop/1", "string should have at most 256 characters"),
        (["a"] * 17, "/stop", "list should have at most 16 items"),
    ],
    ids=str,
)
def test_a_parameter_of_several_types_has_one_error(stop: object, pointer: str, detail: str) -> None:
    ((found, message),) = faults(GenerateBody, stop=stop)
    assert found == pointer
    assert detail in message


@pytest.mark.parametrize(
    ("parameters", "pointers"),
    [
        ({"size": "some"}, ["/size"]),
        ({"size": 1.5}, ["/size"]),
        ({"places": [1, [2, "x"], "y"]}, ["/places/1/1", "/places/2"]),
        ({"limits": {"least": 1}}, ["/limits/most"]),
        ({"limits": [{"least": 1, "most": 2}, {"least": "1", "most": 2}]}, ["/limits/1/least"]),
        ({"limits": 7}, ["/limits"]),
        ({"named": {"int": [], "ok": 1}}, ["/named/int"]),
        ({"size": "some", "places": 3}, ["/size", "/places"]),
    ],
    ids=str,
)
def test_pointers_have_no_names_of_types(parameters: dict[str, Any], pointers: list[str]) -> None:
    assert [pointer for pointer, _ in faults(MixedBody, **parameters)] == pointers


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        (None, "", "the body must be an object, and is null"),
        ([], "", "the body must be an object, and is a list"),
        (True, "", "the body must be an object, and is a boolean"),
        (0.5, "", "the body must be an object, and is a number"),
        ({"inputs": [], "parameters": None}, "/parameters", "null is refused: input should be an object"),
        ({"inputs": [], "parameters": [1]}, "/parameters", "[1] is refused: input should be an object"),
        ({"inputs": [], "model": False}, "/model", "false is refused: input should be a valid string"),
    ],
    ids=str,
)
def test_refusals_are_in_the_words_of_json(body: object, pointer: str, detail: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_body(GenerateBody, body, strict=True)
    assert [(fault.pointer, fault.detail) for fault in refusal.value.faults] == [(pointer, detail)]


def test_several_errors_of_one_type_are_all_named() -> None:
    assert [pointer for pointer, _ in faults(GenerateBody, stop=["", "a", ""], n=0)] == ["/n", "/stop/0", "/stop/2"]

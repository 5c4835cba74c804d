"""Query parameters as the parameters of a body: scalars, lists and objects, for every task."""

from typing import Any

import pytest

from app.errors import InvalidRequest
from app.schemas import attend, denoise, encode, fill_mask, generate
from app.schemas.shared.envelope import Body
from app.schemas.shared.parsing import parse_body
from app.schemas.shared.query import query_parameters


def read(kind: type[Body], *pairs: tuple[str, str]) -> Any:
    values = {"inputs": ["x"], "parameters": query_parameters(kind, pairs)}
    body: Any = parse_body(kind, values, strict=False)
    return body.parameters


def test_lists_are_repeated_names_or_json() -> None:
    for pairs in ([("layers", "0"), ("layers", "2")], [("layers", "[0, 2]")], [("layers", "[0]"), ("layers", "2")]):
        assert read(attend.SCHEMA.body, *pairs).layers == [0, 2]
    assert read(attend.SCHEMA.body, ("layers", "1")).layers == [1]
    targets = read(fill_mask.SCHEMA.body, ("targets", "dog"), ("targets", "cat"), ("top_k", "3"))
    assert (targets.targets, targets.top_k) == (["dog", "cat"], 3)
    body = generate.SCHEMA.body
    assert read(body, ("stop", "."), ("stop", "a,b")).stop == [".", "a,b"]
    assert read(body, ("stop", "."), ("temperature", "0.5")).stop == ["."]
    assert read(body, ("stop", '["["]')).stop == ["["]


def test_scalars_and_members_of_objects_are_read() -> None:
    parameters = read(encode.SCHEMA.body, ("sample", "true"), ("seed", "3"), ("fit", "cover"))
    assert (parameters.sample, parameters.seed, parameters.fit) == (True, 3, "cover")
    noise = read(denoise.SCHEMA.body, ("noise_level", "0.5"), ("noise_type", "gaussian")).noise
    assert (noise.type, noise.level) == ("gaussian", 0.5)
    assert read(denoise.SCHEMA.body).noise is None


@pytest.mark.parametrize(
    ("kind", "pairs", "pointer"),
    [
        (attend.SCHEMA.body, [("layers", "[0")], "/parameters/layers"),
        (attend.SCHEMA.body, [("layers", "0"), ("layers", "x")], "/parameters/layers/1"),
        (generate.SCHEMA.body, [("n", "1"), ("n", "2")], "/parameters/n"),
        (denoise.SCHEMA.body, [("noise_type", "masking"), ("noise_type", "masking")], "/parameters/noise/type"),
        (denoise.SCHEMA.body, [("noise_kind", "masking")], "/parameters/noise_kind"),
        (denoise.SCHEMA.body, [("noise", "[1]")], "/parameters/noise"),
    ],
)
def test_an_error_names_the_parameter(kind: type[Body], pairs: list[tuple[str, str]], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        read(kind, *pairs)
    assert error.value.faults[0].pointer == pointer

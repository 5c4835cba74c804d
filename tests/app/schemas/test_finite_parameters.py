"""Parameters of every task: numbers are finite, and seeds are integers that JavaScript can hold."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from app.errors import InvalidRequest
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.envelope import SEED_BITS, Body, random_seed
from app.schemas.shared.parsing import parse_body


def parameters(kind: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the types of every field, in nested models as well."""
    for name, field in kind.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        nested = [one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)]
        yield (*path, name), kinds
        for one in nested:
            yield from parameters(one, (*path, name))


BODIES = [schema.body for endpoint in task_endpoints() for schema in endpoint.schemas]
FLOATS = [(body, path) for body in BODIES for path, kinds in parameters(body) if float in kinds]
SEEDED = [body for body in BODIES if any(path == ("parameters", "seed") for path, _ in parameters(body))]


def parse(kind: type[Body], path: tuple[str, ...], value: Any, *, strict: bool) -> Body:
    for name in reversed(path):
        value = {name: value}
    inputs: dict[str, Any] = {"inputs": []} if "inputs" in kind.model_fields else {}
    return parse_body(kind, {**inputs, **value}, strict=strict)


def test_there_are_such_parameters() -> None:
    assert {path[-1] for _, path in FLOATS} >= {"threshold", "percentile", "temperature", "level", "top_p"}
    assert len(SEEDED) >= 5


@pytest.mark.parametrize(("kind", "path"), FLOATS)
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), "inf", "nan", "1e999"])
def test_a_number_that_is_not_finite_is_refused(kind: type[Body], path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse(kind, path, value, strict=not isinstance(value, str))
    assert "/" + "/".join(path) in {fault.pointer for fault in error.value.faults}


@pytest.mark.parametrize("kind", SEEDED)
def test_seeds_have_at_most_53_bits(kind: type[Body]) -> None:
    for seed in (0, 2**53 - 1):
        body: Any = parse(kind, ("parameters", "seed"), seed, strict=True)
        assert body.parameters.seed == seed
    for seed in (-1, 2**53, 2**62):
        with pytest.raises(InvalidRequest, match="/parameters/seed"):
            parse(kind, ("parameters", "seed"), seed, strict=True)


def test_random_seeds_survive_a_double() -> None:
    assert all(seed < 2**SEED_BITS and int(float(seed)) == seed for seed in (random_seed() for _ in range(1000)))

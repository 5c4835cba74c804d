"""The parameters of `/fit` as options of `manifold fit`."""

import pytest
from pydantic import ValidationError

from app.schemas.fit import OPTIONS, FitParameters
from training.fit.command import fit


def test_parameters_become_options() -> None:
    parameters = FitParameters(
        name="mine", kind="series", time="at", columns="a,b,c", ignore="--x", false_alarms=0.02, replace=True
    )
    options = parameters.options(0.5)
    assert options[0] == "--minutes=0.5"
    assert {"--as=series", "--time=at", "--columns=a,b,c", "--ignore=--x", "--false-alarms=0.02"} <= set(options)
    assert {"--replace", "--seed=0"} <= set(options)
    assert not [option for option in options if option.startswith(("--name", "--dry-run", "--key"))]


def test_every_parameter_is_an_option_of_the_command() -> None:
    known = {option for parameter in fit.params for option in parameter.opts}
    for name in FitParameters.model_fields:
        assert OPTIONS.get(name, f"--{name.replace('_', '-')}") in known, name


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "a\\b", "a b", "é", "a\n", "a\0", "x" * 101])
def test_names_are_those_of_plain_folders(name: str) -> None:
    with pytest.raises(ValidationError, match="the name of a model must have"):
        FitParameters(name=name)


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "x" * 100, "-a", "_"])
def test_plain_names_are_taken(name: str) -> None:
    assert FitParameters(name=name).name == name

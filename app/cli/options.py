"""The options of the command line, made from the settings, and the settings read from the options."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.cli.errors import WrongUsage, did_you_mean
from app.cli.explain import explain
from app.keys.variable import VariableOnly
from app.settings import ENV_PREFIX, Pairs, Settings

HEADINGS = {
    "host": "Where to listen",
    "keys_file": "Access",
    "weights_dir": "Models",
    "max_body_bytes": "Limits",
    "default_timeout_ms": "Timeouts",
    "log_level": "Logging",
}
"""Headings of the options; each stands above the setting of that name and those declared after it."""
_KUBERNETES_NAME_PATTERN = re.compile(r"(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP|SCTP))\w*")
"""Names, without the prefix, of the variables that Kubernetes sets in the pods beside a service named manifold."""


@cache
def options_by_heading() -> dict[str, list[click.Parameter]]:
    """Return an option for every setting that may be one; its text and default come from the setting."""
    groups: dict[str, list[click.Parameter]] = {}
    heading = ""
    for name, field in Settings.model_fields.items():
        heading = HEADINGS.get(name, heading)
        if VariableOnly not in field.metadata:
            groups.setdefault(heading, []).append(_option(name, field))
    return groups


def _option(name: str, field: FieldInfo) -> click.Option:
    default = "" if field.default in (PydanticUndefined, (), {}) else f"  [default: {field.default}]"
    return click.Option(
        [option_name(name), name],
        multiple=get_origin(field.annotation) in (dict, tuple),
        metavar=_metavar(field),
        help=f"{field.description}{default}",
    )


def _metavar(field: FieldInfo) -> str:
    for pairs in field.metadata:
        if isinstance(pairs, Pairs):
            return pairs.form.partition(" ")[0]
    if get_origin(field.annotation) is tuple:
        return "LIST"
    kinds: dict[Any, str] = {int: "NUMBER", Path: "FOLDER", Path | None: "FILE"}
    return kinds.get(field.annotation, "TEXT")


def option_name(setting: str) -> str:
    """Return the option of a setting: `--max-items`."""
    return f"--{setting.replace('_', '-')}"


def variable_name(setting: str) -> str:
    """Return the environment variable of a setting: `MANIFOLD_MAX_ITEMS`."""
    return f"{ENV_PREFIX}{setting.upper()}"


def label_of(setting: str, options: Mapping[str, object]) -> str:
    """Return the name of a setting as the user wrote it: its variable if that is what sets it, else its option."""
    is_variable = setting not in options and variable_name(setting) in map(str.upper, os.environ)
    return variable_name(setting) if is_variable else option_name(setting)


def read_settings(options: Mapping[str, Any], label: Callable[[str], str] | None = None) -> Settings:
    """Return the settings of the environment and of the given options; an option overrides a variable.

    Raises:
        WrongUsage: settings have wrong values, or values that contradict each other; the error names all of them.
    """
    try:
        return Settings(**options)
    except ValidationError as error:
        raise WrongUsage(explain(error, label or partial(label_of, options=options))) from None


def unknown_variables() -> Iterator[str]:
    """Yield a sentence for each variable of the environment that looks like a setting and is none."""
    from app.cli.tasks import CLIENT_VARIABLES

    known = [name.upper() for name in Settings.model_fields]
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(ENV_PREFIX)
        is_ours = variable.upper().startswith(ENV_PREFIX) and not _KUBERNETES_NAME_PATTERN.fullmatch(name)
        if is_ours and name not in known and variable.upper() not in CLIENT_VARIABLES:
            yield f"{variable} is not a setting and has no effect.{did_you_mean(name, known, ENV_PREFIX)}"

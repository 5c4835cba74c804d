"""The options of the command line, made from the settings, and the settings read from options, variables and a file."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.cli.errors import WrongUsage, did_you_mean
from app.cli.settings_errors import explain
from app.config_file import CONFIG_SETTING, ConfigFileError, find_config_file, read_config_file
from app.keys.variable import VariableOnly
from app.setting_types import Pairs, Quantity
from app.settings import ENV_PREFIX, Settings

HEADINGS = {
    "config": "Settings file",
    "host": "Where to listen",
    "keys_file": "Access",
    "weights_dir": "Models",
    "max_body_bytes": "Limits",
    "default_timeout_ms": "Timeouts",
    "log_level": "Logging and tracing",
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
    default = "" if field.default in (PydanticUndefined, None, (), {}) else f"  [default: {field.default}]"
    return click.Option(
        [option_name(name), name],
        multiple=get_origin(field.annotation) in (dict, tuple),
        metavar=_metavar(field),
        help=f"{field.description}{default}",
    )


def _metavar(field: FieldInfo) -> str:
    for form in field.metadata:
        if isinstance(form, Pairs):
            return form.form.partition(" ")[0]
        if isinstance(form, Quantity):
            return form.kind.upper()
    if get_origin(field.annotation) is tuple:
        return "LIST"
    kinds: dict[Any, str] = {int: "NUMBER", bool: "true|false", Path: "FOLDER", Path | None: "FILE"}
    return kinds.get(field.annotation, "TEXT")


def option_name(setting: str) -> str:
    """Return the option of a setting: `--max-items`."""
    return f"--{setting.replace('_', '-')}"


def variable_name(setting: str) -> str:
    """Return the environment variable of a setting: `MANIFOLD_MAX_ITEMS`."""
    return f"{ENV_PREFIX}{setting.upper()}"


def label_of(setting: str, options: Mapping[str, object]) -> str:
    """Return the name of a setting as the user wrote it: its option, its variable, or its key in the file of settings.

    The one that sets it is returned, and the option if none does.
    """
    if setting in options:
        return option_name(setting)
    if variable_name(setting) in map(str.upper, os.environ):
        return variable_name(setting)
    file = config_file(options)
    return option_name(setting) if file is None or setting not in _keys_of(file) else f"{setting} in {file}"


def config_file(options: Mapping[str, object]) -> Path | None:
    """Return the file of settings that an option or a variable names, if any."""
    variables = {name.upper(): value for name, value in os.environ.items()}
    return find_config_file({CONFIG_SETTING: variables.get(variable_name(CONFIG_SETTING)), **options})


def _keys_of(file: Path) -> Collection[str]:
    """Return the keys of a file of settings; none if it cannot be read, which is reported as such."""
    try:
        return read_config_file(file).keys()
    except ConfigFileError:
        return ()


def read_settings(options: Mapping[str, Any], label: Callable[[str], str] | None = None) -> Settings:
    """Return the settings of the given options, the environment and the file of settings; the first one counts.

    Raises:
        WrongUsage: settings have wrong values, or values that contradict each other; the error names all of them.
    """
    try:
        return Settings(**options)
    except ValidationError as error:
        label = label or partial(label_of, options=options)
        raise WrongUsage(explain(error, label, config_file(options))) from None


def unknown_variables() -> Iterator[str]:
    """Yield a sentence for each variable of the environment that looks like a setting and is none."""
    from app.cli.tasks import CLIENT_VARIABLES

    known = [name.upper() for name in Settings.model_fields]
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(ENV_PREFIX)
        is_ours = variable.upper().startswith(ENV_PREFIX) and not _KUBERNETES_NAME_PATTERN.fullmatch(name)
        if is_ours and name not in known and variable.upper() not in CLIENT_VARIABLES:
            yield f"{variable} is not a setting and has no effect.{did_you_mean(name, known, ENV_PREFIX)}"

"""Turns errors of pydantic about settings into plain sentences."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from app.cli.errors import did_you_mean, in_words
from app.config_file import CONFIG_SETTING
from app.setting_types import Pairs, quote
from app.settings import Settings

KUBERNETES_LINK = "tcp://"
"""Beginning of the values of the variables that Kubernetes sets for a service."""
KUBERNETES_HINT = (
    " Kubernetes sets this variable in every pod beside a service named manifold: "
    "give the service another name, or set enableServiceLinks: false."
)


def explain(error: ValidationError, label: Callable[[str], str], file: Path | None = None) -> list[str]:
    """Return one or two plain sentences for each wrong setting.

    `label` returns the name of a setting as the user wrote it: an option, a variable of the environment, or a key of
    the file of settings. Names that are no setting can only be keys of that `file`.
    """
    consequence = "default_factory_not_called"  # the setting that it depends on is wrong and has its own error
    sentences = [_explain_one(details, label, file) for details in error.errors() if details["type"] != consequence]
    return list(dict.fromkeys(sentences))  # a value that fits no part of a union has an error for each part


def _explain_one(details: ErrorDetails, label: Callable[[str], str], file: Path | None) -> str:
    name, *inner = details["loc"]
    field, context = Settings.model_fields.get(str(name)), details.get("ctx", {})
    if field is None:
        unknown = f"{file} has the key {quote(name)}, but there" if file else "There"
        named = "of that name" if file else f"named {name}"
        return (
            f"{unknown} is no setting {named}.{did_you_mean(str(name), set(Settings.model_fields) - {CONFIG_SETTING})}"
        )
    named = label(str(name))
    if details["type"] == "wrong_setting":
        return f"{named} {context['predicate']}."
    if details["type"] == "contradiction":
        other, least, value, reason = (context[key] for key in ("other", "least", "value", "reason"))
        return f"{label(other)} is {least}, more than {named}, which is {value}: {reason}."
    value, is_item = details["input"], bool(inner) and get_origin(field.annotation) in (dict, tuple)
    if is_item and get_origin(field.annotation) is dict:
        subject = f"{named} gives {quote(inner[0])} the value {quote(value)}"
    else:
        subject = f"{named} {'has' if is_item else 'is'} {quote(value)}"
    hint = did_you_mean(str(value), choices_of(field))
    if named.startswith("MANIFOLD_") and str(value).startswith(KUBERNETES_LINK):
        hint = KUBERNETES_HINT
    allowed = _allowed(field, is_item=is_item, in_file=named.endswith(f" in {file}"))
    return f"{subject}; it must be {allowed}.{hint}"


def choices_of(field: FieldInfo) -> list[str]:
    """Return the words that a setting, or each value of a mapping, is limited to; none where it is not limited."""
    annotation = get_args(field.annotation)[1] if get_origin(field.annotation) is dict else field.annotation
    return _literals(annotation)


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [word for part in get_args(annotation) for word in _literals(part)]


def _allowed(field: FieldInfo, *, is_item: bool, in_file: bool) -> str:
    """Describe the values that a setting may have; where `is_item`, those of an item of a list or a mapping."""
    if get_origin(field.annotation) is dict and not is_item:
        form = next(pairs.form for pairs in field.metadata if isinstance(pairs, Pairs))
        return f"{'a table, or ' if in_file else ''}{form}, several separated by commas, or a JSON object"
    if choices := choices_of(field):
        return in_words(choices)
    if field.annotation is int:
        return _allowed_numbers(field)
    if field.annotation is bool:
        return "true or false"
    if Path in (field.annotation, *get_args(field.annotation)):
        return "the path of a folder" if field.annotation is Path else "the path of a file"
    if get_origin(field.annotation) is tuple and not is_item:
        return f"{'a list of names, or ' if in_file else ''}names separated by commas"
    return "text"


def _allowed_numbers(field: FieldInfo) -> str:
    bounds = {name: value for bound in field.metadata for name, value in asdict(bound).items()}
    least = bounds["gt"] + 1 if "gt" in bounds else bounds["ge"]
    return f"a whole number from {least} to {bounds['le']}" if "le" in bounds else f"a whole number of {least} or more"

"""Keys in the environment: a setting that is never an option, and that no error repeats."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator, PlainValidator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from app.keys.api_key import KEY_PATTERN, NAME_PATTERN, ApiKey, InvalidKeys, Role, format_digest, parse_digest

VARIABLE_FORM = "NAME=ROLE:sha256:HASH"
"""Form of one key in the environment."""
_ENTRY_SEPARATOR = re.compile(r"[\s,]+")


def to_entry(key: ApiKey) -> str:
    """Return a key in `VARIABLE_FORM`."""
    return f"{key.name}={key.role}:{format_digest(key.digest)}"


def parse_variable(text: str) -> tuple[ApiKey, ...]:
    """Parse the keys in the environment: `NAME=ROLE:sha256:HASH`, several separated by commas or white space.

    Only hashes are taken, so that the environment, which other programs of the user can read, holds no secret.

    Raises:
        InvalidKeys: there is no key, or an entry has another form. The detail is what follows the name of the variable
            in a sentence; it names the number of the entry, and does not repeat it.
    """
    keys = tuple(_parse_entries(text))
    if not keys:
        raise InvalidKeys(f"is empty; it must be {VARIABLE_FORM}, several separated by commas, or not set at all")
    return keys


def _parse_entries(text: str) -> Iterator[ApiKey]:
    entries = [entry for entry in _ENTRY_SEPARATOR.split(text) if entry]
    for number, entry in enumerate(entries, 1):
        name, _, rest = entry.partition("=")
        role, _, hashed = rest.partition(":")
        digest = parse_digest(hashed)
        if KEY_PATTERN.search(entry.encode()):
            raise InvalidKeys(
                f"holds a key itself in entry {number}; it must hold the hash, as `manifold keys new` prints it. "
                "Make another key: variables are easily read"
            )
        if not NAME_PATTERN.fullmatch(name) or role not in set(Role) or digest is None:
            raise InvalidKeys(
                f"has a wrong entry {number}; it must be {VARIABLE_FORM}, as `manifold keys new` prints it"
            )
        yield ApiKey(name=name, role=Role(role), digest=digest)


@dataclass(frozen=True, slots=True)
class _Concealed:
    """A value that errors do not repeat, because somebody may have put a key there."""

    value: object = field(repr=False)


def _validate(given: _Concealed) -> tuple[ApiKey, ...]:
    if isinstance(given.value, tuple) and all(isinstance(key, ApiKey) for key in given.value):
        return given.value
    try:
        return parse_variable(str(given.value))
    except InvalidKeys as error:
        raise PydanticCustomError("wrong_setting", "{predicate}", {"predicate": error.detail}) from None


VariableOnly = object()
"""Marks a setting that only a variable of the environment may set: every user of a machine sees the options."""
KeysVariable = Annotated[
    tuple[ApiKey, ...], NoDecode, VariableOnly, PlainValidator(_validate), BeforeValidator(_Concealed)
]
"""Type of the setting that holds keys."""

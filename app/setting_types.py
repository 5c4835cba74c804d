"""The forms in which settings are written as text: lists, mappings, durations and sizes."""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from pydantic_settings import NoDecode

MAX_QUOTED = 100
"""Maximum number of characters of a wrong value that an error repeats."""
_PAIR_SEPARATOR = re.compile(r",(?=\s*[\w.-]+(?:/[\w.-]+)?\s*=)", re.ASCII)
"""A comma before another NAME=VALUE. Other commas belong to the value, because names of folders may contain them."""
_ORIGIN_PATTERN = re.compile(r"[a-z][a-z0-9+.-]*://([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII)
_HOST_PATTERN = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
_QUANTITY_PATTERN = re.compile(r"\s*(?P<number>\d{1,20}(\.\d{1,10})?)\s*(?P<unit>[a-zA-Z]{0,3})\s*", re.ASCII)
MAX_QUANTITY = 2**63 - 1
"""Maximum of a duration in seconds and of a size in bytes."""


def quote(value: object) -> str:
    """Return a value as error messages show it: in quotes if it is text, on one line, and not too long."""
    text = repr(value)
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 1]}…"


def wrong(predicate: str) -> PydanticCustomError:
    """Return the error of a wrong value; the name of the setting and `predicate` make a sentence."""
    return PydanticCustomError("wrong_setting", "{predicate}", {"predicate": predicate})


@dataclass(frozen=True, slots=True)
class Pairs:
    """Annotates a mapping that is written as NAME=VALUE pairs separated by commas, or as a JSON object.

    `form` shows how one pair is written, such as "NAME=DTYPE". A sequence of such texts is accepted as well.
    """

    form: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that parses texts before it validates the mapping."""
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def _read(self, value: object) -> object:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            return value
        mapping: dict[str, object] = {}
        for text in texts:
            for name, item in self._parse(text):
                if name in mapping:
                    raise wrong(f"names {quote(name)} twice")
                mapping[name] = item
        return mapping

    def _parse(self, text: str) -> Iterable[tuple[str, object]]:
        error = wrong(f"is {quote(text)}; it must be {self.form}, several separated by commas, or a JSON object")
        if text.lstrip().startswith("{"):
            try:
                content: dict[str, object] = json.loads(text)
            except (ValueError, RecursionError):
                raise error from None
            return content.items()
        text = text.strip(" ,")
        pairs = [part.partition("=") for part in _PAIR_SEPARATOR.split(text)] if text else []
        named = [(name.strip(), value.strip()) for name, _, value in pairs]
        if not all(name and value for name, value in named):
            raise error
        return named


def _split(value: object) -> object:
    """Split text at its commas. A sequence of such texts is accepted as well."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    origins = tuple(origin.lower() for origin in origins)
    for origin in origins:
        if origin != "*" and not _ORIGIN_PATTERN.fullmatch(origin):
            raise wrong(f"has {quote(origin)}; each origin must be scheme://host or scheme://host:port, or *")
    return origins


def _check_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    hosts = tuple(host.lower() for host in hosts)
    for host in hosts:
        if not _HOST_PATTERN.fullmatch(host):
            raise wrong(f"has {quote(host)}; each must be a host name such as example.org, without scheme or port")
    return hosts


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise wrong(f"has {quote(network)}; each must be an IP address or a network such as 10.0.0.0/8") from None
    return networks


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[CommaSeparated, AfterValidator(_check_origins)]
"""Origins of web pages, in lower case, or *."""
HostNames = Annotated[CommaSeparated, AfterValidator(_check_hosts)]
"""Names of hosts, in lower case."""
Networks = Annotated[CommaSeparated, AfterValidator(_check_networks)]
"""IP addresses and networks."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Annotates a whole number that is written with a unit, such as 10m. A number without a unit is accepted as well.

    Attributes:
        kind: what the number measures, such as "duration".
        units: how much each unit is, by its name; the smallest is 1.
        example: values to show to people.
    """

    kind: str
    units: Mapping[str, int]
    example: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that parses texts before it validates the number."""
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def _read(self, value: object) -> object:
        if value == "none":
            return 0
        is_number = isinstance(value, int) and not isinstance(value, bool)
        match = _QUANTITY_PATTERN.fullmatch(str(value)) if is_number or isinstance(value, str) else None
        units = {name.lower(): factor for name, factor in self.units.items()} | {"": 1}
        if match is not None and match["unit"].lower() in units:
            number = Decimal(match["number"]) * units[match["unit"].lower()]
            if number == int(number) <= MAX_QUANTITY:
                return int(number)
        raise wrong(f"is {quote(value)}; it must be a {self.kind} such as {self.example}, or 0 for none")


Duration = Annotated[int, Quantity("duration", {"s": 1, "m": 60, "h": 3600, "d": 86_400}, "30s, 10m or 2h")]
"""A number of seconds."""
Size = Annotated[
    int,
    Quantity("size", {"B": 1, **{f"{p}iB": 2 ** (10 * n) for n, p in enumerate("KMGT", 1)}}, "512MiB or 4GiB"),
]
"""A number of bytes."""

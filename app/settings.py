"""The settings of the server, read once from the environment into one frozen object.

Every setting is the environment variable `MANIFOLD_<NAME>` and the option `--<name>` of `manifold serve`.
"""

import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, PositiveInt, ValidationInfo, field_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.keys.variable import VARIABLE_FORM, KeysVariable
from models.precision import Precision, RequestedPrecision

ENV_PREFIX = "MANIFOLD_"
N_CORES = os.cpu_count() or 1
MAX_WORKERS = 4
"""Maximum default of `workers`. Several forward passes of one thread each serve more requests than one of several
threads, which wait for each other (decision 0001)."""
WORKERS_PER_GPU = 2
"""Number of workers of a model on each GPU: while one waits for the GPU, the other prepares the next batch."""

MAX_QUOTED = 100
"""Maximum number of characters of a wrong value that an error repeats."""
_DEVICE_PATTERN = re.compile(r"cpu|cuda(:\d+)?(,cuda:\d+)*", re.ASCII)
_ORIGIN_PATTERN = re.compile(r"[a-z][a-z0-9+.-]*://([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII)
_HOST_PATTERN = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
_PAIR_SEPARATOR = re.compile(r",(?=\s*[\w.-]+\s*=)", re.ASCII)
"""A comma before another NAME=VALUE. Other commas belong to the value, because names of folders may contain them."""


def quote(value: object) -> str:
    """Return a value as error messages show it: in quotes if it is text, on one line, and not too long."""
    text = repr(value)
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 1]}…"


def _wrong(predicate: str) -> PydanticCustomError:
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
                    raise _wrong(f"names {quote(name)} twice")
                mapping[name] = item
        return mapping

    def _parse(self, text: str) -> Iterable[tuple[str, object]]:
        error = _wrong(f"is {quote(text)}; it must be {self.form}, several separated by commas, or a JSON object")
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


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def _by_device(on_cpu: int, on_gpu: int) -> Callable[[dict[str, Any]], int]:
    """Return the default factory of a setting that depends on `device`, which is declared before it."""
    return lambda settings: on_cpu if settings.get("device", "cpu") == "cpu" else on_gpu


_LOWER_BOUNDS = {
    "max_queue_items": ("max_items", "the largest request could never be accepted"),
    "max_timeout_ms": ("default_timeout_ms", "a request that sets no time limit would exceed it"),
}
"""For each setting that must not be less than another, declared before it: that other setting, and the reason."""


class Settings(BaseSettings):
    """The address, the models, the limits and the logs of the server."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid", validate_default=True)

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for all network interfaces.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose a free one.")
    cors_origins: CommaSeparated = Field(
        (),
        description="Origins of web pages that may call this server from a browser, separated by commas; none where "
        "empty.",
    )
    allowed_hosts: CommaSeparated = Field(
        (),
        description="Host names under which browsers may reach this server, separated by commas, besides localhost and "
        "IP addresses. A request that a web page makes under another name changes nothing.",
    )

    keys_file: Path | None = Field(
        None,
        description="File with the hashes of the API keys, which `manifold keys` writes. Where it is given, every "
        "request needs a key, but those for health and documentation. A change takes effect within a second.",
    )
    api_keys: KeysVariable = Field(
        (),
        exclude=True,
        repr=False,
        description=f"More API keys, as {VARIABLE_FORM}, several separated by commas; `manifold keys new` prints it. A "
        "variable of the environment only, and no option.",
    )
    trusted_proxies: CommaSeparated = Field(
        (),
        description="Addresses or networks of the proxies in front of this server, as 10.0.0.0/8, separated by commas. "
        "From these alone, the headers X-Forwarded-For and Forwarded tell the address of the client.",
    )
    requests_per_minute: int = Field(
        0, ge=0, description="Where there are no API keys, most requests of one address in a minute; 0 for no limit."
    )
    max_concurrent: int = Field(
        0, ge=0, description="Where there are no API keys, most requests of one address at a time; 0 for no limit."
    )

    weights_dir: Path = Field(
        Path(__file__).parents[1] / "weights", description="Folder of checkpoints, each in KIND/FAMILY/NAME below it."
    )
    models: CommaSeparated = Field(
        (),
        description="Names of the checkpoints to load, separated by commas; all where empty. Those of the setting "
        "`model` are loaded in any case.",
    )
    model: Annotated[dict[str, str], NoDecode, Pairs("NAME=FOLDER or NAME=ORG/NAME")] = Field(
        {},
        description="More checkpoints to load, as NAME=FOLDER, or NAME=ORG/NAME for one of the hub that was pulled; "
        "several are separated by commas.",
    )
    default_models: Annotated[dict[str, str], NoDecode, Pairs("TASK=NAME")] = Field(
        {},
        description="Model of a task for requests that name none, as encode=vanilla-ae-mnist; several are separated by "
        "commas. Other tasks go to the first model of the setting `model` that serves them, else to the one that "
        "declares itself the best.",
    )
    device: str = Field(
        "cpu", description="Where the models run: cpu, cuda, or GPUs such as cuda:0,cuda:1, each with every model."
    )
    dtype: RequestedPrecision = Field(
        "auto",
        description="Data type the models compute in: float32, bfloat16, float16, int8 (Transformers on a CPU), or "
        "auto, which is float32, but bfloat16 for Transformers on GPUs.",
    )
    dtypes: Annotated[dict[str, Precision], NoDecode, Pairs("NAME=DTYPE")] = Field(
        {},
        description="Data type of single models, as NAME=DTYPE, instead of the general one; several are separated by "
        "commas.",
    )
    workers: PositiveInt = Field(
        min(MAX_WORKERS, N_CORES),
        description="On a CPU, number of forward passes of one model at the same time; they share its weights.",
    )
    torch_threads: PositiveInt = Field(
        max(1, N_CORES // MAX_WORKERS), description="On a CPU, number of threads of one forward pass."
    )

    max_body_bytes: PositiveInt = Field(32 * 2**20, description="Longest request body, in bytes.")
    max_items: PositiveInt = Field(1024, description="Most items in one request.")
    max_pixels: PositiveInt = Field(2**26, description="Most pixels in one request, over all its encoded images.")
    max_queue_items: PositiveInt = Field(
        4096, description="Most items that may wait for one model; requests beyond it are refused with status 429."
    )
    max_batch_elements: PositiveInt = Field(
        default_factory=_by_device(2**18, 2**24),
        description="Largest batch of an autoencoder, in elements over all its items; 262144 on a CPU and 16777216 on "
        "GPUs where not set.",
    )
    max_batch_tokens: PositiveInt = Field(
        default_factory=_by_device(512, 2**16),
        description="Largest batch of a Transformer, in tokens over all its texts; 512 on a CPU and 65536 on GPUs "
        "where not set.",
    )
    max_running_sequences: PositiveInt = Field(64, description="Most texts that one model generates at the same time.")
    max_prefix_tokens: int = Field(
        2048,
        ge=0,
        description="Most tokens of earlier prompts that one model remembers, to save work where prompts begin alike.",
    )
    max_characters: PositiveInt = Field(2**20, description="Longest text, in characters.")
    inline_bytes: PositiveInt = Field(
        2**16,
        description="Longest request body, in bytes, that is decoded on the event loop; longer ones are decoded on "
        "another thread.",
    )

    default_timeout_ms: PositiveInt = Field(
        30_000, description="Time limit of a request that sets none, in milliseconds."
    )
    max_timeout_ms: PositiveInt = Field(
        600_000, description="Longest time limit that a request may set, in milliseconds."
    )
    restart_max_wait_ms: PositiveInt = Field(
        10_000, description="Longest pause before a worker that died is restarted, in milliseconds."
    )
    probe_every_ms: PositiveInt = Field(
        10_000,
        description="Time between trial forward passes of an idle worker, in milliseconds; a model whose worker fails "
        "one is not ready.",
    )
    stuck_after_ms: PositiveInt = Field(
        60_000, description="Longest forward pass, in milliseconds; a worker that takes longer is replaced."
    )
    drain_ms: int = Field(
        500,
        ge=0,
        description="Time that the port stays open after SIGTERM while the server says it is not ready, in "
        "milliseconds.",
    )
    shutdown_timeout_s: PositiveInt = Field(
        30, description="Time that running requests have to finish after SIGTERM, in seconds."
    )
    keep_alive_s: PositiveInt = Field(
        75,
        description="Time after which a connection is closed that brings no request, or whose client does not read, "
        "in seconds.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages that are logged: debug, info, warning or error."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="Format of the log: json, one object a line, or text, for people."
    )

    def devices(self, *, generates: bool) -> list[str]:
        """Return the device of each worker of a model.

        A GPU has one worker of a model that generates texts, because the steps of two would only take turns.
        """
        if self.device == "cpu":
            return ["cpu"] * self.workers
        named = self.device.split(",")
        return [*dict.fromkeys(named)] if generates else named * WORKERS_PER_GPU

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not _DEVICE_PATTERN.fullmatch(device):
            raise _wrong(f"is {quote(device)}; it must be cpu, cuda, or GPUs such as cuda:1 or cuda:0,cuda:1")
        return device

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(origin.lower() for origin in origins)
        for origin in origins:
            if origin != "*" and not _ORIGIN_PATTERN.fullmatch(origin):
                raise _wrong(f"has {quote(origin)}; each origin must be scheme://host or scheme://host:port, or *")
        return origins

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        hosts = tuple(host.lower() for host in hosts)
        for host in hosts:
            if not _HOST_PATTERN.fullmatch(host):
                raise _wrong(f"has {quote(host)}; each must be a host name such as example.org, without scheme or port")
        return hosts

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise _wrong(
                    f"has {quote(proxy)}; each must be an IP address or a network such as 10.0.0.0/8"
                ) from None
        return proxies

    @field_validator(*_LOWER_BOUNDS)
    @classmethod
    def _check_lower_bound(cls, value: int, info: ValidationInfo) -> int:
        name = info.field_name or ""
        other, reason = _LOWER_BOUNDS[name]
        least = info.data.get(other, 0)
        if least > value:
            raise PydanticCustomError(
                "contradiction",
                "{other} is {least}, more than {name}, {value}: {reason}",
                {"other": other, "least": least, "name": name, "value": value, "reason": reason},
            )
        return value

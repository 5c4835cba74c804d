"""The settings of the server, read from the environment and a file into one frozen object.

Every setting is the option `--<name>` of `manifold serve`, the environment variable `MANIFOLD_<NAME>`, and a key of the
file that the setting `config` names. The first of these that is given counts.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from app.available_memory import available_bytes, default_memory_limit
from app.config_file import ConfigFileError, ConfigFileSource, read_config_file
from app.keys.variable import VARIABLE_FORM, KeysVariable
from app.setting_types import CommaSeparated, Duration, HostNames, Networks, Origins, Pairs, Size, quote, wrong
from models.precision import Precision, RequestedPrecision

ENV_PREFIX = "MANIFOLD_"
N_CORES = os.cpu_count() or 1
MAX_WORKERS = 4
"""Maximum default of `workers`. Several forward passes of one thread each serve more requests than one of several
threads, which wait for each other (decision 0001)."""
WORKERS_PER_GPU = 2
"""Number of workers of a model on each GPU: while one waits for the GPU, the other prepares the next batch."""

_DEVICE_PATTERN = re.compile(r"cpu|cuda(:\d+)?(,cuda:\d+)*", re.ASCII)


def _by_device(on_cpu: int, on_gpu: int) -> Callable[[dict[str, Any]], int]:
    """Return the default factory of a setting that depends on `device`, which is declared before it."""
    return lambda settings: on_cpu if settings.get("device", "cpu") == "cpu" else on_gpu


_LOWER_BOUNDS = {
    "max_queue_items": ("max_items", "the largest request could never be accepted"),
    "max_timeout_ms": ("default_timeout_ms", "a request that sets no time limit would exceed it"),
}
"""For each setting that must not be less than another, declared before it: that other setting, and the reason."""


RELOADABLE = frozenset(
    {
        *("cors_origins", "allowed_hosts"),
        *("keys_file", "api_keys", "trusted_proxies", "requests_per_minute", "max_concurrent"),
        *("models", "model", "idle_unload", "memory_limit"),
        *("max_body_bytes", "max_values", "max_lists", "max_items", "max_pixels", "max_queue_items", "max_characters"),
        *("max_audio_seconds", "inline_bytes"),
        *("default_timeout_ms", "max_timeout_ms"),
        "log_level",
    }
)
"""Names of the settings that can change while the server runs, when the file of settings is read again."""


class Settings(BaseSettings):
    """The address, the models, the limits and the logs of the server."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid", validate_default=True)

    config: Path | None = Field(
        None,
        description="File of settings in TOML; options and variables take precedence over it. SIGHUP makes the server "
        "read it again.",
    )

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for all network interfaces.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose a free one.")
    cors_origins: Origins = Field(
        (),
        description="Origins of web pages that may call this server from a browser, separated by commas; none where "
        "empty.",
    )
    allowed_hosts: HostNames = Field(
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
    trusted_proxies: Networks = Field(
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
    checkpoints_dir: Path = Field(
        Path("checkpoints"),
        description="Folder of more checkpoints, each in NAME below it, as `manifold fit` writes them. There "
        "need not be one.",
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
        "auto, which is float32, but the fastest for Transformers on GPUs.",
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

    idle_unload: Duration = Field(
        0,
        ge=0,
        description="Time after which a model that nobody uses is unloaded, as 30s, 10m or 2h; the next request for it "
        "loads it again. 0 never unloads.",
    )
    memory_limit: Size = Field(
        default_factory=lambda: default_memory_limit(available_bytes()),
        ge=0,
        description="Most memory of all loaded models and all requests together, as 512MiB or 4GiB; 0 sets no limit. A "
        "model that would exceed it is loaded only once others are unloaded, which `idle_unload` allows for those that "
        "are idle; a request that would exceed it is refused with status 429, or 413 if it is too large by itself. "
        "Where not set, three quarters of the memory that the machine or its control group leaves to the process.",
    )

    max_body_bytes: PositiveInt = Field(32 * 2**20, description="Longest request body, in bytes.")
    max_values: PositiveInt = Field(
        2**22,
        description="Most values in one JSON body longer than `inline_bytes`, lists and objects included.",
    )
    max_lists: PositiveInt = Field(
        2**20, description="Most lists and objects in one JSON body longer than `inline_bytes`."
    )
    max_items: PositiveInt = Field(1024, description="Most items in one request.")
    max_pixels: PositiveInt = Field(2**26, description="Most pixels in one request, over all its encoded images.")
    max_audio_seconds: PositiveInt = Field(30, description="Longest sounds in one request, in seconds, all together.")
    image_processes: PositiveInt = Field(
        min(4, max(2, N_CORES // 2)),
        description="Most encoded images, sounds and Parquet bodies that are decoded at the same time, each in a "
        "process of its own; small images, which take a few milliseconds together, need no process.",
    )
    image_timeout_ms: PositiveInt = Field(
        8000,
        description="Longest processor time for decoding an encoded image, sound or Parquet body, in milliseconds.",
    )
    image_memory: Size = Field(
        5 * 2**28,
        ge=2**20,
        description="Most memory for decoding one encoded image, sound or Parquet body, as 512MiB or 4GiB; an image "
        "that needs more is refused before it is decoded.",
    )
    fit_minutes: int = Field(10, ge=0, description="Longest fit that /fit takes, in minutes; 0 turns it off.")
    fit_memory: Size = Field(
        2**31, ge=2**20, description="Most memory of the process of a fit, as 512MiB or 4GiB, of that of all requests."
    )
    max_queue_items: PositiveInt = Field(
        4096,
        description="Most items that may wait for one model; requests beyond it are refused with status 429. An eighth "
        "is kept for small requests.",
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
    max_running_sequences: PositiveInt = Field(
        64,
        description="Most texts that one model generates at the same time; beside large requests, small ones may add "
        "an eighth.",
    )
    max_prefix_tokens: int = Field(
        2048,
        ge=0,
        description="Most tokens of earlier prompts that one model remembers, to save work where prompts begin alike.",
    )
    max_characters: PositiveInt = Field(
        2**20, description="Longest text, in characters, as it arrives and as the tokenizer reads it."
    )
    inline_bytes: PositiveInt = Field(
        2**16,
        description="Longest request body, in bytes, that is decoded on the event loop; longer ones are decoded on "
        "another thread.",
    )
    openai_token_ids: bool = Field(
        False,
        description="Whether /v1/embeddings takes the ids of tokens, which must be those of the model's own tokenizer; "
        "clients for OpenAI's models send those of another.",
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
        description="Time that the port stays open after SIGTERM or SIGINT while the server says it is not ready, in "
        "milliseconds.",
    )
    shutdown_timeout_s: PositiveInt = Field(
        10,
        description="Time after drain_ms within which the process ends, whatever is running, in seconds; requests have "
        "2.5 seconds less to finish, or half of a time below 5.",
    )
    keep_alive_s: PositiveInt = Field(
        75,
        description="Time after which a connection is closed that brings no request, or whose client does not read, "
        "in seconds.",
    )

    max_connections: PositiveInt = Field(
        4096,
        description="Most connections that are open at a time. At the limit, those that have been idle longest are "
        "closed; if none is idle, new ones are answered with status 503. The system's limit of open files may allow "
        "fewer.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages that are logged: debug, info, warning or error."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="Format of the log: json, one object a line, or text, for people."
    )

    tracing: bool = Field(
        False,
        description="Trace requests with OpenTelemetry; the variables OTEL_* say where the traces go and which "
        "requests are traced. Needs the extra `tracing`.",
    )

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the arguments, then the environment, then the file that one of them names."""
        given = {**env_settings(), **init_settings()}
        return init_settings, env_settings, ConfigFileSource(settings_cls, given)

    def devices(self, *, generates: bool) -> list[str]:
        """Return the device of each worker of a model.

        A GPU has one worker of a model that generates texts, because the steps of two would only take turns.
        """
        if self.device == "cpu":
            return ["cpu"] * self.workers
        named = self.device.split(",")
        return [*dict.fromkeys(named)] if generates else named * WORKERS_PER_GPU

    @field_validator("config", mode="before")
    @classmethod
    def _check_config(cls, config: object) -> object:
        """Check that the file can be read; empty text names no file."""
        if not isinstance(config, str | Path) or not str(config):
            return None if config == "" else config
        try:
            read_config_file(Path(config))
        except ConfigFileError as error:
            raise wrong(f"is {quote(str(config))}{error}") from None
        return config

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not _DEVICE_PATTERN.fullmatch(device):
            raise wrong(f"is {quote(device)}; it must be cpu, cuda, or GPUs such as cuda:1 or cuda:0,cuda:1")
        return device

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

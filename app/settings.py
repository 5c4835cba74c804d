"""The environment, read once into one frozen object. Every field is `MANIFOLD_<NAME>` and `manifold serve --<name>`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.precision import Precision, Wanted

N_CORES, MAX_WORKERS = os.cpu_count() or 1, 4
"""Forward passes of one thread each get more done than one of several, which wait for each other (decision 0001)."""
WORKERS_PER_GPU = 2
"""While one waits for the GPU, the other prepares what it computes next."""


def _by_device(on_cpu: int, on_gpu: int) -> Callable[[dict[str, Any]], int]:
    """The default of a setting that stands below `device`."""
    return lambda above: on_cpu if above.get("device", "cpu") == "cpu" else on_gpu


class Settings(BaseSettings):
    """Where the models lie, and every limit of the server."""

    model_config = SettingsConfigDict(env_prefix="MANIFOLD_", frozen=True, extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    weights_dir: Path = Field(
        Path(__file__).parents[1] / "weights", description="Folder of checkpoints, <kind>/<family>/<name>."
    )
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Names of the checkpoints to load, separated by commas; all of them where empty."
    )
    model: dict[str, str] = Field(
        {},
        description="More checkpoints by name, each a folder or an id of the hub that was pulled, as JSON: "
        '{"mine": "/checkpoints/mine"}; on the command line `--model mine=/checkpoints/mine`, as often as needed.',
    )
    default_models: dict[str, str] = Field(
        {}, description='Model of a task where a request names none, as JSON: {"encode": "vanilla-ae-mnist"}.'
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field((), description="X.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field((), description="X.")
    device: str = Field(
        "cpu",
        pattern=r"^(cpu|cuda(:\d+)?(,cuda:\d+)*)$",
        description="Where the models run: cpu, cuda or cuda:N; with several, as cuda:0,cuda:1, each model on all.",
    )
    dtype: Wanted = Field(
        "auto",
        description="What the models compute in: float32, bfloat16, float16, int8 (Transformers on a CPU), or auto: "
        "float32 on a CPU; on CUDA, bfloat16 for Transformers.",
    )
    dtypes: dict[str, Precision] = Field(
        {},
        description='The same of a model by name, as JSON: {"mine": "int8"}; on the command line `--dtypes mine=int8`, '
        "as often as needed.",
    )
    workers: PositiveInt = Field(
        min(MAX_WORKERS, N_CORES), description="On a CPU: forward passes of one model at once, with the same weights."
    )
    torch_threads: PositiveInt = Field(
        max(1, N_CORES // MAX_WORKERS), description="On a CPU: threads of one forward pass."
    )

    max_body_bytes: PositiveInt = Field(32 * 2**20, description="Longest request body.")
    max_items: PositiveInt = Field(1024, description="Most items in one request.")
    max_pixels: PositiveInt = Field(2**26, description="Most pixels of all encoded images in one request.")
    max_queue_items: PositiveInt = Field(4096, description="Most items that wait for one model; beyond it, 429.")
    max_batch_elements: PositiveInt = Field(
        default_factory=_by_device(2**18, 2**24),
        description="Budget of one batch: the elements of all its items; 262144 on a CPU, 16777216 on GPUs.",
    )
    max_batch_tokens: PositiveInt = Field(
        default_factory=_by_device(512, 2**16),
        description="The same of texts: the tokens of all of them; 512 on a CPU, 65536 on GPUs.",
    )
    max_running_sequences: PositiveInt = Field(64, description="Most texts that one model generates at once.")
    max_prefix_tokens: int = Field(
        2048, ge=0, description="Tokens of prompts that one model remembers, for those that begin alike."
    )
    max_characters: PositiveInt = Field(2**20, description="Longest text.")
    inline_bytes: PositiveInt = Field(
        2**16, description="Bodies up to this size are decoded on the event loop, larger ones on a thread."
    )
    default_timeout_ms: PositiveInt = Field(30_000, description="Deadline of a request that brings none.")
    max_timeout_ms: PositiveInt = Field(600_000, description="Longest deadline a request may ask for.")
    restart_max_wait_ms: PositiveInt = Field(10_000, description="Longest pause before a dead worker is restarted.")
    probe_every_ms: PositiveInt = Field(
        10_000, description="An idle worker makes a real forward pass this often; one that fails makes it unready."
    )
    stuck_after_ms: PositiveInt = Field(
        60_000, description="A forward pass that takes longer is given up: its worker is replaced."
    )
    drain_ms: int = Field(
        500, ge=0, description="After SIGTERM: how long to stay open, unready, before the port is closed."
    )
    shutdown_timeout_s: PositiveInt = Field(30, description="After SIGTERM: how long requests in flight may take.")
    keep_alive_s: PositiveInt = Field(
        75, description="How long a connection stays open on which nothing is asked, or whose client does not read."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text for people.")

    def devices(self, *, generates: bool) -> list[str]:
        """Where each worker of a model computes. On GPUs, steps of two that generate would only take turns."""
        if self.device == "cpu":
            return ["cpu"] * self.workers
        named = self.device.split(",")
        return [*dict.fromkeys(named)] if generates else named * WORKERS_PER_GPU

    @field_validator("models", "cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.max_items > self.max_queue_items:
            raise ValueError(
                f"max_items is {self.max_items}, more than max_queue_items, {self.max_queue_items}: "
                "the largest request could never be accepted"
            )
        if self.default_timeout_ms > self.max_timeout_ms:
            raise ValueError(
                f"default_timeout_ms is {self.default_timeout_ms}, more than max_timeout_ms, {self.max_timeout_ms}"
            )
        return self

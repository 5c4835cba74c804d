"""The configurations of a model's workers."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from app.engine.observer import EngineObserver
from app.engine.queue import JobQueue
from app.engine.turns import ForwardTurns
from app.settings import Settings
from models.family import Model
from models.ops.cooperation import LaunchLock
from models.tasks import Task


@dataclass(frozen=True, slots=True)
class GpuStream:
    """A CUDA stream that all workers of a model share, and the lock under which they launch work on it.

    With streams of their own, or launching at the same time, the workers' batches would end at the same time, and the
    GPU would be idle while both prepare the next. Other models have other streams and are not waited for.
    """

    stream: torch.cuda.Stream
    lock: threading.Lock = field(default_factory=threading.Lock)


def gpu_stream_of(model: Model) -> GpuStream | None:
    """Create a stream on the GPU of a model; None for a model on the CPU."""
    if not is_on_gpu([model]):
        return None
    return GpuStream(torch.cuda.Stream(next(model.parameters()).device))  # type: ignore[no-untyped-call]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerConfig:
    """The configuration of a worker.

    Attributes:
        gpu_stream: the stream on which the worker computes; None on the CPU.
        launch_lock: the lock that the worker holds while it computes; None if it waits for nobody.
        tasks: the tasks that the worker runs once before it serves. Another worker of the same model may try the rest.
        torch_threads: number of threads that compute a batch.
        step_threads: number of threads that compute a generation step; where one worker generates all sequences, it
            has the threads of all workers.
        budget: maximum cost of a batch, in elements or tokens.
        max_rows: maximum number of sequences generated at once.
        max_prefix_tokens: maximum number of tokens of earlier prompts that are kept, for prompts that begin alike.
        probe_every_s: idle time after which the worker runs a task once, to find out whether it still can; None for
            never.
        is_for_small_jobs: whether the worker takes small jobs alone; see `JobQueue`.
    """

    name: str
    model: Model
    gpu_stream: GpuStream | None
    launch_lock: LaunchLock | None
    tasks: Sequence[Task]
    queue: JobQueue
    observer: EngineObserver
    torch_threads: int
    step_threads: int
    budget: int
    max_rows: int
    max_prefix_tokens: int
    probe_every_s: float | None
    is_for_small_jobs: bool = False


def is_on_gpu(replicas: Sequence[Model]) -> bool:
    """Return whether a replica of a model is on a GPU."""
    weights = (next(model.parameters(), None) for model in replicas)
    return any(weight is not None and weight.is_cuda for weight in weights)


def worker_configs(
    name: str,
    replicas: Sequence[Model],
    tasks: Sequence[Task],
    settings: Settings,
    *,
    budget: int,
    queue: JobQueue,
    observer: EngineObserver,
    turns: ForwardTurns,
) -> list[WorkerConfig]:
    """Return the configuration of a worker for each replica and, on a CPU, of one for small jobs.

    A GPU computes the batches of all workers one after another, so that a worker for small jobs would be of no use.
    """
    gpu_streams = {model: gpu_stream_of(model) for model in replicas}
    launch_locks = {model: stream.lock if stream else turns for model, stream in gpu_streams.items()}
    first = WorkerConfig(
        name=name,
        model=replicas[0],
        gpu_stream=gpu_streams[replicas[0]],
        launch_lock=launch_locks[replicas[0]],
        tasks=tasks,
        queue=queue,
        observer=observer,
        torch_threads=settings.torch_threads,
        step_threads=settings.torch_threads * (len(replicas) if queue.steps_on_one_worker else 1),
        budget=budget,
        max_rows=settings.max_running_sequences,
        max_prefix_tokens=settings.max_prefix_tokens,
        probe_every_s=settings.probe_every_ms / 1000,
    )
    configs = [
        replace(
            first,
            model=model,
            gpu_stream=gpu_streams[model],
            launch_lock=launch_locks[model],
            tasks=tasks if model not in replicas[:index] else tasks[:1],
        )
        for index, model in enumerate(replicas)
    ]
    return configs if any(gpu_streams.values()) else [*configs, _for_small_jobs(first)]


def _for_small_jobs(config: WorkerConfig) -> WorkerConfig:
    """Return the configuration of the worker for small jobs, given that of another worker of the model."""
    return replace(
        config,
        launch_lock=None,
        tasks=config.tasks[:1],
        step_threads=config.torch_threads,
        max_rows=config.queue.max_small_rows,
        max_prefix_tokens=0,
        probe_every_s=None,
        is_for_small_jobs=True,
    )

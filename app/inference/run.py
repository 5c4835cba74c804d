"""Inference as a function: task requests in, results out. It knows nothing of HTTP."""

import asyncio
import time
from collections.abc import Sequence

from app.engine.engine import Engine
from app.engine.job import OnProgress, Outcome
from app.inference.deadline import Deadline
from app.inference.measurement import MEASUREMENT, Measurement
from models.tasks import Request, Task


async def infer(
    task: Task,
    engine: Engine,
    requests: Sequence[Request],
    deadline: Deadline | None = None,
    on_progress: OnProgress | None = None,
    client: str = "",
) -> Outcome:
    """Run requests of one task through the engine of a model, batched with those of other callers.

    A caller that is cancelled frees its place in the queue. Without a deadline, the caller must limit the time.
    `on_progress` is called for each step of a task that runs step by step; see `OnProgress`. The model's time is shared
    fairly between the clients, whose names are of no other meaning.

    Raises:
        ModelUnavailable: the model is being unloaded.
        QueueFull: as many requests as allowed are waiting.
        InvalidItems: the model refuses a request.
        InferenceFailed: the forward pass raised on one of the requests.
        DeadlineExceeded: the results were not ready by the deadline.
    """
    measurement = MEASUREMENT.get() or Measurement()
    measurement.begin(engine.name, task.name)
    try:
        if deadline is None:
            return await engine.submit(task, requests, on_progress, measurement.trace, client)
        async with asyncio.timeout(deadline.at_s - time.monotonic()):
            return await engine.submit(task, requests, on_progress, measurement.trace, client)
    except TimeoutError:
        if deadline is None:
            raise
        raise deadline.exceeded() from None
    finally:
        measurement.end()

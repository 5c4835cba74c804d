"""The errors that callers receive for requests that failed."""

import logging
from dataclasses import replace

from app.engine.execution import NotANumber
from app.engine.job import Job
from app.errors import Fault, InferenceFailed
from models.errors import InvalidItems

log = logging.getLogger(__name__)


def explain(model: str, error: Exception, job: Job, index: int) -> Exception:
    """Return the error to raise for a failed request; it names the request's index within its job.

    The only request of a job may be about several items, as in `/project`; its own indices are then those to name.
    """
    if isinstance(error, InvalidItems):
        is_only = len(job.requests) == 1
        indices = [index if problem.index is None or not is_only else problem.index for problem in error.problems]
        return InvalidItems(*(replace(p, index=i) for p, i in zip(error.problems, indices, strict=True)))
    log.error("forward pass failed", exc_info=error, extra={"model": model, "item": index})
    is_nan = isinstance(error, NotANumber)
    of_result = "the model's output for this item is not a number, or infinite"
    reason = of_result if is_nan else "the forward pass failed on this item"
    return InferenceFailed(reason, [Fault(f"/inputs/{index}", reason)])

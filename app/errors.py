"""What the service can refuse or fail to do. Status codes are known only to `handlers.py`.

ManifoldError
├── MalformedBody           the body is not what its content type says
├── HeadTooLarge            the head is longer than the server reads
├── PayloadTooLarge         so is the body
├── UnsupportedMediaType    a content type the route does not take
├── NotAcceptable           no answer in a type the client accepts
├── InvalidRequest          understood, but with a wrong value, shape, range, count or name
├── UnknownModel            no model of that name
├── TaskNotServed           the model, or every model, does not serve the task
├── Retryable               a refusal that passes by itself
│   ├── ModelUnavailable    the model is loading, unloading, unloaded or failed
│   └── QueueFull           as much work is waiting as the server lets wait
├── DeadlineExceeded        the answer was not ready in time
├── ClientDisconnected      nobody is left to answer
└── InferenceFailed         the forward pass raised on these inputs: a fault of ours
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One place in the request (`pointer` as in RFC 6901) and what is wrong there."""

    pointer: str
    detail: str


class ManifoldError(Exception):
    """Base of every error this package raises on purpose. `faults` point into the request."""

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)


class MalformedBody(ManifoldError):
    """The body is not what its content type says: no JSON, no image, no array."""


class HeadTooLarge(ManifoldError):
    """Answered before there is a request; the connection ends."""


class PayloadTooLarge(ManifoldError):
    """Raised while reading, before the rest of the body arrives."""


class UnsupportedMediaType(ManifoldError):
    """Lists the content types the route takes."""


class NotAcceptable(ManifoldError):
    """Lists the types the route can answer in."""


class InvalidRequest(ManifoldError):
    """Names each value and its limit."""

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> "InvalidRequest":
        """An error whose detail is the first fault's."""
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return cls(f"{first.pointer or 'the body'}: {first.detail}{more}", faults)


class UnknownModel(ManifoldError):
    """Lists the models that would have served."""

    def __init__(self, name: str, candidates: Iterable[str]) -> None:
        super().__init__(f"no model is named {name[:100]!r}; there are: {', '.join(candidates) or 'none'}")


class TaskNotServed(ManifoldError):
    """Says which tasks the model has."""


class Retryable(ManifoldError):
    """Base of the refusals that pass by themselves, after about `retry_after_s` seconds."""

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ModelUnavailable(Retryable):
    """The model is loading, unloading, unloaded or failed."""


class QueueFull(Retryable):
    """As much work is waiting as the server lets wait."""


class DeadlineExceeded(ManifoldError):
    """The answer was not ready in time; its place in the queue is free again."""


class ClientDisconnected(ManifoldError):
    """The client hung up; its place in the queue is free again."""


class InferenceFailed(ManifoldError):
    """The forward pass raised on these inputs."""

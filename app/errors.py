"""What the service can refuse or fail to do. Status codes are known only to `app/http/problems.py`.

ManifoldError
├── MalformedRequest        the request breaks a rule of HTTP
├── MalformedBody           the body is not what its content type says
├── HeadTooLarge            the head of the request is longer than the server reads
├── PayloadTooLarge         the body is longer than the server reads, or needs more memory than all requests may
├── UnsupportedMediaType    the route does not take this content type or content coding
├── NotAcceptable           the client accepts none of the types that the route can answer in
├── InvalidRequest          well formed, but with a wrong value, shape, range, count or name
├── Unauthenticated         the request has no key that the server knows
├── Forbidden               the key, or the place that the request comes from, does not allow it
├── CrossSiteRequest        a web page of another site sent the request
├── UnknownRoute            no route has this path
├── MethodNotAllowed        the route does not have this method
├── RouteError              a dependency of a route, or the framework, refused the request
├── UnknownModel            no model has this name
├── NoModelCard             the folder of the model has no card, or no charts
├── TaskNotServed           the model, or every model, does not serve the task
├── FitUnavailable          the server cannot fit models: it may not, or lacks a package or a folder for it
├── FitFailed               the process that fitted a model failed or was killed
├── Retryable               a refusal that passes by itself
│   ├── ModelUnavailable    the model is loading, unloading, unloaded or failed
│   ├── TooManyConnections  as many connections are open as the server allows
│   ├── DecoderUnavailable  the process that decodes files could not be started, or was killed
│   ├── QueueFull           as much work is waiting as the server allows
│   ├── MemoryExhausted     other requests hold the memory that the request needs
│   └── RateLimited         the client sends more requests than its key or the settings allow
├── DeadlineExceeded        the answer was not ready in time
├── ClientDisconnected      the client hung up
└── InferenceFailed         the forward pass raised on these inputs: a fault of the server
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One place in the request (`pointer` as in RFC 6901) and what is wrong there."""

    pointer: str
    detail: str


class ManifoldError(Exception):
    """Base of every error this package raises on purpose.

    `faults` point into the request; `headers` are added to those of the answer.
    """

    def __init__(self, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})


class MalformedRequest(ManifoldError):
    """The request breaks a rule of HTTP."""


class MalformedBody(ManifoldError):
    """The body is not what its content type says: not JSON, not an image, not an array."""


class HeadTooLarge(ManifoldError):
    """The head of the request is longer than the server reads; the connection is closed."""


class PayloadTooLarge(ManifoldError):
    """The body is longer than the server reads, or the request needs more memory than all requests together may.

    It is raised before the rest of the body arrives, or before the memory is taken.
    """


class UnsupportedMediaType(ManifoldError):
    """The route does not take this content type or content coding; the detail lists those it takes."""


class NotAcceptable(ManifoldError):
    """The route cannot answer in a type the client accepts; the detail lists those it can answer in."""


class InvalidRequest(ManifoldError):
    """A value, shape, range, count or name is wrong; the detail names it and its limit."""

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> "InvalidRequest":
        """Return an error whose detail is that of the first fault."""
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return cls(f"{first.pointer or 'the body'}: {first.detail}{more}", faults)


class Unauthenticated(ManifoldError):
    """The request has no key that the server knows."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"www-authenticate": "Bearer"})


class Forbidden(ManifoldError):
    """The role of the key does not allow the request; or, without keys, it does not come from the same machine."""


class CrossSiteRequest(ManifoldError):
    """A web page of another site sent a request that could change something."""


class RouteError(ManifoldError):
    """A dependency of a route, or the framework, refused the request with this status code."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, headers=headers)
        self.status = status


class UnknownRoute(RouteError):
    """No route has this path."""


class MethodNotAllowed(RouteError):
    """The route does not have this method; the `Allow` header lists those it has."""


class UnknownModel(ManifoldError):
    """No model has this name; the detail lists the models to choose from."""

    def __init__(self, name: str, candidates: Iterable[str]) -> None:
        super().__init__(f"no model is named {name[:100]!r}; there are: {', '.join(candidates) or 'none'}")


class TaskNotServed(ManifoldError):
    """The model does not serve the task; the detail lists the tasks it serves."""


class NoModelCard(ManifoldError):
    """The folder of the model has no card, or no charts; the detail names the file."""


class FitUnavailable(ManifoldError):
    """The server cannot fit models: fits are turned off, or a package, the folder or the process cannot be had."""


class FitFailed(ManifoldError):
    """The process that fitted a model failed, or was killed from outside."""


class Retryable(ManifoldError):
    """Base of the refusals that pass by themselves, after about `retry_after_s` seconds."""

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail, headers={"retry-after": str(retry_after_s)})
        self.retry_after_s = retry_after_s


class ModelUnavailable(Retryable):
    """The model is loading, unloading, unloaded or failed."""


class TooManyConnections(Retryable):
    """As many connections are open as the server allows, and none of them is idle."""


class DecoderUnavailable(Retryable):
    """The process that decodes images and Parquet files could not be started, or was killed from outside."""


class QueueFull(Retryable):
    """As much work is waiting as the server allows."""


class MemoryExhausted(Retryable):
    """Other requests hold the memory that the request needs, of that which the server allows all of them together."""


class RateLimited(Retryable):
    """The client sends more requests than its key or the settings allow, in a minute or at the same time."""


class DeadlineExceeded(ManifoldError):
    """The answer was not ready in time; the request has been removed from the queue."""


class ClientDisconnected(ManifoldError):
    """The client hung up; the request has been removed from the queue."""


class InferenceFailed(ManifoldError):
    """The forward pass raised on these inputs."""

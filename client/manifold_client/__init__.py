"""Client of Manifold: `Manifold` for ordinary code, `AsyncManifold` for coroutines, with a method for each task."""

from manifold_client.answer import Answer
from manifold_client.client import AsyncManifold, Manifold
from manifold_client.errors import (
    AccessDenied,
    ConnectionFailed,
    InvalidRequest,
    ManifoldError,
    NotFound,
    Overloaded,
    ServerFailed,
    TimedOut,
)

__all__ = [
    "AccessDenied",
    "Answer",
    "AsyncManifold",
    "ConnectionFailed",
    "InvalidRequest",
    "Manifold",
    "ManifoldError",
    "NotFound",
    "Overloaded",
    "ServerFailed",
    "TimedOut",
]

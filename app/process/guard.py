"""Chooses the HTTP protocol: ours where uvicorn has everything that it is built on, uvicorn's own elsewhere."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable
from itertools import chain
from types import ModuleType
from typing import Literal

from app.process.connections import OpenConnections

log = logging.getLogger(__name__)


def load_protocol(shared: OpenConnections | None = None) -> type[asyncio.Protocol] | Literal["auto"]:
    """Return the value of uvicorn's setting `http`, for connections that share the limits given.

    Where uvicorn lacks a private name that `app.process.uvicorn_protocol.Protocol` is built on, a warning says so, and
    the value is `"auto"`, which selects uvicorn's own protocol; it serves correct requests just as well.
    """
    try:
        from app.process import flow, uvicorn_names, uvicorn_protocol

        missing = _missing_names((uvicorn_protocol, flow), uvicorn_names)
    except Exception as error:
        missing = [f"{type(error).__name__}: {error}"]
    if not missing and shared is not None:
        return type("LimitedProtocol", (uvicorn_protocol.Protocol,), {"shared": shared})
    if not missing:
        return uvicorn_protocol.Protocol
    log.warning("uvicorn's own HTTP protocol is used; this version of uvicorn lacks %s", ", ".join(missing))
    return "auto"


def overridden_methods(module: ModuleType) -> list[tuple[type, Callable[..., object]]]:
    """Return each method that the module's classes override, with the class of uvicorn that must have it."""
    classes = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    return [
        (owner.__mro__[1], method)
        for owner in classes
        if isinstance(owner, type)
        for method in vars(owner).values()
        if getattr(method, "__override__", False)
    ]


def _missing_names(modules: Iterable[ModuleType], names: ModuleType) -> list[str]:
    """Return the names that the modules need and uvicorn lacks, or has with other parameters."""
    missing = []
    for owner, method in chain.from_iterable(overridden_methods(module) for module in modules):
        base = getattr(owner, method.__name__, None)
        if base is None or [*inspect.signature(base).parameters] != [*inspect.signature(method).parameters]:
            missing.append(f"{owner.__name__}.{method.__name__}")
    if missing:
        return missing
    for (owner, attributes), instance in zip(names.ATTRIBUTES.items(), names.make_instances(), strict=True):
        missing += [f"{owner.__name__}.{name}" for name in attributes if not hasattr(instance, name)]
    return missing

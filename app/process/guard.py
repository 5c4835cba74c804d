"""Chooses the HTTP protocol: ours where uvicorn has everything that it is built on, uvicorn's own elsewhere."""

import asyncio
import inspect
import logging
from types import ModuleType
from typing import Literal

log = logging.getLogger(__name__)


def load_protocol() -> type[asyncio.Protocol] | Literal["auto"]:
    """Return the value of uvicorn's setting `http`.

    Where uvicorn lacks a private name that `app.process.uvicorn_protocol.Protocol` is built on, a warning says so, and
    the value is `"auto"`: correct requests are served just as well.
    """
    try:
        from app.process import uvicorn_protocol

        missing = _missing_names(uvicorn_protocol)
    except Exception as error:
        missing = [f"{type(error).__name__}: {error}"]
    if not missing:
        return uvicorn_protocol.Protocol
    log.warning("uvicorn's own HTTP protocol is used; this version of uvicorn lacks %s", ", ".join(missing))
    return "auto"


def _missing_names(protocol: ModuleType) -> list[str]:
    """Return the names that the module lists and uvicorn lacks, or has with other parameters."""
    missing = []
    for owner, methods in protocol.METHODS.items():
        for name, parameters in methods.items():
            method = getattr(owner, name, None)
            if method is None or tuple(inspect.signature(method).parameters) != ("self", *parameters):
                missing.append(f"{owner.__name__}.{name}")
    if missing:
        return missing
    for (owner, attributes), instance in zip(protocol.ATTRIBUTES.items(), protocol.make_instances(), strict=True):
        missing += [f"{owner.__name__}.{name}" for name in attributes if not hasattr(instance, name)]
    return missing

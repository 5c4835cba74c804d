"""The tasks that this server has, found by looking through this package: a new task is a new module."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import app.schemas as package
from app.schemas.shared.task_schema import TaskEndpoint


@cache
def task_endpoints() -> tuple[TaskEndpoint, ...]:
    """Return the `ENDPOINT` of each module of this package that has one, by name."""
    modules = (import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__))
    return tuple(module.ENDPOINT for module in modules if hasattr(module, "ENDPOINT"))

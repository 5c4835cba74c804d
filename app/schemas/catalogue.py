"""The tasks of the server, found by searching this package: to add a task, add a module."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import app.schemas as package
from app.schemas.shared.task_schema import TaskEndpoint


@cache
def task_endpoints() -> tuple[TaskEndpoint, ...]:
    """Return the `ENDPOINT` of every module of this package that has one, in alphabetical order of the modules."""
    modules = (import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__))
    return tuple(module.ENDPOINT for module in modules if hasattr(module, "ENDPOINT"))

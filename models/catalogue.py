"""Finds the families. Nothing lists them by hand: a family is a folder that declares `FAMILY`."""

import importlib
import pkgutil
from functools import cache
from typing import Any

import models
from models.errors import CatalogueError
from models.family import FamilySpec

KINDS = ("autoencoders", "transformers")


@cache
def families() -> dict[str, FamilySpec[Any]]:
    """Every family by its id, such as `autoencoders/vanilla`, sorted.

    Raises:
        CatalogueError: a folder of a kind declares no `FAMILY`, or one whose id differs from its path.
    """
    found: dict[str, FamilySpec[Any]] = {}
    for kind in (info.name for info in pkgutil.iter_modules(models.__path__) if info.name in KINDS):
        package = importlib.import_module(f"models.{kind}")
        for info in pkgutil.iter_modules(package.__path__):
            if info.ispkg:
                path = f"{kind}/{info.name}"
                found[path] = _declared(path)
    return dict(sorted(found.items()))


def family(family_id: str) -> FamilySpec[Any]:
    """The family of that id.

    Raises:
        CatalogueError: there is none; the error lists those there are.
    """
    try:
        return families()[family_id]
    except KeyError:
        raise CatalogueError(f"unknown family {family_id!r}; known are {', '.join(families())}") from None


def _declared(path: str) -> FamilySpec[Any]:
    module = importlib.import_module(f"models.{path.replace('/', '.')}")
    spec = getattr(module, "FAMILY", None)
    if not isinstance(spec, FamilySpec):
        raise CatalogueError(f"models/{path}/__init__.py declares no FAMILY")
    if spec.id != path:
        raise CatalogueError(f"models/{path}/__init__.py declares the id {spec.id!r}; it must be its path, {path!r}")
    return spec

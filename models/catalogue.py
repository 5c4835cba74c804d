"""The catalogue of families. A family is a folder that declares `FAMILY`; no list names it."""

import importlib
import pkgutil
from functools import cache
from typing import Any

from models.errors import CatalogueError
from models.family import FamilySpec

KINDS = ("autoencoders", "transformers")


@cache
def families() -> dict[str, FamilySpec[Any]]:
    """Return all families by their ids, such as `autoencoders/vanilla`, in alphabetical order.

    Raises:
        CatalogueError: a folder of a kind declares no `FAMILY`, or one whose id differs from its path.
    """
    paths = [
        f"{kind}/{info.name}"
        for kind in KINDS
        for info in pkgutil.iter_modules(importlib.import_module(f"models.{kind}").__path__)
        if info.ispkg
    ]
    return {path: _import_family(path) for path in sorted(paths)}


def family(family_id: str) -> FamilySpec[Any]:
    """Return the family with this id.

    Raises:
        CatalogueError: there is no such family; the error lists those that exist.
    """
    try:
        return families()[family_id]
    except (KeyError, TypeError):  # TypeError: the id that a file holds may be no text
        raise CatalogueError(f"unknown family {family_id!r}; known are {', '.join(families())}") from None


def _import_family(path: str) -> FamilySpec[Any]:
    module = importlib.import_module(f"models.{path.replace('/', '.')}")
    spec = getattr(module, "FAMILY", None)
    if not isinstance(spec, FamilySpec):
        raise CatalogueError(f"models/{path}/__init__.py declares no FAMILY")
    if spec.id != path:
        raise CatalogueError(f"models/{path}/__init__.py declares the id {spec.id!r}; it must be its path, {path!r}")
    return spec

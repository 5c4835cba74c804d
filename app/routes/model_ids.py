"""Ids of models in paths. They may contain a slash, so that an id may seem to include the end of a longer path."""

from collections.abc import Mapping

from app.errors import MethodNotAllowed
from app.registry.registry import Registry
from app.registry.served_model import ServedModel

ID_DESCRIPTION = "Model id; the slash of `org/name` may be written as %2F."


def find_model(registry: Registry, id: str, method: str, longer_paths: Mapping[str, str]) -> ServedModel:
    """Return the model of an id that the path of a request ends with.

    Args:
        registry: the models.
        id: the id.
        method: the method of the request.
        longer_paths: the last parts of paths that go on after an id, with the methods that they have instead.

    Raises:
        MethodNotAllowed: no model has the id, and it ends like one of the longer paths.
        UnknownModel: no model has the id, otherwise.
    """
    _, slash, last = id.rpartition("/")
    if slash and id not in registry.models and last in longer_paths:
        allowed = longer_paths[last]
        raise MethodNotAllowed(405, f"{method} is not a method of …/{last}; it has {allowed}", {"allow": allowed})
    return registry.get(id)

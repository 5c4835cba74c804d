"""Examples of the OpenAPI document that follow the models: a row or a series in the columns of each."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from app.http.content import JSON
from app.registry.served_model import ServedModel
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.task_schema import TaskEndpoint, TaskSchema
from models.codecs import TableCodec, TableSeriesCodec

MAX_ITEM_BYTES = 2**13
"""Longest row or series in an example, in bytes of JSON. Models with more columns have no examples."""
MAX_EXAMPLES_BYTES = 2**19
"""Size of all examples of models together, in bytes of JSON. Models that come later by name have none."""


def with_examples_of_models(document: dict[str, Any], models: Mapping[str, ServedModel]) -> dict[str, Any]:
    """Return an OpenAPI document with more examples of requests: one for each task of each model of rows that serves.

    The document that was given stays as it is.
    """
    found: dict[str, dict[str, Any]] = {}
    n_left = MAX_EXAMPLES_BYTES
    for name, model in models.items():
        item = _example_item(model)
        if item is None:
            continue
        n_bytes = len(json.dumps(item))
        bodies = {endpoint.path: {"model": name, "inputs": inputs} for endpoint, inputs in _inputs(model, item)}
        n_all = n_bytes * sum(len(body["inputs"]) for body in bodies.values())
        if n_bytes > MAX_ITEM_BYTES or n_all > n_left:
            continue
        n_left -= n_all
        for path, body in bodies.items():
            found.setdefault(path, {})[name] = {"value": body}
    for path, examples in found.items():
        if path in document["paths"]:
            place = ("paths", path, "post", "requestBody", "content", JSON, "examples")
            document = _with_members(document, place, examples)
    return document


def _example_item(model: ServedModel) -> dict[str, Any] | None:
    """Return an item of a model whose items have columns; None for others, and while it does not serve."""
    checkpoint = model.checkpoint
    if checkpoint is None or checkpoint.modality == "text" or not model.is_ready:
        return None
    codec = checkpoint.codec
    return codec.example if isinstance(codec, TableCodec | TableSeriesCodec) else None


def _inputs(model: ServedModel, item: Any) -> Iterator[tuple[TaskEndpoint, list[Any]]]:
    """Yield the tasks of a model that take its items, with the inputs of an example: two items if it compares them."""
    for endpoint in task_endpoints():
        if endpoint.name in model.task_names and model.checkpoint is not None:
            schema = endpoint.schema_for(model.checkpoint.tasks)
            if isinstance(schema, TaskSchema) and schema.takes_images:  # whoever takes images takes all items
                yield endpoint, [item] * (2 if endpoint.is_joint else 1)


def _with_members(node: dict[str, Any], place: tuple[str, ...], members: dict[str, Any]) -> dict[str, Any]:
    """Return an object with further members of the object at a place inside of it. What was given stays as it is."""
    if not place:
        return node | members
    return node | {place[0]: _with_members(node[place[0]], place[1:], members)}

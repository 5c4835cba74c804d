"""The OpenAPI document, completed by the components and the access that FastAPI does not know of."""

from collections.abc import Sequence
from typing import Any, cast

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.http.access_rules import Access, access_of
from app.http.content import JSON
from app.http.error_answers import PROBLEM_JSON, Dialect
from app.routes.model_examples import with_examples_of_models
from app.routes.openapi import HEADERS, PARAMETERS, PROBLEMS, REFERENCE, UploadedFiles, problem_responses, reference
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.envelope import StreamEnd
from app.schemas.shared.problem import StreamError
from app.services import Services

INFO = {
    "summary": "One server for representation models: autoencoders and Transformers.",
    "description": (
        'Every task takes `{"model", "inputs", "parameters"}` and answers '
        '`{"model", "outputs", "usage"}`. The examples answer as they stand if the models that come with the '
        "server are loaded. Without keys, there are examples for each loaded model of rows of a table as well."
    ),
    "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
}
TAGS = [
    {"name": "autoencoders", "description": "Tasks on images, series and vectors, served by autoencoders."},
    {"name": "transformers", "description": "Tasks on texts, served by Transformers."},
    {"name": "service", "description": "The models of the server, its health and its limits."},
]

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, as `manifold keys new` prints it."},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key, in a header."},
}
"""Ways to send an API key, by name."""


def complete_openapi(app: FastAPI, dialects: Sequence[Dialect] = ()) -> None:
    """Make the application's OpenAPI document contain the components that the tasks and the dialects refer to.

    Without keys, it has examples of the models that serve at this moment. With keys it has none, because anybody may
    read the document, and a model's columns are for those who have a key.
    """
    generate = app.openapi
    services = cast("Services", app.state)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete_document(generate(), dialects, wants_key=services.keys.is_enabled)
        document = generate()
        return document if services.keys.is_enabled else with_examples_of_models(document, services.registry.models)

    app.openapi = openapi  # type: ignore[method-assign]


def _complete_document(document: dict[str, Any], dialects: Sequence[Dialect], *, wants_key: bool) -> None:
    """Add the shared components to the document that FastAPI made, and remove what clients do not need.

    `wants_key` says whether the server refuses requests without a key.
    """
    document["info"] |= INFO
    document["tags"] = [*TAGS, *({"name": each.name, "description": each.description} for each in dialects)]
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_definitions(dialects))
    components["headers"] = {
        name: {"description": description, "schema": {"type": kind}} for name, (kind, description) in HEADERS.items()
    }
    components["parameters"] = {name: {"name": name, "required": False, **each} for name, each in PARAMETERS.items()}
    responses = problem_responses(*PROBLEMS)
    components["responses"] = {name: responses[status] for status, (name, _) in PROBLEMS.items()}
    components["securitySchemes"] = SECURITY_SCHEMES
    document["security"] = [*([] if wants_key else [{}]), *({name: []} for name in SECURITY_SCHEMES)]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            dialect = next((each for each in dialects if path.startswith(each.prefixes)), None)
            _add_access(operation, access_of({"path": path, "method": method.upper()}), dialect)
            _share_problems(operation["responses"])
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    _remove_redundant(document["paths"])
    _remove_redundant(components)


def _definitions(dialects: Sequence[Dialect]) -> dict[str, Any]:
    """Return the schemas of every task's body, answer and events, of those of the dialects, and of errors, by name."""
    wanted: list[tuple[type[BaseModel], Any]] = [(UploadedFiles, "validation"), (StreamError, "serialization")]
    for dialect in dialects:
        wanted += [(body, "validation") for body in dialect.bodies]
        wanted += [(answer, "serialization") for answer in (*dialect.answers, dialect.error)]
    for endpoint in task_endpoints():
        if endpoint.event is not None:
            wanted += [(endpoint.event, "serialization"), (StreamEnd, "serialization")]
        for schema in endpoint.schemas:
            wanted += [(schema.body, "validation"), (schema.answer, "serialization")]
    _, document = models_json_schema(wanted, ref_template=REFERENCE.format(kind="schemas", name="{model}"))
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def _add_access(operation: dict[str, Any], access: Access, dialect: Dialect | None) -> None:
    """Add the refusals of keys and limits to an operation, in the form of its dialect; a public one has none."""
    if access is Access.PUBLIC:
        operation["security"] = []
        return
    refusals = problem_responses(401, *([403] if access is Access.ADMIN else []), 429)
    for status, response in refusals.items():
        if dialect is not None:
            response["content"] = {JSON: {"schema": reference("schemas", dialect.error.__name__)}}
        operation["responses"].setdefault(str(status), response)
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _share_problems(responses: dict[str, Any]) -> None:
    """Replace each error of an operation by a reference to the shared response.

    FastAPI's own response for invalid parameters is removed: the parameters that it checks can only be valid.
    """
    for status, response in list(responses.items()):
        content = response.get("content", {})
        if PROBLEM_JSON in content:
            responses[status] = reference("responses", PROBLEMS[int(status)][0])
        elif content.get(JSON, {}).get("schema") == reference("schemas", "HTTPValidationError"):
            del responses[status]


def _remove_redundant(node: Any) -> None:
    """Remove redundant members of schemas: titles that repeat a name, and defaults that are null or an object.

    A default of null would make generated clients believe that an answer always has the field.
    """
    if isinstance(node, list):
        for child in node:
            _remove_redundant(child)
    elif isinstance(node, dict):
        for name in [name for name, value in node.items() if _is_redundant(name, value)]:
            del node[name]
        for name, child in node.items():
            if name not in ("example", "examples"):
                _remove_redundant(child)


def _is_redundant(name: str, value: Any) -> bool:
    """Return whether a member of a schema is a title, or a default that is null or an object.

    Fields named `title` or `default` are kept.
    """
    is_title = name == "title" and isinstance(value, str)
    is_default = name == "default" and (value is None or (isinstance(value, dict) and "description" not in value))
    return is_title or is_default

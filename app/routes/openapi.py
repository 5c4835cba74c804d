"""The OpenAPI document, completed by what FastAPI cannot know of tasks, whose bodies and answers it does not handle."""

import json
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from app.http.access_rules import Access, access_of
from app.http.content import CSV, EVENTS, IMAGES, JSON, MULTIPART, NPY, PNG
from app.http.error_answers import PROBLEM_JSON, Dialect
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.envelope import StreamEnd
from app.schemas.shared.problem import Problem, StreamError
from app.schemas.shared.task_schema import TaskEndpoint, TaskSchema
from app.services import Services

INFO = {
    "summary": "One server for representation models: autoencoders and Transformers.",
    "description": (
        'Every task takes `{"model", "inputs", "parameters"}` and answers '
        '`{"model", "outputs", "usage"}`. The examples answer as they stand if the models that come with the '
        "server are loaded."
    ),
    "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
}
TAGS = [
    {"name": "autoencoders", "description": "Tasks on images, series and vectors, served by autoencoders."},
    {"name": "transformers", "description": "Tasks on texts, served by Transformers."},
    {"name": "service", "description": "The models of the server, its health and its limits."},
]

PROBLEMS = {
    400: ("BadRequest", "The body is not JSON, or its bytes are not an image or an array."),
    401: ("Unauthorized", "The request has no API key that the server knows, where keys are set."),
    403: ("Forbidden", "The key has not the role that is needed, or a web page of another site made the request."),
    404: ("NotFound", "There is no such model."),
    406: ("NotAcceptable", "The route cannot answer in any type that the client accepts."),
    413: ("ContentTooLarge", "The body is too large."),
    415: ("UnsupportedMediaType", "The route does not take this content type or content coding."),
    422: ("UnprocessableContent", "A shape, range, count or field is wrong, or the model does not serve the task."),
    429: (
        "TooManyRequests",
        "The queue is full, or the client exceeds the limits of its key or its address; `retry-after` says when to try "
        "again.",
    ),
    500: ("InternalServerError", "The server failed; the request id finds the reason in its log."),
    503: ("ServiceUnavailable", "The model is loading, unloading or failed; `retry-after` says when to try again."),
    504: ("GatewayTimeout", "The answer was not ready by the deadline."),
}
"""Name and description of the shared response for each status of an error."""
RETRYABLE = (429, 503)
"""Status codes of errors that have the header `retry-after`."""
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, as `manifold keys new` prints it."},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key, in a header."},
}
"""Ways to send an API key, by name."""

ANSWER_HEADERS = (
    "x-request-id",
    "x-model",
    "x-queue-time-ms",
    "x-inference-time-ms",
    "x-batch-size",
    "x-warnings",
    "x-truncated",
)
"""Names of the headers of a task's answer; streams, and answers without a forward pass, have the first two alone."""
HEADERS = {
    "x-request-id": ("string", "Id of the request: the client's own, or a random one."),
    "x-model": ("string", "Id of the model that answered."),
    "x-queue-time-ms": ("number", "Time in milliseconds from submission to the first forward pass."),
    "x-inference-time-ms": ("number", "Time in milliseconds from the first forward pass to the last result."),
    "x-batch-size": ("integer", "Number of items in the largest batch that the request was part of."),
    "x-warnings": (
        "string",
        "JSON list of the first eight warnings about the inputs; only if there are any and the answer is not JSON.",
    ),
    "x-truncated": (
        "integer",
        "Number of texts that were cut; only if the request has `truncate` and the answer is not JSON.",
    ),
    "retry-after": ("integer", "Time in seconds after which to try again."),
    "www-authenticate": ("string", "How to send a key: `Bearer`."),
}
"""Type and description of each response header."""

PARAMETERS: dict[str, dict[str, Any]] = {
    "x-timeout-ms": {
        "in": "header",
        "description": "Deadline of the request in milliseconds, at most the limit `max_timeout_ms` of `/info`; the "
        "server's default if omitted.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "x-request-id": {
        "in": "header",
        "description": "Id of the request, of at most 128 visible ASCII characters; random if omitted.",
        "schema": {"type": "string", "maxLength": 128},
    },
    "model": {
        "in": "query",
        "description": "Id of the model; the default model of the task and the kind of input if omitted. "
        "Only for bodies that are not JSON.",
        "schema": {"type": "string"},
    },
}
"""Parameters that several tasks share, by name."""

BINARY = {"type": "string", "format": "binary"}
REFERENCE = "#/components/{kind}/{name}"


class UploadedFiles(BaseModel):  # only for the OpenAPI document
    """Encoded images, each in a part named `files`."""

    files: list[bytes] = Field(description="The images: PNG, JPEG or WebP.")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI responses for errors of these statuses; `complete_openapi` makes each a shared component."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        headers = ["x-request-id", *(["retry-after"] if status in RETRYABLE else [])]
        headers += ["www-authenticate"] if status == HTTPStatus.UNAUTHORIZED else []
        responses[status] = {
            "description": PROBLEMS[status][1],
            "headers": {name: _reference("headers", name) for name in headers},
            "content": {PROBLEM_JSON: {"schema": _reference("schemas", Problem.__name__)}},
        }
    return responses


def describe_task(endpoint: TaskEndpoint) -> dict[str, Any]:
    """Return the keyword arguments that describe a task's route to FastAPI."""
    answer = {
        "description": "The outputs of the task.",
        "headers": {name: _reference("headers", name) for name in ANSWER_HEADERS},
        "content": _answer_content(endpoint),
    }
    parameters = [_reference("parameters", name) for name in ("x-timeout-ms", "x-request-id")]
    return {
        "name": endpoint.name,
        "operation_id": endpoint.name,
        "summary": endpoint.summary,
        "description": endpoint.description,
        "tags": endpoint.tags,
        "openapi_extra": {
            "requestBody": {"required": True, "content": _body_content(endpoint)},
            "parameters": [*parameters, *_query_parameters(endpoint)],
        },
        "responses": {200: answer} | problem_responses(*PROBLEMS),
        "response_model": None,
    }


def _body_content(endpoint: TaskEndpoint) -> dict[str, Any]:
    """Return the content types that a task takes, JSON first: many generators of clients take the first only."""
    examples = {example["model"]: {"value": example} for example in endpoint.examples}
    bodies = _any_of(schema.body for schema in endpoint.schemas)
    content: dict[str, Any] = {JSON: {"schema": bodies, "examples": examples}}
    for schema in endpoint.schemas:
        if isinstance(schema, TaskSchema) and schema.takes_arrays:
            content |= {NPY: {"schema": BINARY}, CSV: {"schema": {"type": "string"}}}
        if isinstance(schema, TaskSchema) and schema.takes_images:
            content[MULTIPART] = {"schema": _reference("schemas", UploadedFiles.__name__)}
            content |= {media_type: {"schema": BINARY} for media_type in IMAGES}
    return content


def _answer_content(endpoint: TaskEndpoint) -> dict[str, Any]:
    """Return the content types that a task answers in, JSON first."""
    content: dict[str, Any] = {JSON: {"schema": _any_of(schema.answer for schema in endpoint.schemas)}}
    schemas = [schema for schema in endpoint.schemas if isinstance(schema, TaskSchema)]
    if any(schema.array for schema in schemas):
        content[NPY] = {"schema": BINARY}
    if any(schema.answers_images for schema in schemas):
        content[PNG] = {"schema": BINARY}
    if endpoint.event is not None:
        content[EVENTS] = {"schema": _any_of([endpoint.event, StreamEnd, StreamError])}
    return content


def _query_parameters(endpoint: TaskEndpoint) -> list[dict[str, Any]]:
    """Return the model and the task's parameters as query parameters, which go with bodies that are not JSON.

    Parameters that are objects are described by their members. They may be given as JSON as well; but the page at
    `/docs` would send a JSON value that nobody entered with every request.
    """
    schemas = [schema for schema in endpoint.schemas if isinstance(schema, TaskSchema) and schema.takes_arrays]
    parameters: dict[str, dict[str, Any]] = {}
    for schema in schemas:
        document = schema.body.model_json_schema(ref_template=REFERENCE.format(kind="schemas", name="{model}"))
        definitions = document["$defs"]
        fields = _resolve(document["properties"]["parameters"], definitions)["properties"]
        for name, value in fields.items():
            resolved = (_resolve(kind, definitions) for kind in _alternatives(value))
            members = next((kind["properties"] for kind in resolved if "properties" in kind), None)
            described = {name: value} if members is None else {f"{name}_{each}": members[each] for each in members}
            parameters |= {each: _query_parameter(each, described[each]) for each in described}
    return [_reference("parameters", "model"), *parameters.values()] if schemas else []


def _query_parameter(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return the query parameter for a field of a task's parameters.

    The default is in the description and not in the schema: generated clients send the defaults of schemas with every
    request, and the server refuses query parameters beside a JSON body.
    """
    sentences = [value["description"], "Only for bodies that are not JSON."]
    if value.get("default") is not None:
        default = value["default"] if isinstance(value["default"], str) else json.dumps(value["default"])
        sentences.insert(1, f"The default is `{default}`.")
    alternatives = _alternatives(value)
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": " ".join(sentences),
        "schema": alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives},
    }


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas that a value may have, other than null, without annotations."""
    annotations = ("title", "description", "default", "anyOf")
    kinds = schema.get("anyOf", [{key: value for key, value in schema.items() if key not in annotations}])
    return [kind for kind in kinds if kind.get("type") != "null"]


def _resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that another one refers to, or the schema itself if it is no reference."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = definitions.get(name, schema)
    return found


def _reference(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(kind=kind, name=name)}


def _any_of(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """Return the schema `anyOf` of several pydantic models, as references to their components."""
    names = dict.fromkeys(model.__name__ for model in models)
    references = [_reference("schemas", name) for name in names]
    return references[0] if len(references) == 1 else {"anyOf": references}


def complete_openapi(app: FastAPI, dialects: Sequence[Dialect] = ()) -> None:
    """Make the application's OpenAPI document contain the components that the tasks and the dialects refer to."""
    generate = app.openapi
    services = cast("Services", app.state)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete_document(generate(), dialects, wants_key=services.keys.is_enabled)
        return generate()

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
            response["content"] = {JSON: {"schema": _reference("schemas", dialect.error.__name__)}}
        operation["responses"].setdefault(str(status), response)
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _share_problems(responses: dict[str, Any]) -> None:
    """Replace each error of an operation by a reference to the shared response.

    FastAPI's own response for invalid parameters is removed: the parameters that it checks can only be valid.
    """
    for status, response in list(responses.items()):
        content = response.get("content", {})
        if PROBLEM_JSON in content:
            responses[status] = _reference("responses", PROBLEMS[int(status)][0])
        elif content.get(JSON, {}).get("schema") == _reference("schemas", "HTTPValidationError"):
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

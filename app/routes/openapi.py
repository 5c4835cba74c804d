"""Descriptions of tasks for the OpenAPI document; FastAPI does not know their bodies and answers."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

from app.http.content import CSV, EVENTS, FLAC, IMAGES, JSON, MULTIPART, NDJSON, NPY, PARQUET, PNG, SOUNDS, WAV
from app.http.error_answers import PROBLEM_JSON
from app.routes.by_line import has_inputs
from app.schemas.shared.envelope import StreamEnd
from app.schemas.shared.problem import Problem, StreamError
from app.schemas.shared.task_schema import TaskEndpoint, TaskSchema

PROBLEMS = {
    400: ("BadRequest", "The body is not JSON, or its bytes are not an image, a sound or an array."),
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
    501: ("NotImplemented", "The server cannot fit models; the detail says what would let it."),
    503: ("ServiceUnavailable", "The model is loading, unloading or failed; `retry-after` says when to try again."),
    504: ("GatewayTimeout", "The answer was not ready by the deadline."),
}
"""Name and description of the shared response for each status of an error."""
TASK_STATUSES = tuple(status for status in PROBLEMS if status != HTTPStatus.NOT_IMPLEMENTED)
"""Status codes of the errors of tasks."""
RETRYABLE = (429, 503)
"""Status codes of errors that have the header `retry-after`."""
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
    """Encoded images or sounds, each in a part named `files`."""

    files: list[bytes] = Field(description="The images: PNG, JPEG or WebP; or the sounds: WAV, FLAC or Ogg.")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI responses for errors of these statuses; `complete_openapi` makes each a shared component."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        headers = ["x-request-id", *(["retry-after"] if status in RETRYABLE else [])]
        headers += ["www-authenticate"] if status == HTTPStatus.UNAUTHORIZED else []
        responses[status] = {
            "description": PROBLEMS[status][1],
            "headers": {name: reference("headers", name) for name in headers},
            "content": {PROBLEM_JSON: {"schema": reference("schemas", Problem.__name__)}},
        }
    return responses


def describe_task(endpoint: TaskEndpoint) -> dict[str, Any]:
    """Return the keyword arguments that describe a task's route to FastAPI."""
    answer = {
        "description": "The outputs of the task.",
        "headers": {name: reference("headers", name) for name in ANSWER_HEADERS},
        "content": _answer_content(endpoint),
    }
    parameters = [reference("parameters", name) for name in ("x-timeout-ms", "x-request-id")]
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
        "responses": {200: answer} | problem_responses(*TASK_STATUSES),
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
            content[PARQUET] = {"schema": BINARY}  # whoever takes images takes all items
            content[MULTIPART] = {"schema": reference("schemas", UploadedFiles.__name__)}
            content |= {media_type: {"schema": BINARY} for media_type in IMAGES}
        if isinstance(schema, TaskSchema) and schema.takes_sounds:
            content |= {media_type: {"schema": BINARY} for media_type in SOUNDS}
    if has_inputs(endpoint):
        content[NDJSON] = {"schema": {"type": "string"}}
    return content


def _answer_content(endpoint: TaskEndpoint) -> dict[str, Any]:
    """Return the content types that a task answers in, JSON first."""
    content: dict[str, Any] = {JSON: {"schema": _any_of(schema.answer for schema in endpoint.schemas)}}
    schemas = [schema for schema in endpoint.schemas if isinstance(schema, TaskSchema)]
    if any(schema.array for schema in schemas):
        content[NPY] = {"schema": BINARY}
    if any(schema.answers_images for schema in schemas):
        content[PNG] = {"schema": BINARY}
    if any(schema.answers_sounds for schema in schemas):
        content |= {media_type: {"schema": BINARY} for media_type in (WAV, FLAC)}
    if endpoint.answers_rows:
        content |= {CSV: {"schema": {"type": "string"}}, PARQUET: {"schema": BINARY}}
    if has_inputs(endpoint):
        content[NDJSON] = {"schema": {"type": "string"}}
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
    return [reference("parameters", "model"), *parameters.values()] if schemas else []


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


def reference(kind: str, name: str) -> dict[str, Any]:
    """Return the reference to a component of the document."""
    return {"$ref": REFERENCE.format(kind=kind, name=name)}


def _any_of(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """Return the schema `anyOf` of several pydantic models, as references to their components."""
    names = dict.fromkeys(model.__name__ for model in models)
    references = [reference("schemas", name) for name in names]
    return references[0] if len(references) == 1 else {"anyOf": references}

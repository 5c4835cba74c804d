"""The OpenAPI document: what FastAPI cannot see, because bodies of tasks are read and written by hand."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.http.content import EVENTS, IMAGES, JSON, MULTIPART, NPY, PNG
from app.http.problems import PROBLEM_JSON
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.task_schema import CodecSchema, TaskEndpoint, TaskSchema

SCHEMA_REF = "#/components/schemas/{model}"

PROBLEMS = {
    400: "The body is not JSON, or its bytes are not an image or an array.",
    403: "A web page of another site made the request.",
    404: "No such model.",
    406: "The route cannot answer in any of the accepted types.",
    413: "The body is too large.",
    415: "The route does not take this content type or content coding.",
    422: "A wrong shape, range, count or field, or a task that the model does not serve.",
    429: "The queue is full; `Retry-After` says when to try again.",
    500: "The server failed; the request id finds the reason in its log.",
    503: "The model is loading, unloading or failed; `Retry-After` says when to try again.",
    504: "The answer was not ready by the deadline.",
}
"""Descriptions of the errors that a task can answer with, by status."""

HEADERS: dict[str, dict[str, Any]] = {
    "x-request-id": {"description": "Id of the request: the client's own, or a random one.", "type": "string"},
    "x-model": {"description": "Id of the model that answered.", "type": "string"},
    "x-queue-time-ms": {"description": "Time the request waited for its first forward pass.", "type": "number"},
    "x-inference-time-ms": {"description": "Time from its first forward pass to its last one.", "type": "number"},
    "x-batch-size": {"description": "Items in the largest batch that the request was part of.", "type": "integer"},
}
"""Response headers of tasks; the last three are missing where no forward pass is needed."""

TIMEOUT_PARAMETER = {
    "name": "x-timeout-ms",
    "in": "header",
    "required": False,
    "description": "Deadline of the request in milliseconds; the server's default if omitted.",
    "schema": {"type": "integer", "minimum": 1},
}
REQUEST_ID_PARAMETER = {
    "name": "x-request-id",
    "in": "header",
    "required": False,
    "description": "Id of the request, of at most 128 visible ASCII characters; random if omitted.",
    "schema": {"type": "string"},
}


class ProblemFault(BaseModel):
    """One place in the request and what is wrong there."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemFault]
    request_id: str


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI responses for errors of these statuses; each refers to a shared component."""
    content = {PROBLEM_JSON: {"schema": {"$ref": SCHEMA_REF.format(model="Problem")}}}
    return {status: {"description": PROBLEMS[status], "content": content} for status in statuses}


def describe_task(endpoint: TaskEndpoint) -> dict[str, Any]:
    """Return the keyword arguments that describe a task's route to FastAPI."""
    answer = {
        "description": "The answer.",
        "content": _answer_content(endpoint),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS},
    }
    parameters = [{"$ref": f"#/components/parameters/{name}"} for name in ("x-timeout-ms", "x-request-id")]
    return {
        "name": endpoint.name,
        "operation_id": endpoint.name,
        "summary": endpoint.summary,
        "description": "",
        "tags": endpoint.tags,
        "openapi_extra": {
            "requestBody": {"required": True, "content": _body_content(endpoint)},
            "parameters": [*parameters, *_query_parameters(endpoint)],
        },
        "responses": {200: answer} | problem_responses(*PROBLEMS),
        "response_model": None,
    }


def _body_content(endpoint: TaskEndpoint) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    files = {"type": "object", "properties": {"files": {"type": "array", "items": binary}}, "required": ["files"]}
    examples = {example["model"]: {"value": example} for example in endpoint.examples}
    content: dict[str, Any] = {JSON: {"schema": _any_of(s.body for s in endpoint.schemas), "examples": examples}}
    for schema in endpoint.schemas:
        if isinstance(schema, TaskSchema) and schema.takes_arrays:
            content[NPY] = {"schema": binary}
        if isinstance(schema, TaskSchema) and schema.takes_images:
            content |= {MULTIPART: {"schema": files}} | {media_type: {"schema": binary} for media_type in IMAGES}
    return content


def _answer_content(endpoint: TaskEndpoint) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    content: dict[str, Any] = {JSON: {"schema": _any_of(schema.answer for schema in endpoint.schemas)}}
    schemas = [schema for schema in endpoint.schemas if isinstance(schema, TaskSchema)]
    if any(schema.array for schema in schemas):
        content[NPY] = {"schema": binary}
    if any(schema.answers_images for schema in schemas):
        content[PNG] = {"schema": binary}
    if endpoint.event is not None:
        content[EVENTS] = {"schema": {"$ref": SCHEMA_REF.format(model=endpoint.event.__name__)}}
    return content


def _query_parameters(endpoint: TaskEndpoint) -> list[dict[str, Any]]:
    """Return the model and the task's parameters as query parameters, which go with bodies that are not JSON."""
    if not endpoint.takes_arrays:
        return []
    fields: dict[str, dict[str, Any]] = {"model": {"type": "string", "description": "Model id."}}
    for schema in endpoint.schemas:
        if isinstance(schema, CodecSchema) or not schema.takes_arrays:
            continue
        kind = schema.body.model_fields["parameters"].annotation
        if kind is None:
            continue
        for name, value in kind.model_json_schema(ref_template=SCHEMA_REF).get("properties", {}).items():
            kinds = [value, *value.get("anyOf", ())]
            if not any("$ref" in each or each.get("type") in ("object", "array") for each in kinds):
                fields[name] = value
    only = "Only with a body that is not JSON."
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"{value.get('description', '')} {only}".strip(),
            "schema": {key: content for key, content in value.items() if key not in ("title", "description")},
        }
        for name, value in fields.items()
    ]


def _any_of(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    names = dict.fromkeys(model.__name__ for model in models)
    references = [{"$ref": SCHEMA_REF.format(model=name)} for name in names]
    return references[0] if len(references) == 1 else {"anyOf": references}


def complete_openapi(app: FastAPI) -> None:
    """Let the application's OpenAPI document contain the components that the tasks refer to."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _add_components(generate())
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


def _add_components(document: dict[str, Any]) -> None:
    wanted: list[tuple[type[BaseModel], Any]] = [(Problem, "serialization")]
    for endpoint in task_endpoints():
        if endpoint.event is not None:
            wanted.append((endpoint.event, "serialization"))
        for schema in endpoint.schemas:
            wanted += [(schema.body, "validation"), (schema.answer, "serialization")]
    _, definitions = models_json_schema(wanted, ref_template=SCHEMA_REF)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(definitions["$defs"])
    components["headers"] = {
        name: {"description": value["description"], "schema": {"type": value["type"]}}
        for name, value in HEADERS.items()
    }
    components["parameters"] = {value["name"]: value for value in (TIMEOUT_PARAMETER, REQUEST_ID_PARAMETER)}
    components["responses"] = {
        f"Problem{status}": response for status, response in problem_responses(*PROBLEMS).items()
    }
    for item in document["paths"].values():
        for operation in item.values():
            _share_problems(operation["responses"])


def _share_problems(responses: dict[str, Any]) -> None:
    """Replace each error of an operation by a reference to the component that describes it."""
    for status, response in responses.items():
        if PROBLEM_JSON in response.get("content", {}):
            responses[status] = {"$ref": f"#/components/responses/Problem{status}"}

"""What OpenAPI cannot see, because bodies are read and written by hand: schemas, media types, examples, problems."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from app.handlers import PROBLEM_JSON
from app.media import IMAGES, JSON, MULTIPART, NPY, PNG
from app.routes.examples import EXAMPLE_MODEL, EXAMPLES
from app.schemas import (
    classify,
    compress,
    decode,
    decompress,
    denoise,
    detect_anomalies,
    encode,
    impute,
    interpolate,
    project,
    reconstruct,
    sample,
)
from app.schemas.envelope import Schema

__all__ = ["EXAMPLE_MODEL", "add_bodies", "documented", "problems"]

REF = "#/components/schemas/{model}"
SCHEMAS = tuple(
    module.SCHEMA
    for module in (
        encode,
        decode,
        reconstruct,
        denoise,
        sample,
        interpolate,
        detect_anomalies,
        impute,
        compress,
        decompress,
        project,
        classify,
    )
)

DESCRIPTIONS = {
    400: "The body is not JSON, or bytes are no image or array.",
    404: "No such model.",
    406: "None of the accepted types is offered.",
    413: "The body is too large.",
    415: "A content type the route does not take.",
    422: "A wrong shape, range, count, field, or a task the model does not serve.",
    429: "The queue is full; see Retry-After.",
    500: "A fault of the server; the request id finds it in the log.",
    503: "The model is loading, unloading or failed; see Retry-After.",
    504: "The deadline passed.",
}


class ProblemFault(BaseModel):
    """One place in the request."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemFault]
    request_id: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses of these statuses."""
    reference = {"$ref": REF.format(model="Problem")}
    return {
        status: {"description": DESCRIPTIONS[status], "content": {PROBLEM_JSON: {"schema": reference}}}
        for status in statuses
    }


def documented(schema: Schema) -> dict[str, Any]:
    """Keyword arguments of a task's route."""
    binary = {"type": "string", "format": "binary"}
    files = {"type": "object", "properties": {"files": {"type": "array", "items": binary}}, "required": ["files"]}
    body_ref = {"$ref": REF.format(model=schema.body.__name__)}
    answer_ref = {"$ref": REF.format(model=schema.answer.__name__)}
    body: dict[str, Any] = {JSON: {"schema": body_ref, "example": EXAMPLES[schema.task.name]}}
    if "inputs" in schema.body.model_fields:
        body[NPY] = {"schema": binary}
    if schema.takes_images:
        body |= {MULTIPART: {"schema": files}} | {media_type: {"schema": binary} for media_type in IMAGES}
    answer = {JSON: {"schema": answer_ref}}
    if schema.array:
        answer[NPY] = {"schema": binary}
    if schema.answers_images:
        answer[PNG] = {"schema": binary}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": body}},
        "responses": {200: {"description": "The answer.", "content": answer}} | problems(*DESCRIPTIONS),
        "response_model": None,
        "response_class": Response,
    }


def add_bodies(openapi: dict[str, Any]) -> dict[str, Any]:
    """Put the schemas that `documented` refers to into the components."""
    wanted: list[tuple[type[BaseModel], Any]] = [(Problem, "serialization")]
    for schema in SCHEMAS:
        wanted += [(schema.body, "validation"), (schema.answer, "serialization")]
    _, definitions = models_json_schema(wanted, ref_template=REF)
    openapi.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    return openapi

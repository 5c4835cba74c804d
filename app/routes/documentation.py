"""What OpenAPI cannot see, because bodies are read and written by hand: schemas, media types, examples, problems."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from app.http.content import EVENTS, IMAGES, JSON, MULTIPART, NPY, PNG
from app.http.problems import PROBLEM_JSON
from app.routes.examples import EXAMPLE_MODEL, EXAMPLES
from app.schemas import (
    answer,
    attend,
    classify,
    classify_tokens,
    compress,
    decode,
    decompress,
    denoise,
    detect_anomalies,
    detokenize,
    encode,
    fill_mask,
    generate,
    impute,
    interpolate,
    project,
    reconstruct,
    sample,
    score_text,
    similarity,
    tokenize,
    translate,
)
from app.schemas.envelope import CodecSchema, Schema

__all__ = ["EXAMPLE_MODEL", "add_bodies", "documented", "problems"]

REF = "#/components/schemas/{model}"
SCHEMAS: tuple[Schema | CodecSchema, ...] = (
    *encode.SCHEMAS,
    *decode.SCHEMAS,
    *reconstruct.SCHEMAS,
    *denoise.SCHEMAS,
    *sample.SCHEMAS,
    *interpolate.SCHEMAS,
    *detect_anomalies.SCHEMAS,
    *impute.SCHEMAS,
    *compress.SCHEMAS,
    *decompress.SCHEMAS,
    *project.SCHEMAS,
    *classify.SCHEMAS,
    *fill_mask.SCHEMAS,
    *classify_tokens.SCHEMAS,
    *answer.SCHEMAS,
    *generate.SCHEMAS,
    *translate.SCHEMAS,
    *score_text.SCHEMAS,
    *similarity.SCHEMAS,
    *attend.SCHEMAS,
    *tokenize.SCHEMAS,
    *detokenize.SCHEMAS,
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


def documented(*schemas: Schema | CodecSchema) -> dict[str, Any]:
    """Keyword arguments of a task's route, which has one schema for each kind of model."""
    binary = {"type": "string", "format": "binary"}
    files = {"type": "object", "properties": {"files": {"type": "array", "items": binary}}, "required": ["files"]}
    examples = {one["model"]: {"value": one} for one in EXAMPLES[schemas[0].name]}
    body: dict[str, Any] = {JSON: {"schema": _any_of(schema.body for schema in schemas), "examples": examples}}
    answer: dict[str, Any] = {JSON: {"schema": _any_of(schema.answer for schema in schemas)}}
    for schema in schemas:
        if not isinstance(schema, Schema):
            continue
        if schema.takes_arrays:
            body[NPY] = {"schema": binary}
        if schema.takes_images:
            body |= {MULTIPART: {"schema": files}} | {media_type: {"schema": binary} for media_type in IMAGES}
        if schema.array:
            answer[NPY] = {"schema": binary}
        if schema.answers_images:
            answer[PNG] = {"schema": binary}
        if schema.writer:
            answer[EVENTS] = {"schema": {"$ref": REF.format(model=generate.GenerateEvent.__name__)}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": body}},
        "responses": {200: {"description": "The answer.", "content": answer}} | problems(*DESCRIPTIONS),
        "response_model": None,
        "response_class": Response,
    }


def _any_of(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    references = [{"$ref": REF.format(model=name)} for name in dict.fromkeys(model.__name__ for model in models)]
    return references[0] if len(references) == 1 else {"anyOf": references}


def add_bodies(openapi: dict[str, Any]) -> dict[str, Any]:
    """Put the schemas that `documented` refers to into the components."""
    wanted: list[tuple[type[BaseModel], Any]] = [
        (Problem, "serialization"),
        (generate.GenerateEvent, "serialization"),
    ]
    for schema in SCHEMAS:
        wanted += [(schema.body, "validation"), (schema.answer, "serialization")]
    _, definitions = models_json_schema(wanted, ref_template=REF)
    openapi.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    return openapi

"""The routes of the dialect of `diffusers.utils.remote_utils`: two addresses for each model."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.http.content import PNG
from app.routes.diffusers.decoding import JPEG, answer_decode
from app.routes.diffusers.dialect import DIALECT, PREFIX
from app.routes.diffusers.encoding import answer_encode
from app.routes.diffusers.tensors import TENSOR
from app.routes.foreign import describe_foreign
from app.routes.model_ids import ID_DESCRIPTION
from app.routes.openapi import BINARY
from app.schemas.foreign.diffusers import RemoteDecodeQuery, RemoteEncodeQuery

STATUSES = (400, 403, 404, 413, 415, 422, 429, 500, 503, 504)
"""Statuses of the errors of both routes."""
router = APIRouter()
ModelId = Annotated[str, Path(description=ID_DESCRIPTION, examples=["sd-vae"])]


def _described(
    operation_id: str, summary: str, query: type[BaseModel], takes: tuple[str, ...], answers: tuple[str, ...]
) -> dict[str, Any]:
    """Return the keyword arguments that describe a route to FastAPI: its query, its body, and its answers."""
    described = describe_foreign(
        DIALECT, operation_id=operation_id, summary=summary, media_types=answers, statuses=STATUSES
    )
    described["responses"][200]["content"] = {kind: {"schema": BINARY} for kind in answers}
    schema = query.model_json_schema()
    required = schema.get("required", [])
    described["openapi_extra"] = {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": values["description"],
                "schema": {
                    key: value for key, value in values.items() if key not in ("description", "title", "default")
                },
            }
            for name, values in schema["properties"].items()
        ],
        "requestBody": {"required": True, "content": {kind: {"schema": BINARY} for kind in takes}},
    }
    return described


@router.post(
    PREFIX + "{id:path}/decode",
    **_described(
        "remote_decode", "Decode latents of a diffusion model", RemoteDecodeQuery, (TENSOR,), (JPEG, PNG, TENSOR)
    ),
)
async def decode(id: ModelId, request: Request) -> Response:
    """Decode latents, which are raw numbers, to a picture or to a tensor of pictures.

    The headers `shape` and `dtype` of an answer that is a tensor say how to read it.
    """
    return await answer_decode(request, id)


@router.post(
    PREFIX + "{id:path}/encode",
    **_described("remote_encode", "Encode pictures for a diffusion model", RemoteEncodeQuery, (TENSOR, PNG), (TENSOR,)),
)
async def encode(id: ModelId, request: Request) -> Response:
    """Encode pictures, which are raw numbers in [-1, 1] or the file of one picture, to the means of their latents.

    The headers `shape` and `dtype` say how to read the answer.
    """
    return await answer_encode(request, id)

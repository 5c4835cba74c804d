"""`POST /encode`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.encode import SCHEMAS

router = APIRouter(tags=["autoencoders", "transformers"], route_class=TaskRoute)


@router.post("/encode", **documented(*SCHEMAS))
async def encode(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Map items to latents, texts to embeddings."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

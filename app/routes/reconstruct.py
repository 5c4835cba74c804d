"""`POST /reconstruct`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.reconstruct import SCHEMAS

router = APIRouter(tags=["autoencoders"], route_class=TaskRoute)


@router.post("/reconstruct", **documented(*SCHEMAS))
async def reconstruct(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Map items to latents and back."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

"""`POST /denoise`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.denoise import SCHEMAS

router = APIRouter(tags=["autoencoders"], route_class=TaskRoute)


@router.post("/denoise", **documented(*SCHEMAS))
async def denoise(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Clean items, after adding noise if that is asked for."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

"""`POST /interpolate`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.interpolate import SCHEMAS

router = APIRouter(tags=["autoencoders"], route_class=TaskRoute)


@router.post("/interpolate", **documented(*SCHEMAS))
async def interpolate(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Walk from one item to another through the latent space."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

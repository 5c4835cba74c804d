"""`POST /decompress`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.decompress import SCHEMAS

router = APIRouter(tags=["autoencoders"], route_class=TaskRoute)


@router.post("/decompress", **documented(*SCHEMAS))
async def decompress(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Unpack streams."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

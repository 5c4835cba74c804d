"""`POST /compress`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.compress import SCHEMAS

router = APIRouter(tags=["autoencoders"], route_class=TaskRoute)


@router.post("/compress", **documented(*SCHEMAS))
async def compress(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Pack items into streams of bytes."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

"""`POST /similarity`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.similarity import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/similarity", **documented(*SCHEMAS))
async def similarity(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Compare texts with one."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

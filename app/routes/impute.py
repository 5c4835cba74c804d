"""`POST /impute`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.impute import SCHEMAS

router = APIRouter(tags=["autoencoders"], route_class=TaskRoute)


@router.post("/impute", **documented(*SCHEMAS))
async def impute(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Fill what is missing in items."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

"""`POST /fill-mask`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.fill_mask import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/fill-mask", **documented(*SCHEMAS))
async def fill_mask(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Guess masked words."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

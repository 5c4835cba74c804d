"""`POST /translate`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.translate import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/translate", **documented(*SCHEMAS))
async def translate(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Translate texts."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

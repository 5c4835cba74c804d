"""`POST /attend`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.attend import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/attend", **documented(*SCHEMAS))
async def attend(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Show what tokens see."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

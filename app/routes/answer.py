"""`POST /answer`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.answer import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/answer", **documented(*SCHEMAS))
async def answer(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Find answers to questions in contexts."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

"""`POST /classify-tokens`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.classify_tokens import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/classify-tokens", **documented(*SCHEMAS))
async def classify_tokens(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Find names and other entities."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

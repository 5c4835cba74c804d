"""`POST /score-text`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.score_text import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/score-text", **documented(*SCHEMAS))
async def score_text(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Tell how likely texts are."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

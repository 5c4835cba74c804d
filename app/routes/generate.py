"""`POST /generate`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.generate import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/generate", **documented(*SCHEMAS))
async def generate(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Continue texts, at once or as a stream."""
    requests = await call.requests()
    answer = call.stream if call.streams else call.reply
    return await answer(requests)

"""`POST /classify`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.classify import SCHEMAS

router = APIRouter(tags=["autoencoders", "transformers"], route_class=TaskRoute)


@router.post("/classify", **documented(*SCHEMAS))
async def classify(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Name items and texts."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

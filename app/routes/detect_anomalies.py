"""`POST /detect-anomalies`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.detect_anomalies import SCHEMAS

router = APIRouter(tags=["autoencoders"], route_class=TaskRoute)


@router.post("/detect-anomalies", **documented(*SCHEMAS))
async def detect_anomalies(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Compare items with normal ones the model was not trained on."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

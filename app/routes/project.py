"""`POST /project`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.project import SCHEMAS

router = APIRouter(tags=["autoencoders", "transformers"], route_class=TaskRoute)


@router.post("/project", **documented(*SCHEMAS))
async def project(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Place items in a plane."""
    requests = await call.requests()
    outcome = await call.run(requests)
    return await call.respond(outcome)

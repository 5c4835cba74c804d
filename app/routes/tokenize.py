"""`POST /tokenize`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.tokenize import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/tokenize", **documented(*SCHEMAS))
async def tokenize(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Turn texts into tokens, without the model."""
    return await call.answer()

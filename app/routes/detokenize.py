"""`POST /detokenize`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.routes.documentation import documented
from app.routes.native import Call, TaskRoute, call_of
from app.schemas.detokenize import SCHEMAS

router = APIRouter(tags=["transformers"], route_class=TaskRoute)


@router.post("/detokenize", **documented(*SCHEMAS))
async def detokenize(call: Annotated[Call, Depends(call_of(*SCHEMAS))]) -> Response:
    """Turn tokens into text, without the model."""
    return await call.answer()

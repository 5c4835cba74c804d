"""The route that answers with the model card of a checkpoint."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from app.errors import NoModelCard
from app.http.content import PNG, negotiate
from app.http.context import context_in
from app.routes.model_ids import ID_DESCRIPTION
from app.routes.openapi import BINARY, problem_responses
from app.schemas.shared.examples import EXAMPLE_MODEL
from app.services import services_in
from models.errors import CheckpointError
from models.regular_files import read_file

router = APIRouter(tags=["service"])

MARKDOWN = "text/markdown"
FILES = {MARKDOWN: "README.md", PNG: "charts.png"}
"""Names of the files of a checkpoint's folder by their media types."""
MAX_FILE_BYTES = 2**23
"""Maximum size of such a file in bytes."""


class CardResponse(Response):
    """An answer whose media type is declared in the OpenAPI document."""

    media_type = MARKDOWN


@router.get(
    "/cards/{id:path}",
    operation_id="get_card",
    summary="Show the card of a model",
    response_class=CardResponse,
    response_description="The card, or its charts.",
    responses={
        200: {"content": {MARKDOWN: {"schema": {"type": "string"}}, PNG: {"schema": BINARY}}},
        **problem_responses(404, 406, 500),
    },
)
async def get_card(
    id: Annotated[str, Path(description=ID_DESCRIPTION, examples=[EXAMPLE_MODEL])], request: Request
) -> Response:
    """Return what is told of a model: for what it was trained, how well it does, and where it fails.

    The answer is text in Markdown, or with `Accept: image/png` the charts beside it.
    """
    services = services_in(request.scope)
    model = services.registry.get(id)
    media_type = negotiate(context_in(request.scope).header(b"accept") or "", tuple(FILES))
    path = model.folder / FILES[media_type]
    try:
        content = await services.pools.run(lambda: read_file(path, path.name, max_bytes=MAX_FILE_BYTES))
    except CheckpointError as error:
        raise NoModelCard(f"{id} has no such card: {error}") from error
    return Response(content, media_type=media_type)

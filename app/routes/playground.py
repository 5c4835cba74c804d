"""The page `/`, on which people try the models. It is made of the files in `static/playground`."""

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from app.routes.documentation import FILE_POLICY, STATIC_FOLDER, page_of

PAGE = STATIC_FOLDER / "playground" / "index.html"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def playground() -> HTMLResponse:
    """Return the page."""
    return page_of(PAGE.read_text(encoding="utf-8"), FILE_POLICY)

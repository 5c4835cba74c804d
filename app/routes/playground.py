"""The page `/`, on which people try the models. It is made of the files in `static/playground`."""

from functools import cache

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from app.routes.documentation import FILE_POLICY, FOLDERS, STATIC_FOLDER, page_of

PAGE = STATIC_FOLDER / "playground" / "index.html"
GUIDE_LINK = '<a href="/docs/guide/">Guide</a>'

router = APIRouter(include_in_schema=False)


@router.get("/")
async def playground() -> HTMLResponse:
    """Return the page, without the link to the guide if that has not been built."""
    html = _playground_html()
    return page_of(html if FOLDERS["/docs/guide"].is_dir() else html.replace(GUIDE_LINK, ""), FILE_POLICY)


@cache
def _playground_html() -> str:
    return PAGE.read_text(encoding="utf-8")

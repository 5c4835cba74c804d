"""The page `/`, on which people try the models. It is made of the files in `static/playground`."""

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from app.routes.documentation import CONTENT_POLICY, STATIC_FOLDER

PAGE = STATIC_FOLDER / "playground" / "index.html"
HEADERS = {
    "content-security-policy": "; ".join(
        f"{name} {value}" for name, value in (CONTENT_POLICY | {"style-src": "'self'", "worker-src": "'self'"}).items()
    )
}
"""What the page may load: nothing that is not of this server, and no scripts or styles within the page itself."""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def playground() -> HTMLResponse:
    """Return the page."""
    return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=HEADERS)

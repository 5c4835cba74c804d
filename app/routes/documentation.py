"""The pages `/docs` and `/redoc`. Their assets are served from here, so that they work without the internet."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse

STATIC_FOLDER = Path(__file__).parents[1] / "static"
"""Folder of the assets, which `/static` serves."""

CONTENT_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",  # both pages write styles of their own
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "worker-src": "blob:",  # the search of ReDoc
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
"""What the pages may load (Content Security Policy, level 3): nothing that is not of this server."""
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def swagger() -> HTMLResponse:
    """Return the page of Swagger UI."""
    return _page(_swagger_html())


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    """Return the page of ReDoc."""
    return _page(_redoc_html())


def _page(html: str) -> HTMLResponse:
    """Return a page whose own scripts may run, and no others that somebody might smuggle into it."""
    hashes = [hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(html)]
    sources = [CONTENT_POLICY["script-src"], *(f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes)]
    policy = CONTENT_POLICY | {"script-src": " ".join(sources)}
    return HTMLResponse(
        html, headers={"content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items())}
    )


@cache
def _swagger_html() -> str:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Manifold",
        swagger_js_url="/static/docs/swagger-ui-bundle.js",
        swagger_css_url="/static/docs/swagger-ui.css",
        swagger_favicon_url="/static/docs/favicon.png",
        swagger_ui_parameters={"tryItOutEnabled": True},
    )
    return bytes(page.body).decode()


@cache
def _redoc_html() -> str:
    page = get_redoc_html(
        openapi_url="/openapi.json",
        title="Manifold",
        redoc_js_url="/static/docs/redoc.standalone.js",
        redoc_favicon_url="/static/docs/favicon.png",
        with_google_fonts=False,
    )
    return bytes(page.body).decode()

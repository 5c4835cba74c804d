"""The pages `/docs` and `/redoc`, and the guide. Their assets are served from here: they work without the internet."""

import asyncio
import base64
import hashlib
import re
from functools import cache, lru_cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

from app.errors import UnknownRoute

STATIC_FOLDER = Path(__file__).parents[1] / "static"
FOLDERS = {"/docs/guide": STATIC_FOLDER / "guide", "/static": STATIC_FOLDER}
"""Folders of files by the path below which they are served: the guide, if it was built, and the assets of all pages."""

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
FILE_POLICY = CONTENT_POLICY | {
    "style-src": "'self'",
    "font-src": "'self'",
    "media-src": "'self' blob:",  # sounds that the playground made or was answered
    "worker-src": "'self'",
}
"""What pages in files may load: those of the guide, and the playground."""
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def swagger() -> HTMLResponse:
    """Return the page of Swagger UI."""
    return page_of(_swagger_html())


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    """Return the page of ReDoc."""
    return page_of(_redoc_html())


@router.get("/docs/guide")
async def guide() -> Response:
    """Redirect to the first page of the guide."""
    return RedirectResponse("guide/")


class DocumentationFiles(StaticFiles):
    """The files of a folder, with a policy for each page, and the page `index.html` of a folder for its path.

    The folder may be missing: the guide has to be built.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)
        self._folder = folder

    @override
    async def check_config(self) -> None:
        """Accept a folder that is missing."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code == 404 and not await asyncio.to_thread(self._folder.is_dir):
                raise UnknownRoute(404, "the guide is not built; run `make docs`, or read the folder docs") from error
            raise
        if isinstance(response, RedirectResponse):  # to an address that begins with the host that the client has named
            return RedirectResponse(f"{scope['path'].rpartition('/')[2]}/")
        if isinstance(response, FileResponse) and response.media_type == "text/html":
            policy = await asyncio.to_thread(_policy_of_file, str(response.path), response.headers["etag"])
            response.headers["content-security-policy"] = policy
        return response


@lru_cache(maxsize=1024)
def _policy_of_file(path: str, etag: str) -> str:
    """Return the policy of a page in a file, of which the tag tells one version from another."""
    return _policy_of(Path(path).read_text(), FILE_POLICY)


def page_of(html: str, policy: dict[str, str] = CONTENT_POLICY) -> HTMLResponse:
    """Return a page that may load what the policy says."""
    return HTMLResponse(html, headers={"content-security-policy": _policy_of(html, policy)})


def _policy_of(html: str, policy: dict[str, str]) -> str:
    """Return a policy that lets the page's own scripts run, and no others that somebody might smuggle into it."""
    hashes = [hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(html)]
    sources = [policy["script-src"], *(f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes)]
    return "; ".join(f"{name} {value}" for name, value in (policy | {"script-src": " ".join(sources)}).items())


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

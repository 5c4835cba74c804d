"""The pages `/docs` and `/redoc`. Their assets are served from here, so that they work without the internet."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse, RedirectResponse, Response

STATIC_FOLDER = Path(__file__).parents[1] / "static"
"""Folder of the assets, which `/static` serves."""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def root() -> Response:
    """Redirect to the documentation."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def swagger() -> HTMLResponse:
    """Return the page of Swagger UI."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Manifold",
        swagger_js_url="/static/docs/swagger-ui-bundle.js",
        swagger_css_url="/static/docs/swagger-ui.css",
        swagger_favicon_url="/static/docs/favicon.png",
        swagger_ui_parameters={"tryItOutEnabled": True},
    )


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    """Return the page of ReDoc."""
    return get_redoc_html(
        openapi_url="/openapi.json",
        title="Manifold",
        redoc_js_url="/static/docs/redoc.standalone.js",
        redoc_favicon_url="/static/docs/favicon.png",
        with_google_fonts=False,
    )

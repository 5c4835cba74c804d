"""Puts the application together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from app.http.admission import Door
from app.http.context import RequestContext
from app.http.problems import add_handlers
from app.inference.offload import Aside
from app.registry.registry import Registry
from app.routes import ROUTERS
from app.routes.documentation import add_bodies
from app.routes.native import TaskRoute
from app.schemas.envelope import Schema
from app.settings import N_CORES, Settings

N_ASIDE = max(4, min(16, N_CORES))
"""Threads for decoding and rendering what is short, and for what takes long."""
STATIC = Path(__file__).parent / "static"

DESCRIPTION = """
One server for representation models: autoencoders and Transformers.

Every task takes `{"model", "inputs", "parameters"}` and answers `{"model", "outputs", "usage"}`. The examples below
answer as they stand.
"""


class Application(FastAPI):
    """What is posted to the path of a task goes straight to its route, with `RequestContext` alone around it.

    The way through the framework takes longer than all the rest that is done for a small request. Everything else
    takes that way.
    """

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.tasks: dict[str, TaskRoute] = {}
        self._short_way = RequestContext(self._run_task)
        self.add_middleware(RequestContext)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self.tasks:
            scope["app"] = self
            await self._short_way(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _run_task(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.tasks[scope["path"]].handle(scope, receive, send)


def create_app(settings: Settings | None = None) -> Application:
    """The application, with the settings of the environment where none are given.

    Models load in the background once it starts; `/health/ready` says when they serve.

    Raises:
        UnknownModel: a setting names a model that is not in the weights folder.
        CheckpointError: two checkpoints have the same name.
    """
    settings = settings or Settings()
    registry = Registry(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.aside = Aside(N_ASIDE)
        app.state.loading = asyncio.create_task(registry.open())
        yield
        try:
            await app.state.loading
        finally:
            await registry.close()
            app.state.aside.close()

    app = Application(
        title="Manifold",
        version=version("manifold"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.registry = registry
    app.state.draining = False
    app.tasks = {route.path: route for router in ROUTERS for route in router.routes if isinstance(route, TaskRoute)}
    of_engines = {
        path: schema.name
        for path, route in app.tasks.items()
        for schema in route.opener.schemas[:1]
        if isinstance(schema, Schema)
    }
    app.state.door = Door(app.state, of_engines, settings.inline_bytes)
    add_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    _add_documentation(app)
    return app


def _add_documentation(app: FastAPI) -> None:
    """`/docs` and `/redoc`, with their assets served from here: they work with no network."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        return app.openapi_schema or add_bodies(generate())

    app.openapi = openapi  # type: ignore[method-assign]
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/docs", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Manifold",
            swagger_js_url="/static/docs/swagger-ui-bundle.js",
            swagger_css_url="/static/docs/swagger-ui.css",
            swagger_favicon_url="/static/docs/favicon.png",
            swagger_ui_parameters={"tryItOutEnabled": True},
        )

    @app.get("/redoc", include_in_schema=False)
    async def redoc() -> HTMLResponse:
        return get_redoc_html(
            openapi_url="/openapi.json",
            title="Manifold",
            redoc_js_url="/static/docs/redoc.standalone.js",
            redoc_favicon_url="/static/docs/favicon.png",
            with_google_fonts=False,
        )

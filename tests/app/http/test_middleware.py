"""Every request passes the middleware that is added to the application, and the dependencies of its router."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.context import RequestContexts
from app.http.cross_site import CorsHeaders
from app.http.problems import Problems, add_route_errors
from app.http.request_records import RequestRecords
from app.main import create_app
from app.routes.tasks import TaskHandler, direct_handlers, task_router
from app.settings import Settings
from tests.app.items import images
from tests.conftest import TINY

pytestmark = pytest.mark.anyio

IMAGES = images(2).tolist()


class DenyAll:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await PlainTextResponse("denied", 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with app.router.lifespan_context(app):
        await app.state.registry.loaded()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


def operations(app: FastAPI) -> list[tuple[str, str]]:
    """The method and path of each operation of the OpenAPI document, and of what is not in it."""
    found = [
        (method.upper(), re.sub(r"{.*?}", TINY, path))
        for path, item in app.openapi()["paths"].items()
        for method in item
    ]
    assert len(found) > 25
    return [*found, ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/"), ("GET", "/nowhere"), ("HEAD", "/info")]


async def test_a_middleware_made_by_a_function_is_not_skipped(weights: Path) -> None:
    app = create_app(Settings(weights_dir=weights))
    app.add_middleware(lambda inner: DenyAll(inner))
    async with client_of(app) as client:
        assert (await client.get("/info")).status_code == 403


async def test_a_handler_of_all_errors_answers_what_a_middleware_raises(weights: Path) -> None:
    class Failing:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise ValueError("broken")

    app = create_app(Settings(weights_dir=weights))

    @app.exception_handler(Exception)
    async def answer(_request: Request, error: Exception) -> Response:
        return PlainTextResponse(f"handled: {error}", 500)

    app.add_middleware(Failing)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/info")).text == "handled: broken"


async def test_a_middleware_that_denies_all_refuses_every_route(weights: Path) -> None:
    app = create_app(Settings(weights_dir=weights))
    app.add_middleware(DenyAll)
    async with client_of(app) as client:
        for method, path in operations(app):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.text) == (403, "denied" if method != "HEAD" else answer.text), path


async def test_a_middleware_that_denies_all_refuses_what_a_full_queue_would(weights: Path) -> None:
    app = create_app(Settings(weights_dir=weights, max_queue_items=2, max_items=2))
    app.add_middleware(DenyAll)
    async with client_of(app) as client:
        engine = app.state.registry.models[TINY].loaded.engine
        engine.require_room = lambda *_: pytest.fail("the queue was asked")
        for _ in range(3):
            answer = await client.post("/encode", json={"inputs": IMAGES})
            assert answer.text == "denied"


def app_with_dependency(weights: Path, dependency: Callable[..., Any]) -> FastAPI:
    """An application of its own whose tasks, and nothing else, depend on something."""
    bare = create_app(Settings(weights_dir=weights))
    app = FastAPI(middleware=list(bare.user_middleware), lifespan=bare.router.lifespan_context)
    app.state = bare.state
    add_route_errors(app)
    app.include_router(task_router(), dependencies=[Depends(dependency)])
    return app


async def deny() -> None:
    raise HTTPException(401, "who are you?", {"www-authenticate": "Bearer"})


async def test_dependencies_of_an_included_router_protect_the_tasks(weights: Path) -> None:
    app = app_with_dependency(weights, deny)
    app.include_router(task_router(), prefix="/open")
    assert {path.split("/")[1] for path in direct_handlers(app)} == {"open"}
    async with client_of(app) as client:
        refused = await client.post("/encode", json={"inputs": IMAGES})
        assert (refused.status_code, refused.json()["detail"]) == (401, "who are you?")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.headers["content-type"] == "application/problem+json"
        allowed = await client.post("/open/encode", json={"inputs": IMAGES})
        assert allowed.status_code == 200, allowed.text


async def needs_number(number: int) -> None:
    pass


async def test_a_wrong_parameter_of_a_dependency_is_a_problem(weights: Path) -> None:
    app = app_with_dependency(weights, needs_number)
    async with client_of(app) as client:
        answer = await client.post("/encode?number=x", json={"inputs": IMAGES})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == "/query/number"


async def test_a_dependency_that_allows_changes_nothing(weights: Path) -> None:
    seen: list[str] = []

    async def allow() -> None:
        seen.append("asked")

    bare = create_app(Settings(weights_dir=weights))
    app = FastAPI(
        middleware=list(bare.user_middleware), lifespan=bare.router.lifespan_context, dependencies=[Depends(allow)]
    )
    app.state = bare.state
    app.include_router(task_router())
    assert not direct_handlers(app)
    async with client_of(app) as client, client_of(bare) as other:
        answers: list[dict[str, Any]] = []
        for each in (client, other):
            answer = await each.post("/encode", json={"inputs": IMAGES})
            assert answer.headers["x-model"] == TINY
            answers.append(answer.json())
    assert answers[0] == answers[1]
    assert seen == ["asked"]


async def test_another_route_of_the_same_path_that_comes_first_is_taken(weights: Path) -> None:
    bare = create_app(Settings(weights_dir=weights))
    app = FastAPI(middleware=list(bare.user_middleware), lifespan=bare.router.lifespan_context)
    app.state = bare.state

    @app.post("/encode")
    async def mine() -> str:
        return "mine"

    app.include_router(task_router())
    async with client_of(app) as client:
        assert (await client.post("/encode", json={"inputs": IMAGES})).json() == "mine"
    assert "/decode" in direct_handlers(app)
    assert all(isinstance(handler, TaskHandler) for handler in direct_handlers(app).values())


def test_the_id_and_the_log_come_before_everything_else(weights: Path) -> None:
    kinds: list[object] = [middleware.cls for middleware in create_app(Settings(weights_dir=weights)).user_middleware]
    assert kinds[:4] == [RequestContexts, RequestRecords, CorsHeaders, Problems]

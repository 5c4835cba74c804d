from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette

from app.http.route_templates import RouteTemplates


def application() -> FastAPI:
    async def answer() -> None:
        pass

    router = APIRouter()
    router.add_api_route("/hf/{id:path}", answer)
    router.add_api_route("/plain", answer)
    app = FastAPI()
    for prefix in ("/one", "/two"):
        app.include_router(router, prefix=prefix)
    app.mount("/static", Starlette())
    return app


@pytest.mark.anyio
@pytest.mark.parametrize("root_path", ["", "/behind/proxy"])
@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/one/hf/org/name", "/one/hf/{id}"),
        ("/two/hf/name", "/two/hf/{id}"),
        ("/two/plain", "/two/plain"),
        ("/static/some/file", "/static"),
        ("/three/plain", "unknown"),
    ],
)
async def test_the_template_is_that_of_the_whole_path(path: str, template: str, root_path: str) -> None:
    app = application()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": root_path + path,
        "root_path": root_path,
        "headers": [],
        "query_string": b"",
    }

    async def ignore(*_: Any) -> Any:
        return {"type": "http.request", "body": b""}

    await app(scope, ignore, ignore)
    assert RouteTemplates(app).template_of(scope) == template


def test_a_request_that_was_not_routed_has_a_template_without_parameters() -> None:
    templates = RouteTemplates(application())
    assert templates.template_of({"path": "/one/plain"}) == "/one/plain"
    assert templates.template_of({"path": "/one/hf/name"}) == "unknown"

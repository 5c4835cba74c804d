"""One route for each task, and a middleware that bypasses FastAPI's routing of these."""

from collections.abc import Awaitable, Mapping
from types import MappingProxyType

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.routes.foreign import TaskForm
from app.routes.native import answer_task
from app.routes.openapi import describe_task
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.task_schema import TaskEndpoint
from app.services import services_in


class TaskHandler:
    """The endpoint of a task's route."""

    def __init__(self, endpoint: TaskEndpoint, form: TaskForm | None = None) -> None:
        """Make the handler of a task whose bodies may have another form, of a foreign dialect."""
        self._endpoint, self._form = endpoint, form

    async def __call__(self, request: Request) -> Response:
        """Answer one request, as the endpoint of a FastAPI route."""
        return await answer_task(services_in(request.scope), self._endpoint, request, self._form)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI application."""
        request = Request(scope, receive)
        response = await answer_task(services_in(request.scope), self._endpoint, request, self._form)
        await response(scope, receive, send)


def task_router(forms: Mapping[str, TaskForm] = MappingProxyType({})) -> APIRouter:
    """Return a router with a route for each task of the catalogue.

    `forms` are the forms of foreign dialects that the routes of tasks take as well, by the names of the tasks.
    """
    router = APIRouter()
    for endpoint in task_endpoints():
        handler = TaskHandler(endpoint, forms.get(endpoint.name))
        router.add_api_route(endpoint.path, handler, methods=["POST"], **describe_task(endpoint))
    return router


class TaskShortcut:
    """Calls the handler of a task directly, without FastAPI's routing, if the route has no dependencies.

    FastAPI's routing takes longer than all other work on a small request. It is used for a task whose route has
    dependencies, which `include_router` or the application may have added.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._handlers: dict[str, TaskHandler] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            if self._handlers is None:
                self._handlers = direct_handlers(scope["app"])
            handler = self._handlers.get(scope["path"])
            if handler is not None:
                return handler.handle(scope, receive, send)
        return self._app(scope, receive, send)


def direct_handlers(app: FastAPI) -> dict[str, TaskHandler]:
    """Return by path the handlers of tasks whose routes have no dependencies and are the first of their path."""
    handlers: dict[str, TaskHandler] = {}
    seen: set[str | None] = set()
    for route in iter_route_contexts(app.routes):
        is_first = route.path not in seen
        seen.add(route.path)
        if is_first and isinstance(route.endpoint, TaskHandler) and not route.dependant.dependencies:
            handlers[str(route.path)] = route.endpoint
    return handlers

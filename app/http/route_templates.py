"""Finds the template of the route that a request was for."""

import re

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path
from starlette.types import Scope

UNKNOWN_ROUTE = "unknown"
"""Stands for the template of every path that is that of no route."""
_CONVERTOR_PATTERN = re.compile(r"\{(\w+):\w+\}")
"""A parameter of a path with the name of what it may hold, which is left out of templates: `{id:path}` is `{id}`."""


class RouteTemplates:
    """The templates of an application's routes: `/models/{id}`."""

    def __init__(self, app: FastAPI) -> None:
        self._plain: set[str] = set()
        self._by_route: dict[int, list[tuple[str, re.Pattern[str]]]] = {}  # several for a router that is included twice
        for context in iter_route_contexts(app.routes):
            template = str(context.path)
            if "{" in template:
                pattern = compile_path(template)[0]
                shown = _CONVERTOR_PATTERN.sub(r"{\1}", template)
                self._by_route.setdefault(id(context.original_route), []).append((shown, pattern))
            else:
                self._plain.add(template)

    def template_of(self, scope: Scope) -> str:
        """Return the template for a scope that has passed through routing.

        A request that was refused before it was routed has a template only if its path is one, without parameters.
        """
        base = scope.get("app_root_path", scope.get("root_path", ""))  # the first, inside a mounted application
        path: str = scope["path"].removeprefix(base)
        if path in self._plain:
            return path
        route = scope.get("route")
        for template, pattern in self._by_route.get(id(route), ()):
            if pattern.match(path):
                return template
        if "app_root_path" in scope:
            return str(scope["root_path"]).removeprefix(base)
        return UNKNOWN_ROUTE

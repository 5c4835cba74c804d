"""What each path needs: nothing, any key, or the key of an administrator. All of it is in two tables."""

import re
from enum import Enum

from starlette.types import Scope


class Access(Enum):
    """What a request needs, where keys are set."""

    PUBLIC = "public"
    KEY = "key"
    ADMIN = "admin"


SAFE_METHODS = ("GET", "HEAD")
"""Methods of the public paths."""
ADMIN_ENDINGS = ("/load", "/unload", "/convert", "/fit")
"""Ends of the paths of administration, whatever is before them, so that no prefix and no other dialect hides one."""
PUBLIC_PATTERNS = (
    r"/health/(live|ready)",
    r"/(docs|redoc|openapi\.json)?",
    r"/docs/guide(/.*)?",
    r"/static/.*",
    r"/v2/health/(live|ready)",
    r"/hf/.+/health",
    r"/tei/.+/(health|ping)",
)
"""Patterns of the public paths. Each takes time in proportion to the path, which anybody may make long."""
_PUBLIC = re.compile("|".join(f"(?:{pattern})" for pattern in PUBLIC_PATTERNS))


def access_of(scope: Scope) -> Access:
    """Return what a request needs, where keys are set: any key, also for paths that no route has, with few exceptions.

    The patterns of routes match a line feed at the end of a path as well, so that it does not hide its end here.
    """
    path: str = scope["path"]
    if path.rstrip("/\n").endswith(ADMIN_ENDINGS):
        return Access.ADMIN
    if scope["method"] in SAFE_METHODS and _PUBLIC.fullmatch(_route_path(scope)):
        return Access.PUBLIC
    return Access.KEY


def _route_path(scope: Scope) -> str:
    """Return the path that routes see: without the path below which the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path

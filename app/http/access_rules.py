"""The table of what each path needs: nothing, any key, or the key of an administrator."""

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

RULES: tuple[tuple[Access, str], ...] = (
    (Access.ADMIN, r".*/(load|unload|convert|fit)"),
    (Access.PUBLIC, r"/health/(live|ready)"),
    (Access.PUBLIC, r"/(docs|redoc|openapi\.json)?"),
    (Access.PUBLIC, r"/static/.*"),
    (Access.PUBLIC, r"/v2/health/(live|ready)"),
    (Access.PUBLIC, r"/hf/.+/health"),
    (Access.PUBLIC, r"/tei/.+/(health|ping)"),
)
"""What paths need, by patterns of the whole path; all others need any key, also those that no route has.

Paths of administration begin with anything, so that no prefix and no other dialect hides one. Of the public paths, only
safe methods are public. Each pattern takes time in proportion to the path, which anybody may make long."""


def _pattern(access: Access, end: str) -> "re.Pattern[str]":
    alternatives = "|".join(f"(?:{pattern})" for wanted, pattern in RULES if wanted is access)
    return re.compile(f"(?:{alternatives}){end}", re.DOTALL)


_ADMIN = _pattern(Access.ADMIN, r"/*\n?")
"""Pattern of the paths of administration. The patterns of routes match a line feed at the end of a path as well."""
_PUBLIC = _pattern(Access.PUBLIC, "")


def access_of(scope: Scope) -> Access:
    """Return what a request needs, where keys are set."""
    path = _route_path(scope)
    if _ADMIN.fullmatch(path):
        return Access.ADMIN
    if scope["method"] in SAFE_METHODS and _PUBLIC.fullmatch(path):
        return Access.PUBLIC
    return Access.KEY


def _route_path(scope: Scope) -> str:
    """Return the path that routes see: without the path below which the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path

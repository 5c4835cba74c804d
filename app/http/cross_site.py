"""Protection against web pages of other sites, which can make a visitor's browser send requests to this server."""

import ipaddress
from collections.abc import Awaitable, Collection
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import CrossSiteRequest
from app.http.context import context_in
from app.services import services_in
from app.settings import Settings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing (RFC 9110, 9.2.1)."""
LOCAL_NAMES = ("localhost",)
"""Host names that are always allowed, besides IP addresses."""


class CrossSiteGuard:
    """Refuses requests that a page of another site made, unless they can change nothing.

    Only browsers send `Origin` or `Sec-Fetch-Site`, and no page can suppress them on a request that is not safe (Fetch
    Standard, 3.2 and W3C Fetch Metadata); requests of other clients pass. An attacker can make the host name of a page
    resolve to this server (DNS rebinding), so that the browser takes the request for one of the same origin. Such a
    request is refused because its host name is neither an IP address nor among the allowed ones.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one ASGI connection.

        Raises:
            CrossSiteRequest: the request could change something and comes from a page of another site.
        """
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            context = context_in(scope)
            if b"origin" in context.headers or b"sec-fetch-site" in context.headers:
                origin, fetch_site = context.header(b"origin"), context.header(b"sec-fetch-site")
                _require_allowed(origin, fetch_site, context.header(b"host") or "", services_in(scope).settings)
        return self._app(scope, receive, send)


class CorsHeaders:
    """Lets web pages of the origins in the settings call the server, by the headers of CORS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = self._handler = app
        self._origins: Collection[str] = ()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one ASGI connection, after following the settings if they have changed."""
        origins = services_in(scope).settings.cors_origins
        if origins is not self._origins:
            self._origins, self._handler = origins, self._app
            if origins:
                self._handler = CORSMiddleware(
                    self._app, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=["*"]
                )
        return self._handler(scope, receive, send)


def _require_allowed(origin: str | None, fetch_site: str | None, host: str, settings: Settings) -> None:
    if origin is not None and (origin in settings.cors_origins or "*" in settings.cors_origins):
        return
    if not _is_allowed_host(_host_name(host), settings.allowed_hosts):
        detail = f"the host name {_host_name(host)[:100]!r} is not allowed for requests from web pages"
        raise CrossSiteRequest(f"{detail}; MANIFOLD_ALLOWED_HOSTS lists those that are")
    is_same_origin = origin is None or urlsplit(origin).netloc == host.lower()
    if not is_same_origin or fetch_site not in (None, "same-origin", "none"):
        detail = f"a web page of {(origin or 'another site')[:100]} made this request"
        raise CrossSiteRequest(f"{detail}; MANIFOLD_CORS_ORIGINS lists the origins that may")


def _is_allowed_host(name: str, allowed_hosts: Collection[str]) -> bool:
    if name in LOCAL_NAMES or name in allowed_hosts:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host_name(host: str) -> str:
    """Return the lower-case name or IP address in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""

"""Decides who may send a request: by its API key, or without keys by where it comes from; and limits how many."""

import time
from collections.abc import Awaitable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Forbidden, Unauthenticated
from app.http.access_rules import Access, access_of
from app.http.client_address import ClientAddresses, foreign_trait
from app.http.context import RequestContext, context_in
from app.keys.api_key import Role
from app.keys.limiter import AddressLimiters, Limiter
from app.keys.store import KeyStore
from app.services import services_in
from app.settings import Settings

HOW_TO_SEND = "send it in the header Authorization as Bearer KEY, or in the header x-api-key"
POLICY_VIOLATION = 1008
"""Code of a WebSocket that is closed because of a rule of the server (RFC 6455, 7.4.1)."""


class AccessControl:
    """Refuses requests without the key that they need, and those beyond the limits of their client.

    Where keys are set, all paths but those of health and documentation need one (`access_rules`). Where none are set,
    models are loaded, unloaded and fitted only from this machine. Nothing of the body is read before.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._settings: Settings | None = None
        self._addresses = ClientAddresses(())
        self._limits: tuple[int, int] = (0, 0)
        self._anonymous: AddressLimiters | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one ASGI connection.

        Raises:
            Unauthenticated: keys are set, and the request has none of them.
            Forbidden: the role of the key is not enough; or no keys are set, and an administrative request may come
                from another machine.
            RateLimited: the client has used up its limits.
        """
        if scope["type"] != "http":
            return self._handle_other(scope, receive, send)
        access = access_of(scope)
        if access is Access.PUBLIC:
            return self._app(scope, receive, send)
        services = services_in(scope)
        if services.settings is not self._settings:
            self._follow(services.settings)
        context = context_in(scope)
        if services.keys.is_enabled:
            limiter = admit_by_key(services.keys, access, context)
        else:
            if access is Access.ADMIN:
                require_this_machine(scope)
            context.client = self._addresses.limited_address(scope)
            limiter = None if self._anonymous is None else self._anonymous.limiter_of(context.client)
        if limiter is None:
            return self._app(scope, receive, send)
        return self._run_limited(limiter, scope, receive, send)

    def _follow(self, settings: Settings) -> None:
        """Follow settings that have changed. What was counted is kept unless the limits themselves are other ones."""
        self._settings = settings
        self._addresses = ClientAddresses(settings.trusted_proxies)
        limits = settings.requests_per_minute, settings.max_concurrent
        if limits != self._limits:
            self._limits, self._anonymous = limits, AddressLimiters(*limits) if any(limits) else None

    async def _run_limited(self, limiter: Limiter, scope: Scope, receive: Receive, send: Send) -> None:
        started_at_s = time.monotonic()
        limiter.enter(started_at_s)
        try:
            await self._app(scope, receive, send)
        finally:
            limiter.leave(time.monotonic() - started_at_s)

    async def _handle_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a connection that is not HTTP. WebSockets, which no route of ours has, are closed if keys are set."""
        if scope["type"] == "websocket" and services_in(scope).keys.is_enabled:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        await self._app(scope, receive, send)


def admit_by_key(keys: KeyStore, access: Access, context: RequestContext) -> Limiter | None:
    """Return the limiter of the key that a request presents, and note the key's name.

    Raises:
        Unauthenticated: there is no key, or it is not one of the server's.
        Forbidden: the request needs the key of an administrator.
    """
    presented = presented_key(context.headers)
    if presented is None:
        raise Unauthenticated(f"this server needs an API key; {HOW_TO_SEND}")
    held = keys.find(presented)
    if held is None:
        raise Unauthenticated("the API key of this request is not one of the server's, or is no longer valid")
    context.key = context.client = held.key.name
    if access is Access.ADMIN and held.key.role is not Role.ADMIN:
        raise Forbidden(
            f"the key {held.key.name!r} has the role {held.key.role}; this path needs a key with the role {Role.ADMIN}"
        )
    return held.limiter


def presented_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the key in `Authorization: Bearer KEY`, `Authorization: KEY` or `x-api-key: KEY`; None without one.

    Another scheme of `Authorization`, which a proxy may have asked for, does not hide `x-api-key`.
    """
    if authorization := headers.get(b"authorization"):
        scheme, _, key = authorization.strip(b" \t").rpartition(b" ")
        if key and scheme.strip(b" \t").lower() in (b"", b"bearer"):
            return key
    return headers.get(b"x-api-key", b"").strip(b" \t") or None


def require_this_machine(scope: Scope) -> None:
    """Check that an administrative request without a key comes from this machine.

    Raises:
        Forbidden: it may come from another one; the detail says how to make a key.
    """
    if trait := foreign_trait(scope):
        raise Forbidden(
            "without API keys, models are loaded, unloaded and fitted only from the machine of the server, as "
            f"localhost and through no proxy, but {trait}; make a key with `manifold keys new NAME --role admin`, and "
            "give the server its file with MANIFOLD_KEYS_FILE, or its hash with MANIFOLD_API_KEYS"
        )

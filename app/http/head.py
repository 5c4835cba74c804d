"""Support for the method HEAD on every route that has GET (RFC 9110, 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTE_KEYS = ("route", "root_path", "app_root_path")
"""Keys of a scope by which routing says which route has answered."""


class HeadRequests:
    """Answers a HEAD request as the GET request for the same path, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, send_without_body)
        finally:
            scope.update({key: inner[key] for key in ROUTE_KEYS if key in inner})

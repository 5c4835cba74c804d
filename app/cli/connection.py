"""A connection to a server: to a running one at a URL, or to the application itself, run in this process.

Both are one HTTP client, so that limits, errors and answers are the same.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
from typing_extensions import override

from app.cli.errors import Refused, WrongUsage, sentence

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

    from app.registry.registry import Registry
    from app.settings import Settings

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
"""Time limits of requests that set none, which are those about the server itself."""
NO_TIMEOUT = httpx.Timeout(None)
KEY_HINT = "Here, --key or MANIFOLD_KEY gives the key."
IN_PROCESS_URL = "http://localhost"
OPEN_TO_THE_COMMAND = {"keys_file": None, "api_keys": (), "requests_per_minute": 0, "max_concurrent": 0}
"""Settings of an application in this process: only the command sends requests to it, so that it needs no key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """An open connection.

    Attributes:
        client: the HTTP client.
        registry: the models of the application in this process; None for a running server.
    """

    client: httpx.AsyncClient
    registry: "Registry | None" = None

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object that a route of the server answers.

        Raises:
            Refused: the server cannot be reached, or refuses the request.
        """
        answer = await self.send(self.client.build_request("GET", path))
        content = parse_object(answer)
        if answer.is_error:
            detail = sentence(Exception(content.get("detail", f"{path} answered {answer.status_code}")))
            raise Refused([f"{detail} {KEY_HINT}" if answer.status_code == HTTPStatus.UNAUTHORIZED else detail])
        return content

    async def send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """Send a request and return the answer, whatever its status.

        Raises:
            Refused: the server cannot be reached, or the connection breaks.
        """
        try:
            return await self.client.send(request, stream=stream)
        except httpx.HTTPError as error:
            raise Refused([explain_failure(error, self.client.base_url)]) from None


def explain_failure(error: httpx.HTTPError, url: httpx.URL) -> str:
    """Return a sentence about a connection that failed."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"No server answers at {url}. `manifold serve` starts one; without --url, none is needed."
    if isinstance(error, httpx.TimeoutException):
        return f"The server at {url} did not answer in time."
    return f"The connection to {url} failed: {error or type(error).__name__}."


def parse_object(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer, which may be an error.

    Raises:
        Refused: there is none, so that the answer is not from a server of this kind.
    """
    import orjson

    try:
        content = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        status = f"status {answer.status_code} and no JSON object"
        raise Refused([f"{answer.url} answered with {status}: this is not a Manifold server."])
    return content


@asynccontextmanager
async def connect(url: str | None, key: str | None, model: str | None) -> AsyncIterator[Connection]:
    """Connect to the server at a URL or, without one, to the application in this process, which loads no model yet.

    An empty URL is none. `key` is sent to a running server. `model` names the model that will be used; if it is a
    folder or an id of the hub, the application in this process knows it by that name.

    Raises:
        WrongUsage: the URL, the key or a setting of the environment is wrong.
        ManifoldError, ModelsError: there is no such model, or a checkpoint cannot be found.
    """
    if not url:
        async with _in_process(model) as connection:
            yield connection
        return
    async with httpx.AsyncClient(base_url=_parse_url(url), headers=_headers(key), timeout=TIMEOUT) as client:
        yield Connection(client=client)


def _parse_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.userinfo:
        raise WrongUsage(["--url has a user name or a password in it. A key is given by --key or MANIFOLD_KEY."])
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise WrongUsage([f"--url is {url!r}; it must be like http://localhost:8000."])
    return parsed


def _headers(key: str | None) -> Mapping[str, str]:
    if key is None:
        return {}
    if not (key.isascii() and key.isprintable() and key.strip()):
        raise WrongUsage(["The key given by --key or MANIFOLD_KEY is not made of visible ASCII characters."])
    return {"authorization": f"Bearer {key.strip()}"}


@asynccontextmanager
async def _in_process(model: str | None) -> AsyncIterator[Connection]:
    from app.main import create_app
    from app.services import Services

    app = create_app(_settings(model))
    services: Services = app.state  # type: ignore[assignment] # in place of starlette's untyped `State`
    services.pools.start()
    transport = InProcessTransport(app)
    try:
        with _unexpected_errors_shown():
            async with httpx.AsyncClient(transport=transport, base_url=IN_PROCESS_URL, timeout=NO_TIMEOUT) as client:
                yield Connection(client=client, registry=services.registry)
    finally:
        try:
            await services.registry.close()
        finally:
            services.decoders.close()
            services.pools.close()


def _settings(model: str | None) -> "Settings":
    """Return the settings of the environment, with the model, if it is given by its place, as a further one.

    Raises:
        WrongUsage: a setting is wrong, or names what does not exist.
        Refused: there is no such GPU.
    """
    from app.cli.options import read_settings, variable_name
    from app.cli.settings_checks import check_device, check_settings

    options: dict[str, Any] = dict(OPEN_TO_THE_COMMAND)
    if model and "/" in model:
        options["model"] = {model_name(model): model}

    def label(setting: str) -> str:
        return "--model" if setting == "model" and setting in options else variable_name(setting)

    settings = read_settings(options, label)
    check_settings(settings, label)
    if (problem := check_device(settings, label)) is not None:
        raise Refused([problem])
    return settings


def model_name(location: str) -> str:
    """Return the name of a model that is given by its folder or by its id on the hub: the last part of it.

    The name of a folder of a repository follows that of the repository, as in `name-vae`.
    """
    last = location.rstrip("/").rpartition("/")[2]
    return re.sub(r"@[^:]*", "", last).replace(":", "-") or location


@contextmanager
def _unexpected_errors_shown() -> Iterator[None]:
    """Show errors that nobody foresaw with their tracebacks; all others are answered, and shown as sentences."""
    logger, handler = logging.getLogger("app"), logging.StreamHandler()
    handler.addFilter(lambda record: record.exc_info is not None)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class InProcessTransport(httpx.AsyncBaseTransport):
    """Sends requests to an ASGI application in this process. Unlike httpx's own, it passes streams on as they come."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(self._app, request, await request.aread())
        return await exchange.answer()


class _Exchange(httpx.AsyncByteStream):
    """One request to an application, and the body of its answer."""

    def __init__(self, app: "ASGIApp", request: httpx.Request, body: bytes) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
        }
        self._body: bytes | None = body
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._is_left = asyncio.Event()
        self._task = asyncio.create_task(self._run(app, scope))

    async def answer(self) -> httpx.Response:
        """Return the answer once its head is there."""
        start = await self._messages.get()
        if start is None:  # the application failed before it answered
            await self._task
            raise httpx.RemoteProtocolError("the application ended without an answer")
        return httpx.Response(start["status"], headers=start["headers"], stream=self)

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._messages.get()) is not None:
            yield message.get("body", b"")
        await self._task

    @override
    async def aclose(self) -> None:
        """Let the application know that nobody reads further, and wait for its end."""
        self._is_left.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, app: "ASGIApp", scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._messages.put)
        finally:
            await self._messages.put(None)

    async def _receive(self) -> "Message":
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._is_left.wait()
        return {"type": "http.disconnect"}

"""The two clients. They differ only in how they wait; what they send is made in `calls`."""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from manifold_client.answer import Answer, parse, parse_answer
from manifold_client.async_tasks import AsyncTasks
from manifold_client.calls import LONGEST_WAIT_S, Call, Retries, error_in, event_in, json_in
from manifold_client.errors import ConnectionFailed, ManifoldError, TimedOut
from manifold_client.results import Info, ModelCard, ModelList
from manifold_client.tasks import Tasks

OutputT = TypeVar("OutputT")
EventT = TypeVar("EventT")

URL_VARIABLE, KEY_VARIABLE = "MANIFOLD_URL", "MANIFOLD_KEY"
"""Variables of the environment that give the address of the server and the key, where the arguments do not."""
DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_S = 30.0


class _Configuration:
    """The address, the key and the limits of a client; the arguments are those of `Manifold`.

    Raises:
        ValueError: an argument is not what a request could be made with.
    """

    def __init__(self, url: str | None, key: str | None, timeout: float, retries: int, max_retry_wait: float) -> None:
        self.url = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the address of the server is {self.url!r}; it must be like {DEFAULT_URL}")
        key = (key or os.environ.get(KEY_VARIABLE) or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ValueError("the key has characters that are not printable ASCII, so it cannot be sent")
        self.headers = {"authorization": f"Bearer {key}"} if key else {}
        if not (math.isfinite(timeout) and timeout > 0):
            raise ValueError(f"timeout is {timeout}; it must be a number of seconds above 0")
        if retries < 0:
            raise ValueError(f"retries is {retries}; it must be 0 or more")
        self.timeout_s = timeout
        self.retries = Retries(retries, max_retry_wait)

    def wait_s(self, attempt: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Return how long to wait before the call is made again; None if it is not.

        Raises:
            ManifoldError: the connection failed, and the call is not made again.
        """
        failed = outcome if isinstance(outcome, httpx.TransportError) else None
        if isinstance(failed, httpx.ReadTimeout | httpx.WriteTimeout):
            raise TimedOut(f"{self.url} did not answer in time") from failed
        wait_s = self.retries.wait_s(attempt, None if failed else outcome)  # type: ignore[arg-type]
        if failed is not None and wait_s is None:
            raise ConnectionFailed(f"{self.url} cannot be reached: {failed or type(failed).__name__}") from failed
        return wait_s


class Manifold(Tasks):
    """Client for ordinary code. It keeps connections open, and may be used by several threads.

    Each task of the server is a method. An answer with status 429 or 503, or a connection that fails, is tried again,
    after the time that the server asks for by `Retry-After`.

    Args:
        url: address of the server; the variable MANIFOLD_URL, else `http://127.0.0.1:8000`, if None.
        key: API key; the variable MANIFOLD_KEY, else none, if None.
        timeout: time in seconds to wait for an answer, unless a call sets its own.
        retries: number of further attempts.
        max_retry_wait: longest time in seconds to wait before an attempt.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        retries: int = 3,
        max_retry_wait: float = LONGEST_WAIT_S,
    ) -> None:
        self._configuration = _Configuration(url, key, timeout, retries, max_retry_wait)
        self._http = httpx.Client(base_url=self._configuration.url, headers=self._configuration.headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def models(self) -> list[ModelCard]:
        """Return every model that the server knows."""
        found: ModelList = parse(ModelList, self.request(Call("GET", "/models")))
        return found.models

    def model(self, name: str) -> ModelCard:
        """Return what the server knows about one model."""
        card: ModelCard = parse(ModelCard, self.request(Call("GET", _path_of(name))))
        return card

    def load(self, name: str, *, timeout: float = 600.0) -> ModelCard:
        """Load a model into memory, and return once it serves; this wants a key of the role `admin`, or no keys."""
        call = Call("POST", f"{_path_of(name)}/load", timeout_s=timeout)
        card: ModelCard = parse(ModelCard, self.request(call))
        return card

    def unload(self, name: str) -> ModelCard:
        """Free the memory of a model; this wants a key of the role `admin`, or no keys."""
        card: ModelCard = parse(ModelCard, self.request(Call("POST", f"{_path_of(name)}/unload")))
        return card

    def info(self) -> Info:
        """Return the versions, the default models and the limits of the server."""
        found: Info = parse(Info, self.request(Call("GET", "/info")))
        return found

    def metrics(self) -> str:
        """Return the metrics of the server in the text format of Prometheus."""
        response = self._send(Call("GET", "/metrics"))
        if not response.is_success:
            raise error_in(response)
        return response.text

    def is_ready(self) -> bool:
        """Return whether the server can be reached and every wanted model serves."""
        try:
            return self._http.get("/health/ready").is_success
        except httpx.TransportError:
            return False

    def request(self, call: Call) -> Any:
        """Make a call and return the JSON of its answer.

        Raises:
            ManifoldError: the call was refused or failed, after all retries.
        """
        return json_in(self._send(call))

    def _send(self, call: Call, *, stream: bool = False) -> httpx.Response:
        configuration = self._configuration
        request = self._http.build_request(**call.arguments(configuration.timeout_s))
        for attempt in range(configuration.retries.n_retries + 1):
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.send(request, stream=stream)
            except httpx.TransportError as error:
                outcome = error
            wait_s = configuration.wait_s(attempt, outcome)
            if wait_s is None and isinstance(outcome, httpx.Response):
                return outcome
            if isinstance(outcome, httpx.Response):
                outcome.close()
            time.sleep(wait_s or 0.0)
        raise AssertionError("the last attempt returns or raises")

    def _run(self, kind: type[OutputT], call: Call) -> Answer[OutputT]:
        return parse_answer(kind, self.request(call))

    def _stream(self, kind: type[EventT], call: Call) -> Iterator[EventT]:
        response = self._send(call, stream=True)
        try:
            if not response.is_success:
                response.read()
                raise error_in(response)
            for line in response.iter_lines():
                event = event_in(line)
                if event is not None and "usage" in event:
                    return
                if event is not None:
                    yield parse(kind, event)
            raise ConnectionFailed("the stream broke: it ended before its last event")
        except httpx.ReadTimeout as error:
            raise TimedOut(f"{self._configuration.url} sent no event in time") from error
        except httpx.TransportError as error:
            raise ConnectionFailed(f"the stream broke: {error or type(error).__name__}") from error
        finally:
            response.close()


class AsyncManifold(AsyncTasks):
    """Client for coroutines. It is the same as `Manifold`, whose arguments it takes, but its methods are awaited."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        retries: int = 3,
        max_retry_wait: float = LONGEST_WAIT_S,
    ) -> None:
        self._configuration = _Configuration(url, key, timeout, retries, max_retry_wait)
        self._http = httpx.AsyncClient(base_url=self._configuration.url, headers=self._configuration.headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def models(self) -> list[ModelCard]:
        """Return every model that the server knows."""
        found: ModelList = parse(ModelList, await self.request(Call("GET", "/models")))
        return found.models

    async def model(self, name: str) -> ModelCard:
        """Return what the server knows about one model."""
        card: ModelCard = parse(ModelCard, await self.request(Call("GET", _path_of(name))))
        return card

    async def load(self, name: str, *, timeout: float = 600.0) -> ModelCard:
        """Load a model into memory, and return once it serves; this wants a key of the role `admin`, or no keys."""
        call = Call("POST", f"{_path_of(name)}/load", timeout_s=timeout)
        card: ModelCard = parse(ModelCard, await self.request(call))
        return card

    async def unload(self, name: str) -> ModelCard:
        """Free the memory of a model; this wants a key of the role `admin`, or no keys."""
        card: ModelCard = parse(ModelCard, await self.request(Call("POST", f"{_path_of(name)}/unload")))
        return card

    async def info(self) -> Info:
        """Return the versions, the default models and the limits of the server."""
        found: Info = parse(Info, await self.request(Call("GET", "/info")))
        return found

    async def metrics(self) -> str:
        """Return the metrics of the server in the text format of Prometheus."""
        response = await self._send(Call("GET", "/metrics"))
        if not response.is_success:
            raise error_in(response)
        return response.text

    async def is_ready(self) -> bool:
        """Return whether the server can be reached and every wanted model serves."""
        try:
            return (await self._http.get("/health/ready")).is_success
        except httpx.TransportError:
            return False

    async def request(self, call: Call) -> Any:
        """Make a call and return the JSON of its answer.

        Raises:
            ManifoldError: the call was refused or failed, after all retries.
        """
        return json_in(await self._send(call))

    async def _send(self, call: Call, *, stream: bool = False) -> httpx.Response:
        configuration = self._configuration
        request = self._http.build_request(**call.arguments(configuration.timeout_s))
        for attempt in range(configuration.retries.n_retries + 1):
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.send(request, stream=stream)
            except httpx.TransportError as error:
                outcome = error
            wait_s = configuration.wait_s(attempt, outcome)
            if wait_s is None and isinstance(outcome, httpx.Response):
                return outcome
            if isinstance(outcome, httpx.Response):
                await outcome.aclose()
            await asyncio.sleep(wait_s or 0.0)
        raise AssertionError("the last attempt returns or raises")

    async def _run(self, kind: type[OutputT], call: Call) -> Answer[OutputT]:
        return parse_answer(kind, await self.request(call))

    async def _stream(self, kind: type[EventT], call: Call) -> AsyncIterator[EventT]:
        response = await self._send(call, stream=True)
        try:
            if not response.is_success:
                await response.aread()
                raise error_in(response)
            async for line in response.aiter_lines():
                event = event_in(line)
                if event is not None and "usage" in event:
                    return
                if event is not None:
                    yield parse(kind, event)
            raise ConnectionFailed("the stream broke: it ended before its last event")
        except httpx.ReadTimeout as error:
            raise TimedOut(f"{self._configuration.url} sent no event in time") from error
        except httpx.TransportError as error:
            raise ConnectionFailed(f"the stream broke: {error or type(error).__name__}") from error
        finally:
            await response.aclose()


def _path_of(model: str) -> str:
    """Return the path of a model's description.

    Raises:
        ManifoldError: the name is empty, or it would lead to another path.
    """
    if model in ("", ".", ".."):
        raise ManifoldError(f"{model!r} cannot be the name of a model")
    return f"/models/{quote(model, safe='')}"

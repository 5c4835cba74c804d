"""What routes are given: the registry, the settings, and `Call`, one inference request on its way."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, cast

import orjson
from fastapi import Depends, HTTPException
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.engine.policy import Outcome
from app.errors import (
    ClientDisconnected,
    DeadlineExceeded,
    Fault,
    InvalidRequest,
    MalformedBody,
    NotAcceptable,
    UnsupportedMediaType,
)
from app.media import (
    IMAGES,
    JSON,
    MULTIPART,
    NPY,
    PNG,
    content_type,
    hung_up,
    negotiate,
    parse_json,
    read_body,
    read_files,
)
from app.registry import Registry, ServedModel
from app.schemas.envelope import Body, Codecs, Schema
from app.settings import Settings
from models.codecs import ImageCodec
from models.codecs.arrays import Limits, parse_npy, to_npy
from models.errors import InvalidItems, UndecodableItems
from models.tasks import Request as TaskRequest

MAX_INLINE_RESULTS = 16
"""Answers with more are rendered off the event loop."""


def get_registry(request: Request) -> Registry:
    """The registry of this application."""
    registry: Registry = request.app.state.registry
    return registry


def get_settings(request: Request) -> Settings:
    """The settings of this application."""
    settings: Settings = request.app.state.settings
    return settings


RegistryDep = Annotated[Registry, Depends(get_registry)]
SettingsDep = Annotated[Settings, Depends(get_settings)]


class Call:
    """One inference request: its body checked, its model found. Use: `requests`, then `run`, then `respond`."""

    def __init__(self, request: Request, schema: Schema, settings: Settings, media_type: str) -> None:
        self._request, self._schema, self._settings, self._media_type = request, schema, settings, media_type
        self._is_small = False
        self.body: Body
        self.model: ServedModel
        self.codecs: Codecs

    async def open(self, registry: Registry) -> "Call":
        """Read and check the body, find the model."""
        self.body = await self._read()
        self.model = registry.serving(self._schema.task, self.body.model)
        checkpoint, loaded = self.model.require()
        self.codecs = Codecs(items=checkpoint.codec, latents=loaded.latents)
        if self._media_type == PNG and not isinstance(checkpoint.codec, ImageCodec):
            raise NotAcceptable(f"{self.model.name} has no images to answer with; accept {JSON} or {NPY}")
        return self

    async def requests(self) -> list[TaskRequest]:
        """The items as task requests, decoded off the event loop unless the body is small."""

        def decode() -> list[TaskRequest]:
            limits = Limits(max_items=self._settings.max_items, max_pixels=self._settings.max_pixels)
            return self._schema.requests(self.body, self.codecs, limits)

        try:
            return decode() if self._is_small else await run_in_threadpool(decode)
        except InvalidItems as error:
            raise _refusal(error) from error

    async def run(self, requests: list[TaskRequest]) -> Outcome:
        """Through the engine. A client that hangs up frees its place."""
        work = asyncio.ensure_future(self.model.run(self._schema.task, requests))
        watch = asyncio.ensure_future(hung_up(self._request))
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnected("the client hung up while waiting")
            return work.result()
        except InvalidItems as error:
            raise _refusal(error) from error
        finally:
            watch.cancel()
            if work.cancel():
                await asyncio.wait((work,))  # until its items have left the queue

    async def respond(self, outcome: Outcome) -> Response:
        """The answer in the negotiated type, with the headers every inference answer has."""
        is_small = self._is_small and len(outcome.results) <= MAX_INLINE_RESULTS
        content = self._render(outcome) if is_small else await run_in_threadpool(self._render, outcome)
        headers = {
            "x-model": self.model.name,
            "x-queue-time-ms": f"{outcome.queue_ms:.3f}",
            "x-inference-time-ms": f"{outcome.inference_ms:.3f}",
            "x-batch-size": str(outcome.batch_size),
        }
        return Response(content, media_type=self._media_type, headers=headers)

    def _render(self, outcome: Outcome) -> bytes:
        if self._schema.array and self._media_type == NPY:
            return to_npy(self._schema.array(outcome.results, self.codecs))
        if self._schema.array and self._media_type == PNG and isinstance(self.codecs.items, ImageCodec):
            return self.codecs.items.png(self._schema.array(outcome.results, self.codecs))
        outputs = self._schema.outputs(outcome.results, self.body, self.codecs)
        answer = {
            "model": self.model.name,
            "outputs": outputs,
            **self._schema.summary(outcome.results),
            "usage": {"items": len(outputs)},
        }
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)

    async def _read(self) -> Body:
        request, settings = self._request, self._settings
        kind = content_type(request)
        if kind == JSON:
            if request.scope["query_string"]:
                detail = f"query parameters {sorted(request.query_params)} go into the body when the body is JSON"
                raise InvalidRequest.of([Fault("", detail)])
            data = await self._read_whole()

            def parse() -> Body:
                return self._schema.parse(parse_json(data), strict=True)

            return parse() if self._is_small else await run_in_threadpool(parse)
        if kind == MULTIPART:
            inputs: Any = await read_files(request, settings.max_body_bytes, settings.max_items)
        elif kind in IMAGES:
            inputs = [await read_body(request, settings.max_body_bytes)]
        elif kind == NPY:
            try:
                inputs = parse_npy(await self._read_whole())
            except UndecodableItems as error:
                raise MalformedBody(str(error)) from error
        else:
            accepted = ", ".join((JSON, NPY, MULTIPART, *IMAGES))
            raise UnsupportedMediaType(f"the content type {kind[:100]!r} is not taken; accepted are {accepted}")
        return self._schema.parse(_from_query(request, inputs), strict=False)

    async def _read_whole(self) -> bytes:
        data = await read_body(self._request, self._settings.max_body_bytes)
        self._is_small = len(data) <= self._settings.inline_bytes
        return data


def call_of(schema: Schema) -> Callable[[Request], Coroutine[Any, Any, Call]]:
    """The dependency that opens a `Call` of this task."""
    offered = (JSON, *([NPY] if schema.array else []), *([PNG] if schema.answers_images else []))

    async def open_call(request: Request) -> Call:
        media_type = negotiate(request.headers.get("accept", ""), offered)
        return await Call(request, schema, get_settings(request), media_type).open(get_registry(request))

    return open_call


class TaskRoute(APIRoute):
    """A route whose endpoint has one dependency, a `Call`, and answers within the request's deadline.

    The deadline covers everything, from reading the body to rendering the answer. The one dependency is called
    directly: solving dependencies in general costs more than all the rest of a small request.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or raise for `handlers.py`."""
        request = Request(scope, receive)
        methods = self.methods or set()
        if scope["method"] not in methods:
            raise HTTPException(405, headers={"allow": ", ".join(methods)})
        timeout_ms = _timeout_ms(request)
        (opener,) = self.dependant.dependencies
        open_call = cast("Callable[[Request], Awaitable[Call]]", opener.call)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                response = await self.endpoint(await open_call(request))
        except TimeoutError:
            raise DeadlineExceeded(f"the answer was not ready within {timeout_ms} ms") from None
        await response(scope, receive, send)


def _timeout_ms(request: Request) -> int:
    settings = get_settings(request)
    given = request.headers.get("x-timeout-ms")
    if given is None:
        return settings.default_timeout_ms
    if not (given.isdecimal() and given.isascii() and 1 <= int(given) <= settings.max_timeout_ms):
        limit = f"it must be a whole number from 1 to {settings.max_timeout_ms}"
        raise InvalidRequest(f"x-timeout-ms is {given[:40]!r}; {limit}")
    return int(given)


def _from_query(request: Request, inputs: Any) -> dict[str, Any]:
    query = dict(request.query_params)
    model = {"model": query.pop("model")} if "model" in query else {}
    return {**model, "inputs": inputs, "parameters": query}


def _refusal(error: InvalidItems) -> InvalidRequest | MalformedBody:
    """Items are refused by place: `/inputs/3`, or `/inputs` where the fault is in all of them."""
    faults = [Fault("/inputs" if p.index is None else f"/inputs/{p.index}", p.detail) for p in error.problems]
    refusal = InvalidRequest.of(faults)
    return MalformedBody(refusal.detail, faults) if isinstance(error, UndecodableItems) else refusal

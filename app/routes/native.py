"""What routes are given: the registry, the settings, and `Call`, one inference request on its way."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cached_property
from typing import Annotated, Any, TypeVar, cast

import orjson
from fastapi import Depends, HTTPException
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.engine.policy import Outcome
from app.errors import (
    DeadlineExceeded,
    Fault,
    InvalidRequest,
    MalformedBody,
    ManifoldError,
    NotAcceptable,
    UnsupportedMediaType,
)
from app.http.content import (
    EVENTS,
    IMAGES,
    JSON,
    MULTIPART,
    NPY,
    PNG,
    Patience,
    Received,
    content_type,
    header,
    negotiate,
    parse_json,
    read_files,
)
from app.http.responses import UNBUFFERED, PacedResponse, Stream, failure, sse
from app.inference.offload import Aside
from app.registry.registry import Registry, ServedModel
from app.schemas.envelope import Body, Codecs, CodecSchema, Schema, Writer, parse_body
from app.settings import Settings
from models.checkpoint import Checkpoint
from models.codecs import ImageCodec
from models.codecs.arrays import Limits, parse_npy, to_npy
from models.errors import InvalidItems, UndecodableItems
from models.tasks import Request as TaskRequest

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_INLINE_NUMBERS = {JSON: 2**14, PNG: 2**14, NPY: 2**17}
"""Answers of more, which takes about half a millisecond, are rendered off the event loop."""
MAX_SHORT_BYTES = 2**18
"""Larger bodies may take seconds, for which the others do not wait."""
MAX_DIGITS = 12
"""Of a deadline."""
MAX_INLINE_TEXT_BYTES = 4096
"""Bodies of texts with more are cut into tokens off the event loop: about a megabyte a second."""


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
    """One inference request: its model found, its body checked. Use: `requests`, then `run`, then `respond`.

    A route has a schema for each kind of model that serves its task; which one counts is up to the model.
    """

    def __init__(self, request: Request, schemas: Sequence[Schema | CodecSchema], settings: Settings) -> None:
        self._request, self._schemas, self._settings = request, schemas, settings
        self._aside: Aside = request.app.state.aside
        self._is_small = False
        self._n_bytes = 0
        self._media_type = JSON
        self.body: Body
        self.model: ServedModel
        self.codecs: Codecs

    async def open(self, registry: Registry) -> "Call":
        """Read the body, find the model, check the body."""
        values, is_json = await self._read()
        self.model = registry.asked(self._schemas[0].name, values)
        checkpoint, loaded = self.model.require()
        chosen = self._chosen(checkpoint)
        self._schema = cast("Schema", chosen)  # a CodecSchema only where `answer` is called
        if isinstance(chosen, Schema):
            loaded.engine.require_room()
        self._engine = loaded.engine
        self._media_type = self._negotiated(chosen)
        self.codecs = Codecs(items=checkpoint.codec, latents=loaded.latents, labels=loaded.labels)
        if self._media_type == PNG and not isinstance(checkpoint.codec, ImageCodec):
            raise NotAcceptable(f"{self.model.name} has no images to answer with; accept {JSON} or {NPY}")

        def parse() -> Body:
            return parse_body(chosen.body, values, strict=is_json)

        self.body = parse() if self._is_small or not is_json else await self._beside(parse)
        return self

    @property
    def streams(self) -> bool:
        """Whether the client asked for a stream."""
        return bool(getattr(getattr(self.body, "parameters", None), "stream", False))

    def _chosen(self, checkpoint: Checkpoint) -> Schema | CodecSchema:
        """The schema of the task as this model has it; the first where the model's tasks do not decide."""
        return next(
            (s for s in self._schemas if isinstance(s, Schema) and s.task in checkpoint.tasks), self._schemas[0]
        )

    def _negotiated(self, schema: Schema | CodecSchema) -> str:
        array = isinstance(schema, Schema) and schema.array
        images = isinstance(schema, Schema) and schema.answers_images
        offered = (JSON, *([NPY] if array else []), *([PNG] if images else []))
        accept = header(self._request, b"accept") or ""
        wants_stream = isinstance(schema, Schema) and schema.writer is not None and EVENTS in accept
        return JSON if wants_stream else negotiate(accept, offered)

    async def requests(self) -> list[TaskRequest]:
        """The items as task requests, decoded off the event loop unless the body is small."""

        def decode() -> list[TaskRequest]:
            return self._schema.requests(self.body, self.codecs, self._limits())

        is_of_items = self._schema.modality == "item"
        is_quick = self._is_small and not self._has_images() if is_of_items else self._is_short_text
        return decode() if is_quick else await self._beside(decode)

    @property
    def _is_short_text(self) -> bool:
        """Whether texts of the body are cut into tokens in no time."""
        return self._is_small and self._n_bytes <= MAX_INLINE_TEXT_BYTES

    def _has_images(self) -> bool:
        """Whether there are encoded ones, of which a few bytes may be millions of pixels."""
        inputs = getattr(self.body, "inputs", None)
        items = inputs if isinstance(inputs, list) else [inputs]
        return self._schema.takes_images and any(isinstance(item, str | bytes) for item in items)

    async def run(self, requests: list[TaskRequest]) -> Outcome:
        """Through the engine. A client that hangs up frees its place."""
        self._requests = requests
        writer = self._writer(requests)
        return await self._engine.submit(self._schema.task, requests, writer.hear if writer else None)

    async def stream(self, requests: list[TaskRequest]) -> Response:
        """Through the engine, answered step by step as Server-Sent Events, from the first on.

        What is refused before the first event is refused as ever; an error after it is the last event. A client that
        hangs up ends what it asked for.
        """
        writer = self._schema.writer
        if writer is None:
            raise InvalidRequest(f"{self._schema.name} does not stream")
        self._requests = requests
        stream = Stream(writer(requests, self.body, self.codecs))
        stream.start(self._engine.submit(self._schema.task, requests, stream.hear), timeout_ms(self._request))
        try:
            await stream.begun()
        except BaseException:
            stream.end()
            raise
        return StreamingResponse(
            self._events(stream), media_type=EVENTS, headers={"x-model": self.model.name, **UNBUFFERED}
        )

    async def _events(self, stream: Stream) -> AsyncIterator[bytes]:
        try:
            async for event in stream:
                yield sse(event)
            outcome = stream.outcome()
            count = {"items": len(self._requests), **self._schema.usage(self._requests, outcome.results)}
            yield sse({"model": self.model.name, "usage": count})
        except InvalidItems as error:
            yield sse(failure(self._request.state.request_id, _refusal(error)))
        except ManifoldError as error:
            yield sse(failure(self._request.state.request_id, error))
        finally:
            stream.end()

    async def reply(self, requests: list[TaskRequest]) -> Response:
        """`run`, then `respond`."""
        return await self.respond(await self.run(requests))

    async def answer(self) -> Response:
        """By the codec alone."""
        schema = cast("CodecSchema", self._schema)

        def render() -> bytes:
            limits = self._limits()
            outputs = schema.outputs(self.body, self.codecs, limits)
            content = {"model": self.model.name, "outputs": outputs, "usage": {"items": len(outputs)}}
            return orjson.dumps(content)

        content = render() if self._is_short_text else await self._beside(render)
        return self._answered(content)

    def _writer(self, requests: list[TaskRequest]) -> Writer | None:
        """Only stop strings need one, where the answer is no stream."""
        make = self._schema.writer
        if make is None or getattr(getattr(self.body, "parameters", None), "stop", None) is None:
            return None
        return make(requests, self.body, self.codecs)

    def _limits(self) -> Limits:
        settings = self._settings
        return Limits(
            max_items=settings.max_items, max_pixels=settings.max_pixels, max_characters=settings.max_characters
        )

    async def respond(self, outcome: Outcome) -> Response:
        """The answer in the negotiated type, with the headers every inference answer has."""
        results = outcome.results
        n_numbers = self._schema.n_numbers(results)
        is_quick = n_numbers is not None and n_numbers <= MAX_INLINE_NUMBERS[self._media_type]
        content = self._render(outcome) if is_quick else await self._beside(self._render, outcome)
        return self._answered(
            content,
            (b"x-queue-time-ms", b"%.3f" % outcome.queue_ms),
            (b"x-inference-time-ms", b"%.3f" % outcome.inference_ms),
            (b"x-batch-size", b"%d" % outcome.batch_size),
        )

    async def _beside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Off the event loop; large bodies, and what is made of them, among themselves."""
        return await self._aside.run(work, *arguments, is_long=self._n_bytes > MAX_SHORT_BYTES)

    def _answered(self, content: bytes, *headers: tuple[bytes, bytes]) -> Response:
        its = (b"x-model", self.model.name.encode("latin-1"))
        return PacedResponse(content, self._media_type, [its, *headers])

    def _render(self, outcome: Outcome) -> bytes:
        if self._schema.array and self._media_type == NPY:
            return to_npy(self._schema.array(outcome.results, self.codecs))
        if self._schema.array and self._media_type == PNG and isinstance(self.codecs.items, ImageCodec):
            return self.codecs.items.png(self._schema.array(outcome.results, self.codecs))
        outputs = self._schema.outputs(outcome.results, self._requests, self.body, self.codecs)
        answer = {
            "model": self.model.name,
            "outputs": outputs,
            **self._schema.summary(outcome.results),
            "usage": {"items": len(outputs), **self._schema.usage(self._requests, outcome.results)},
        }
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)

    async def _read(self) -> tuple[Any, bool]:
        """The body as it came, and whether it is JSON."""
        request, settings = self._request, self._settings
        kind = content_type(request)
        if kind == JSON:
            if request.scope["query_string"]:
                detail = f"query parameters {sorted(request.query_params)} go into the body when the body is JSON"
                raise InvalidRequest.of([Fault("", detail)])
            data = await self._read_whole()
            return (parse_json(data) if self._is_small else await self._beside(parse_json, data)), True
        if not any(isinstance(schema, Schema) and schema.takes_arrays for schema in self._schemas):
            raise UnsupportedMediaType(f"the content type {kind[:100]!r} is not taken; accepted is {JSON}")
        if kind == MULTIPART:
            inputs: Any = await read_files(request, settings.max_body_bytes, settings.max_items)
            self._n_bytes = sum(map(len, inputs))
        elif kind in IMAGES:
            inputs = [await self._read_whole()]
        elif kind == NPY:
            try:
                inputs = parse_npy(await self._read_whole())
            except UndecodableItems as error:
                raise MalformedBody(str(error)) from error
        else:
            accepted = ", ".join((JSON, NPY, MULTIPART, *IMAGES))
            raise UnsupportedMediaType(f"the content type {kind[:100]!r} is not taken; accepted are {accepted}")
        return _from_query(request, inputs), False

    async def _read_whole(self) -> bytes:
        data = await Received(self._request, self._settings.max_body_bytes).whole()
        self._n_bytes = len(data)
        self._is_small = self._n_bytes <= self._settings.inline_bytes
        return data


class Opener:
    """The dependency that opens a `Call` of a task, which has one schema for each kind of model."""

    def __init__(self, schemas: Sequence[Schema | CodecSchema]) -> None:
        self.schemas = schemas

    async def __call__(self, request: Request) -> Call:
        """Of this request."""
        return await Call(request, self.schemas, get_settings(request)).open(get_registry(request))


def call_of(*schemas: Schema | CodecSchema) -> Opener:
    """See `Opener`."""
    return Opener(schemas)


class TaskRoute(APIRoute):
    """A route whose endpoint has one dependency, a `Call`, and answers within the request's deadline.

    The deadline covers everything, from reading the body to rendering the answer. A client has as long again to read
    it; then the connection is closed, for what is not read is kept in memory. The one dependency is called
    directly: solving dependencies in general costs more than all the rest of a small request.
    """

    @cached_property
    def opener(self) -> Opener:
        """The one dependency."""
        (dependency,) = self.dependant.dependencies
        return cast("Opener", dependency.call)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or raise for `handlers.py`."""
        request = Request(scope, receive)
        methods = self.methods or set()
        if scope["method"] not in methods:
            raise HTTPException(405, headers={"allow": ", ".join(methods)})
        limit_ms = timeout_ms(request)
        response: Response | None = None
        try:
            async with Patience(request, limit_ms / 1000) as patience:
                call = await self.opener(request)
                patience.watch()
                response = await self.endpoint(call)
                patience.unwatch()
                patience.renew()
                await response(scope, receive, send)
        except InvalidItems as error:
            raise _refusal(error) from error
        except TimeoutError:
            if response is None:
                raise DeadlineExceeded(f"the answer was not ready within {limit_ms} ms") from None
            log.warning("a client did not read its answer", extra={"request_id": request.state.request_id})


def timeout_ms(request: Request) -> int:
    """The request's deadline."""
    settings = get_settings(request)
    given = header(request, b"x-timeout-ms")
    if given is None:
        return settings.default_timeout_ms
    is_number = given.isdecimal() and given.isascii() and len(given) <= MAX_DIGITS
    if not (is_number and 1 <= int(given) <= settings.max_timeout_ms):
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

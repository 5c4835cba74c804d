"""The route that fits a model to a user's own file: `manifold fit` in a process beside the server."""

import asyncio
import os
import time
from contextlib import aclosing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.concurrency.fit_process import FitJob
from app.errors import Fault, FitUnavailable, InvalidRequest, UnsupportedMediaType
from app.http.content import CSV, NDJSON, NPY, PARQUET, content_type, read_body
from app.http.context import context_in
from app.http.deadline import deadline_of
from app.http.problems import report_error
from app.http.responses import UNBUFFERED_HEADERS, task_json
from app.inference.deadline import Deadline
from app.routes.openapi import BINARY, problem_responses, reference
from app.schemas.fit import DEFAULT_MINUTES, FitParameters
from app.services import Services, services_in
from models.checkpoint import is_checkpoint

router = APIRouter(tags=["service"])

ENDINGS = {CSV: ".csv", "text/tab-separated-values": ".tsv", NDJSON: ".ndjson", PARQUET: ".parquet", NPY: ".npy"}
"""Endings of the names of files by their content types, by which `manifold fit` reads them."""
GRACE_S = 120.0
"""Time in seconds that a fit has beside its minutes: to start, to read the file, to measure and to write."""
TO_SAVE_TIME = "ask for fewer minutes, or send fewer rows"
NOTE = b'{"note":'
"""Begin of the lines that say what was decided; the file may still be refused after them."""
_BODIES = {kind: {"schema": BINARY if kind in (PARQUET, NPY) else {"type": "string"}} for kind in ENDINGS}


class LinesResponse(Response):
    """An answer whose media type is declared in the OpenAPI document."""

    media_type = NDJSON


class FitAnswer(LinesResponse):
    """A fit, whose lines are sent as soon as they are known.

    An error before the first line that matters is answered as any other error; a later one becomes the last line. If
    the client leaves, the fit is ended.
    """

    def __init__(self, request: Request, job: FitJob, deadline: Deadline) -> None:
        super().__init__()
        self._request, self._job, self._deadline = request, job, deadline

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive the file, fit a model to it and send the lines."""
        context, deadline = context_in(scope), self._deadline
        try:
            await self._run(send, services_in(scope))
        except Exception as error:
            reason = deadline.exceeded() if isinstance(error, TimeoutError) else error
            if context.status == 0:
                raise reason from None
            problem = report_error(reason, context)
            last = task_json({"error": problem.content(context.request_id)}) + b"\n"
            await send({"type": "http.response.body", "body": last, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _run(self, send: Send, services: Services) -> None:
        context, pending = context_in(self._request.scope), b""
        async with services.fits.turn():
            data = await read_body(self._request, services.settings.max_body_bytes, services.pools)
            context.memory.claim(self._job.max_bytes)
            async with (
                asyncio.timeout(self._deadline.at_s - time.monotonic()),
                aclosing(services.fits.lines(self._job, data)) as lines,
            ):
                async for line in lines:
                    pending += line
                    if context.status == 0 and line.startswith(NOTE):
                        continue
                    if context.status == 0:
                        headers = {"content-type": NDJSON, **UNBUFFERED_HEADERS}
                        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
                        await send({"type": "http.response.start", "status": 200, "headers": pairs})
                    await send({"type": "http.response.body", "body": pending, "more_body": True})
                    pending = b""


@router.post(
    "/fit",
    operation_id="fit_model",
    summary="Fit a model to a file",
    response_class=LinesResponse,
    response_description="A JSON object on each line: `found`, `note`, `progress`, and at the end `result` or `error`.",
    responses={
        200: {"content": {NDJSON: {"schema": {"type": "string"}}}},
        **problem_responses(400, 403, 413, 415, 422, 429, 500, 501, 504),
    },
    openapi_extra={
        "requestBody": {"required": True, "content": _BODIES},
        "parameters": [reference("parameters", "x-timeout-ms")],
    },
)
async def fit_model(request: Request, parameters: Annotated[FitParameters, Query()]) -> Response:
    """Make an anomaly detector from a table or a series, as `manifold fit` does, and tell the progress.

    The checkpoint is written into the folder of fitted models, and is served once it is loaded. One model is fitted at
    a time, by a process of its own, which ends when its client leaves or its time is over. The time limit is that of
    the fit and two minutes more, unless the header `x-timeout-ms` names another.
    """
    services = services_in(request.scope)
    settings = services.settings
    _require_fits(settings.fit_minutes)
    kind = content_type(request)
    if kind not in ENDINGS:
        raise UnsupportedMediaType(f"the content type {kind[:100]!r} is not taken; accepted are {', '.join(ENDINGS)}")
    minutes = parameters.minutes or min(DEFAULT_MINUTES, settings.fit_minutes)
    if minutes > settings.fit_minutes:
        limit = f"{minutes:g} is more than {settings.fit_minutes}, the limit (fit_minutes)"
        raise InvalidRequest.of([Fault("/query/minutes", limit)])
    longest_s = GRACE_S + 60 * minutes
    deadline = deadline_of(request, settings, TO_SAVE_TIME, default_ms=int(1000 * longest_s))
    context_in(request.scope).timer.end_at(deadline.at_s, deadline.exceeded)
    folder = settings.checkpoints_dir / parameters.name
    if not parameters.dry_run:
        await _check_folder(services, folder, may_replace=parameters.replace)
    job = FitJob(
        folder=folder,
        file_name=f"{parameters.name}{ENDINGS[kind]}",
        options=parameters.options(minutes),
        may_replace=parameters.replace,
        max_bytes=settings.fit_memory,
        n_threads=settings.torch_threads,
    )
    return FitAnswer(request, job, deadline)


def _require_fits(fit_minutes: int) -> None:
    """Check that this server fits models.

    Raises:
        FitUnavailable: it does not, or lacks a package for it.
    """
    if fit_minutes == 0:
        raise FitUnavailable("this server fits no models, since the setting fit_minutes is 0")
    package = missing_package()
    if package is not None:
        advice = "pip install -c constraints.txt -e '.[fit]' installs it"
        raise FitUnavailable(f"fitting a model needs the package {package}; {advice}")


@cache
def missing_package() -> str | None:
    """Return a package that `manifold fit` needs and that is not installed, if there is one."""
    return next((name for name in ("training", "matplotlib") if find_spec(name) is None), None)


async def _check_folder(services: Services, folder: Path, *, may_replace: bool) -> None:
    """Check that the checkpoint of a new model may be put into a folder.

    Raises:
        InvalidRequest: the name is that of another model, or of one that is not to be replaced, or of no model.
    """
    known = services.registry.models.get(folder.name)
    if known is not None and known.folder != folder:
        detail = f"{folder.name} is the name of a model that comes with the server or that its settings name"
        raise InvalidRequest.of([Fault("/query/name", detail)])
    exists, is_model = await services.pools.run(lambda: (os.path.lexists(folder), is_checkpoint(folder)))
    if exists and not is_model:
        raise InvalidRequest.of([Fault("/query/name", f"a file or folder is named {folder.name}, and is no model")])
    if exists and not may_replace:
        detail = f"a model is named {folder.name}; replace=true replaces it"
        raise InvalidRequest.of([Fault("/query/name", detail)])

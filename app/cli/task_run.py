"""Running a task from the command line: the inputs are read, sent to a server, and its outputs written."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import httpx
import orjson

from app.cli.connection import Connection, connect, explain_failure, model_name
from app.cli.errors import Refused, WrongUsage
from app.cli.inputs import Item, Reader
from app.cli.outputs import WRITERS, JsonLinesWriter, JsonWriter, PictureFolderWriter, Writer, open_output
from app.cli.parameters import parameters_in
from app.cli.requests import Answer, Call, answers, refusal, refusal_of, send_patiently, split
from app.cli.tables import TableWriter

if TYPE_CHECKING:
    from rich.progress import Progress

    from app.schemas.shared.task_schema import TaskEndpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A connection to a server, its limits, and the call to make."""

    connection: Connection
    limits: Mapping[str, int]
    call: Call


async def run_task(endpoint: "TaskEndpoint", values: Mapping[str, Any]) -> None:
    """Run a task with the values of its command's options and arguments.

    Raises:
        Refused: an input, a parameter or the task is refused, or the server fails.
        WrongUsage: options contradict each other or name something that does not exist.
        ManifoldError, ModelsError: the application in this process cannot be made, or has no such model.
    """
    parameters = parameters_in(values)
    path: Path | None = values["output"]
    if sum((path is not None, values["as_json"], values["as_lines"])) > 1:
        raise WrongUsage(["--output, --json and --ndjson exclude each other."])
    if parameters.get("stream") and values["as_json"]:
        raise WrongUsage(["--stream has no single object for --json; --ndjson prints its events."])
    items = _read(endpoint, values) if "inputs" in values else None
    with _open_writer(endpoint, path, values) as writer:
        async with _connect(endpoint, items, parameters, writer, values) as server:
            if parameters.get("stream"):
                if path is not None:
                    raise WrongUsage(["--stream prints texts as they come; it has no --output."])
                await _print_stream(server, items or (), as_lines=values["as_lines"])
                return
            await _require_whole_series(server, items or ())
            groups = _groups(endpoint, items, parameters, writer, server.limits)
            # closed before the connection is, so that no request is under way when the writing of an answer fails
            async with aclosing(_with_progress(server, groups)) as received:
                async for answer in received:
                    for warning in answer.warnings:
                        click.echo(f"Warning: {warning}", err=True)
                    writer.write(answer)
        writer.finish()


def _read(endpoint: "TaskEndpoint", values: Mapping[str, Any]) -> list[Item]:
    takes_numbers = any(getattr(schema, "takes_arrays", False) for schema in endpoint.schemas)
    takes_texts = "text" in endpoint.kinds
    reader = Reader(
        takes_texts=takes_texts,
        takes_words=endpoint.is_about_texts,
        text_format="lines" if endpoint.is_about_texts or not takes_numbers else "csv",
        format=values["format"],
        whole=values["whole"],
        field=values["field"],
    )
    return reader.read(values["inputs"], values.get("texts", ()))


@contextmanager
def _open_writer(endpoint: "TaskEndpoint", path: Path | None, values: Mapping[str, Any]) -> Iterator[Writer]:
    if path is not None and path.is_dir():
        yield PictureFolderWriter(path)
        return
    with open_output(path) as file:
        if path is not None:
            yield WRITERS[path.suffix.lower()](file)
        elif values["as_lines"]:
            yield JsonLinesWriter(file)
        elif values["as_json"]:
            yield JsonWriter(file)
        else:
            images = any(getattr(schema, "answers_images", False) for schema in endpoint.schemas)
            yield TableWriter(has_pictures=images)


@asynccontextmanager
async def _connect(
    endpoint: "TaskEndpoint",
    items: Sequence[Item] | None,
    parameters: Mapping[str, Any],
    writer: Writer,
    values: Mapping[str, Any],
) -> AsyncIterator[Server]:
    """Connect, choose the model and, in this process, load it."""
    timeout_s: float | None = values["timeout_s"]
    if timeout_s is not None and not timeout_s > 0:
        raise WrongUsage([f"--timeout is {timeout_s:g}; it must be more than 0 seconds."])
    async with connect(values["url"], values["key"], values["model"]) as connection:
        info = await connection.get("/info")
        if not {"limits", "default_models"} <= info.keys():
            raise Refused([f"The server at {values['url']} is not a Manifold server."])
        model = values["model"] or _default_model(endpoint, items, info)
        if connection.registry is not None and model is not None:
            model = model_name(model)
            await _load(connection, endpoint, model)
        call = Call(
            path=endpoint.path,
            model=model,
            parameters=parameters,
            accept=writer.accept,
            timeout_ms=None if timeout_s is None else max(1, round(1000 * timeout_s)),
        )
        yield Server(connection=connection, limits=info["limits"], call=call)


def _default_model(endpoint: "TaskEndpoint", items: Sequence[Item] | None, info: Mapping[str, Any]) -> str | None:
    """Return the default model for the items; None if there is none, which the server then says itself.

    Raises:
        Refused: the items are texts, and no model of texts serves the task.
    """
    from app.errors import InvalidRequest
    from app.registry.defaults import default_name
    from app.schemas.shared.kinds import kind_of_inputs

    try:
        kind = kind_of_inputs(None if items is None else [item.value for item in items], endpoint.kinds)
    except InvalidRequest as error:
        raise refusal_of({"errors": [asdict(fault) for fault in error.faults]}, items) from None
    name = default_name(info["default_models"], endpoint.name, kind)
    if name is None and kind == "text":
        raise Refused([f"no model serves {endpoint.name} for texts"])
    return name


async def _load(connection: Connection, endpoint: "TaskEndpoint", name: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    if connection.registry is None:
        return
    model = connection.registry.model_for(endpoint.name, name)
    with Console(stderr=True).status(escape(f"Loading {name}")):
        await connection.registry.load(model.name)


async def _require_whole_series(server: Server, items: Sequence[Item]) -> None:
    """Refuse single rows for a model of series, which would take the rows of each request for a series of its own.

    Raises:
        WrongUsage: an item is a row, and the model takes series with columns.
    """
    model, values = server.call.model, [item.value for item in items]
    columns = [value.values() for value in values if isinstance(value, dict)]
    rows = [cells for cells in columns if not any(isinstance(cell, list) for cell in cells)]
    if model is None or not rows:
        return
    card = await server.connection.get(f"/models/{quote(model, safe='')}")
    if card["item"]["modality"] == "table_series":
        raise WrongUsage(
            [f"{model} takes series, and not single rows: --whole takes the rows of each file as a series."]
        )


def _groups(
    endpoint: "TaskEndpoint",
    items: Sequence[Item] | None,
    parameters: Mapping[str, Any],
    writer: Writer,
    limits: Mapping[str, int],
) -> list[Sequence[Item] | None]:
    """Return the items in groups for one request each; a single one where the outputs depend on all inputs."""
    if items is None:
        return [None]
    is_joint = endpoint.is_joint or any(parameters.get(name, False) is not False for name in endpoint.joint_parameters)
    if writer.per_answer == "one" and not is_joint:
        return [[item] for item in items]
    return [items] if writer.per_answer == "all" or is_joint else [*split(items, limits)]


async def _with_progress(server: Server, groups: Sequence[Sequence[Item] | None]) -> AsyncGenerator[Answer, None]:
    """Yield the answers, and show on standard error how far they are, if there is more than one."""
    timeout_ms = server.limits["default_timeout_ms"]
    async with aclosing(answers(server.connection, server.call, groups, timeout_ms)) as sent:
        if len(groups) < 2:
            async for answer in sent:
                yield answer
            return
        with progress_bar() as progress:
            bar = progress.add_task(server.call.path[1:], total=sum(len(group or ()) for group in groups))
            async for answer in sent:
                progress.advance(bar, len(answer.items or ()))
                yield answer


def progress_bar() -> "Progress":
    """Return a bar that shows how many items are done and the time that is left, if standard error is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


async def _print_stream(server: Server, items: Sequence[Item], *, as_lines: bool) -> None:
    """Print the texts as their tokens come, or the events as lines of JSON. The texts of several inputs take turns."""
    response = await send_patiently(
        server.connection,
        lambda: server.call.request(server.connection, items, server.limits["default_timeout_ms"]),
        stream=True,
    )
    try:
        if response.is_error:
            await response.aread()
            raise refusal(response, items)
        printer = StreamPrinter()
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            event = orjson.loads(line.removeprefix("data: "))
            if "error" in event:
                raise refusal_of(event["error"], items)
            if as_lines:
                click.echo(orjson.dumps(event).decode())
            elif "text" in event:
                printer.print(event)
        printer.finish()
    except httpx.HTTPError as error:
        raise Refused([explain_failure(error, server.connection.client.base_url)]) from None
    finally:
        await response.aclose()


class StreamPrinter:
    """Prints texts that are generated at the same time, one after the other, each as soon as its turn has come."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, int], str] = {}
        self._ended: set[tuple[int, int]] = set()
        self._current: tuple[int, int] | None = None

    def print(self, event: Mapping[str, Any]) -> None:
        """Print the new characters of a text, if it is the one whose turn it is, and keep them otherwise."""
        key = (event["input"], event["generation"])
        self._waiting[key] = self._waiting.get(key, "") + event["text"]
        if event["finish_reason"] is not None:
            self._ended.add(key)
        self._current = self._current or key
        while self._current in self._waiting:
            click.echo(self._waiting.pop(self._current), nl=self._current in self._ended)
            if self._current not in self._ended:
                return
            self._current = min(self._waiting, default=None)

    def finish(self) -> None:
        """Print what is left of texts that did not end."""
        for key in sorted(self._waiting):
            click.echo(self._waiting[key])

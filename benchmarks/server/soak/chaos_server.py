"""Run `manifold serve` in a process that can be hurt from outside: `manifold bench soak` starts it.

Commands come as lines over a Unix socket, whose path is in the variable MANIFOLD_CHAOS_SOCKET:

    kill MODEL     raise SystemExit in a worker thread of a model
    clock SECONDS  let `time.time` be so many seconds ahead of the clock of the system

The variable MANIFOLD_PLANTED_FAULT names a fault that is planted, so that the suite can be seen to find it; `wrong:100`
lets one request in a hundred meet it.
"""

import asyncio
import ctypes
import os
import socket
import threading
import time
from itertools import count
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SOCKET_VARIABLE, PLANT_VARIABLE = "MANIFOLD_CHAOS_SOCKET", "MANIFOLD_PLANTED_FAULT"
ONE_IN = 500
"""One request in so many meets a planted fault that names no other number."""
LEAK_BYTES = 2**15
STALL_S = 0.25


class Clock:
    """Replaces `time.time`, so that the clock can be moved for this process alone."""

    def __init__(self) -> None:
        self._system_time, self.ahead_s = time.time, 0.0

    def install(self) -> None:
        """Replace `time.time`; modules that import it by name must be imported later."""
        time.time = lambda: self._system_time() + self.ahead_s


class PlantedFault:
    """A layer around the application that misbehaves now and then."""

    def __init__(self, app: ASGIApp, kind: str, one_in: int = ONE_IN) -> None:
        self._app, self._kind, self._one_in = app, kind, one_in
        self._numbers = count(1)
        self._leaked: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, well or badly."""
        is_chosen = _is_of_soak(scope) and next(self._numbers) % self._one_in == 0
        if self._kind == "leak" and scope["type"] == "http":
            self._leaked.append(os.urandom(LEAK_BYTES))
        if not is_chosen or self._kind == "leak":
            await self._app(scope, receive, send)
        elif self._kind == "lost":
            while (await receive())["type"] != "http.disconnect":
                pass
        elif self._kind == "wrong":
            await self._app(scope, receive, _altering(send))
        elif self._kind == "stall":
            time.sleep(STALL_S)  # blocks the event loop on purpose
            await self._app(scope, receive, send)
        elif self._kind == "failing":
            await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
        else:
            raise ValueError(f"there is no planted fault {self._kind!r}")


def _is_of_soak(scope: Scope) -> bool:
    """Return whether a request is one of the soak's own, and not one from which right answers are learnt."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    return any(name == b"x-request-id" and value.startswith(b"soak-") for name, value in scope["headers"])


def _altering(send: Send) -> Send:
    """Return a function that sends an answer with its first digit 1 to 8 increased."""

    async def send_altered(message: Message) -> None:
        body = bytes(message.get("body", b""))
        at = next((number for number, byte in enumerate(body) if byte in b"12345678"), None)
        if at is not None:
            message = {**message, "body": body[:at] + bytes([body[at] + 1]) + body[at + 1 :]}
        await send(message)

    return send_altered


def kill_worker(model: str) -> bool:
    """Raise SystemExit in a worker thread of a model, at its next instruction; return whether there is one."""
    for thread in threading.enumerate():
        if thread.name == f"worker-{model}" and thread.ident is not None:
            raised: int = ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
            )
            return raised == 1
    return False


def listen_for_commands(path: str, clock: Clock) -> None:
    """Answer commands on a thread, each over a connection of its own, by `done` or `failed`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def answer_all() -> None:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("r") as lines:
                connection.sendall(b"done" if _obey(lines.readline().split(), clock) else b"failed")

    threading.Thread(target=answer_all, name="chaos", daemon=True).start()


def _obey(words: list[str], clock: Clock) -> bool:
    match words:
        case ["kill", model]:
            return kill_worker(model)
        case ["clock", seconds]:
            clock.ahead_s = float(seconds)
            return True
        case _:
            return False


def _plant(planted: str) -> None:
    """Let the server wrap its application in a fault."""
    from app.process import serve

    kind, _, one_in = planted.partition(":")
    create_app = serve.__dict__["create_app"]

    def create_with_fault(*arguments: Any) -> Any:
        app = create_app(*arguments)
        app.middleware_stack = PlantedFault(app.build_middleware_stack(), kind, int(one_in or ONE_IN))
        return app

    serve.__dict__["create_app"] = create_with_fault


def main() -> None:
    """Run `manifold serve` with the arguments of this process."""
    clock = Clock()
    clock.install()
    listen_for_commands(os.environ[SOCKET_VARIABLE], clock)
    if planted := os.environ.get(PLANT_VARIABLE):
        _plant(planted)
    from app.cli import main as run_command

    run_command(prog_name="manifold")


async def command(path: str, *words: object) -> bool:
    """Send a command to a server that runs this module; return whether it was done."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(f"{' '.join(map(str, words))}\n".encode())
        return await reader.read() == b"done"
    finally:
        writer.close()


if __name__ == "__main__":
    main()

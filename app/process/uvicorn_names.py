"""The attributes of uvicorn's objects, private ones among them, that the server's own protocol is built on."""

import inspect
from typing import Any

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

ATTRIBUTES: dict[type, tuple[str, ...]] = {
    HttpToolsProtocol: (
        *("transport", "flow", "parser", "loop", "headers", "cycle", "pipeline", "server_state"),
        *("timeout_keep_alive", "timeout_keep_alive_task", "_unset_keepalive_if_required"),
    ),
    RequestResponseCycle: (
        *("scope", "transport", "message_event", "disconnected", "keep_alive", "waiting_for_100_continue"),
        *("response_started", "response_complete", "chunked_encoding", "expected_content_length", "more_body"),
    ),
    ServerState: ("default_headers",),
    FlowControl: ("_transport", "write_paused"),
}
"""Attributes that the modules of the protocol use, by class, besides the methods that it overrides."""


def make_instances() -> tuple[object, ...]:
    """Return an instance of each class in `ATTRIBUTES`, only to look up its attributes."""
    config = uvicorn.Config(_no_app, ws="none", lifespan="off", log_config=None)
    nothing: Any = object()
    state, arguments = ServerState(), [nothing] * len(inspect.signature(RequestResponseCycle).parameters)
    return HttpToolsProtocol(config, state, {}, nothing), RequestResponseCycle(*arguments), state, FlowControl(nothing)


async def _no_app(_scope: Any, _receive: Any, _send: Any) -> None:
    """Do nothing; used as an application that is never called."""

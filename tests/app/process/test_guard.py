"""Whatever of uvicorn's private names is missing, the server is told to use uvicorn's own protocol."""

import inspect
import logging
import subprocess
import sys
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.process import flow, uvicorn_names, uvicorn_protocol
from app.process.guard import load_protocol, overridden_methods

METHODS = [
    (owner, method.__name__) for module in (uvicorn_protocol, flow) for owner, method in overridden_methods(module)
]
ATTRIBUTES = [(owner, name) for owner, names in uvicorn_names.ATTRIBUTES.items() for name in names]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_installed_uvicorn_has_every_name(caplog: pytest.LogCaptureFixture) -> None:
    assert load_protocol() is uvicorn_protocol.Protocol
    assert warnings(caplog) == []


def test_the_methods_to_look_for_are_those_that_are_overridden() -> None:
    names = {(owner.__name__, name) for owner, name in METHODS}
    assert {("HttpToolsProtocol", "_start_asgi_task"), ("FlowControl", "resume_reading")} <= names


@pytest.mark.parametrize(("owner", "name"), [*METHODS, (HttpToolsProtocol, "_unset_keepalive_if_required")])
def test_a_missing_method_is_named(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(owner, name)
    is_inherited = hasattr(owner, name)  # from `asyncio.Protocol`, with the same meaning
    assert load_protocol() == (uvicorn_protocol.Protocol if is_inherited else "auto")
    assert [f"{owner.__name__}.{name}" in warning for warning in warnings(caplog)] == [True] * (not is_inherited)


def test_a_method_with_other_parameters_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", lambda self, cycle: None)
    assert load_protocol() == "auto"
    (warning,) = warnings(caplog)
    assert "HttpToolsProtocol._start_asgi_task" in warning


@pytest.mark.parametrize(("owner", "name"), ATTRIBUTES)
def test_a_missing_attribute_is_named(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if hasattr(owner, name):
        pytest.skip("a method")
    initialise = owner.__init__

    def without(self: object, *arguments: Any, **keywords: Any) -> None:
        initialise(self, *arguments, **keywords)
        delattr(self, name)

    without.__signature__ = inspect.signature(initialise)  # type: ignore[attr-defined]
    monkeypatch.setattr(owner, "__init__", without)
    assert load_protocol() == "auto"
    (warning,) = warnings(caplog)
    assert name in warning


@pytest.mark.parametrize("owner", [HttpToolsProtocol, RequestResponseCycle, ServerState])
def test_a_constructor_of_another_form_is_named(
    owner: type, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: object, *arguments: object, **keywords: object) -> None:
        raise TypeError("it takes something else")

    monkeypatch.setattr(owner, "__init__", refuse)
    assert load_protocol() == "auto"
    (warning,) = warnings(caplog)
    assert "it takes something else" in warning


@pytest.mark.parametrize("module", ["httptools", "uvicorn.protocols.http.httptools_impl"])
def test_a_missing_module_is_named(module: str) -> None:
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from app.process.guard import load_protocol; print(load_protocol())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "auto\n"
    assert module in done.stderr

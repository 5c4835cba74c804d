"""How the process starts and ends, as a shell sees it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.process.serve import AddressUnavailable, is_loopback, listen
from tests.app.server import free_port, serve

CLI = (sys.executable, "-c", "from app.cli import main; main()", "serve")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT that could be sent to one process")
def test_ctrl_c_ends_the_server_normally(weights: Path, tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "1", weights=weights) as served:
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(30) == 0
        log = served.log.read_text()
    assert "Traceback" not in log
    assert "Aborted" not in log
    assert all(line.startswith("{") for line in log.splitlines())


def test_a_port_in_use_is_named_in_one_line(weights: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ("--port", str(port), "--weights-dir", str(weights), "--log-level", "error")
        done = subprocess.run([*CLI, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: Port {port} of 127.0.0.1 is in use ")


def test_two_servers_that_start_together_do_not_share_a_port() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(AddressUnavailable, match=f"Port {port} of 127.0.0.1 is in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_is_not_ours_is_named(host: str) -> None:
    port = free_port()
    with pytest.raises(AddressUnavailable, match=f"no address {host} to listen on"):
        listen(host, port)


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])  # noqa: S104
def test_what_other_machines_can_reach_is_recognised(host: str, expected: bool) -> None:
    with listen(host, 0) as listener:
        assert is_loopback(listener) == expected


def test_the_server_is_imported_without_modules_of_unix() -> None:
    script = (
        "import sys\n"
        "for name in ('fcntl', 'termios', 'resource', 'pwd', 'grp', 'uvloop'): sys.modules[name] = None\n"
        "import app.process.serve, app.process.uvicorn_protocol, app.main"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

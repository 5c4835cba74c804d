"""`manifold serve` as a process: Ctrl-C, and ports and addresses that cannot be had."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from tests.app import server


def test_ctrl_c_ends_the_server_cleanly(tmp_path: Path, weights: Path) -> None:
    with server.serve(tmp_path, weights=weights) as served:
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(30) == 0
        log = served.log.read_text()
    assert "Aborted" not in log
    assert "Traceback" not in log
    assert "Interrupted" not in log


def test_a_port_in_use_is_named(weights: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", "from app.cli import main; main()", "serve"]
        command += ["--weights-dir", str(weights), "--port", str(port)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MANIFOLD_")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: Port {port} of 127.0.0.1 is in use by another program. Stop it, or choose another port with --port.\n"
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", "203.0.113.1", "a..b", "203.0.113.300"])
def test_an_address_that_this_machine_has_not_is_named(weights: Path, host: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--weights-dir", str(weights), "--host", host])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: This machine has no address {host} to listen on. Choose 127.0.0.1 with")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EADDRINUSE, "Address already in use"), "Port 0 of 127.0.0.1 is in use by another program."),
        (OSError(errno.EACCES, "Permission denied"), "Port 0 of 127.0.0.1 may not be used without administrator"),
        (OSError(errno.ENOSPC, "No space left on device"), "The server cannot listen on port 0 of 127.0.0.1: No space"),
    ],
)
def test_errors_of_the_system_are_sentences(
    weights: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def fail(self: socket.socket, address: object) -> None:
        raise error

    monkeypatch.setattr("app.process.serve.socket.socket.bind", fail)
    result = CliRunner().invoke(main, ["serve", "--weights-dir", str(weights), "--port", "0"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {said}")

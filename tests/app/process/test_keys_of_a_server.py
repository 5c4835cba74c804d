"""Keys of a real server: no log has one, changes of the file are noticed, and refusals have the security headers."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from app.cli.keys import keys
from app.keys.api_key import new_secret
from tests.app.process.raw_http import exchange
from tests.app.server import Served, serve
from tests.conftest import TINY, write_tiny

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def secrets(keys_file: Path) -> dict[str, str]:
    """The keys by their names, the last of which is none of the server's."""
    made = {name: new_key(keys_file, name, role) for name, role in (("ci", "infer"), ("me", "admin"))}
    return made | {"wrong": new_secret()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys_file: Path, secrets: dict[str, str]) -> Iterator[Served]:
    weights = tmp_path_factory.mktemp("weights")
    write_tiny(weights)
    options = ("--keys-file", str(keys_file), "--log-level", "debug", "--workers", "1")
    with serve(tmp_path_factory.mktemp("server"), *options, weights=weights) as served:
        yield served


def new_key(keys_file: Path, name: str, role: str) -> str:
    result = CliRunner().invoke(keys, ["new", name, "--role", role, "--keys-file", str(keys_file)])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def send_everywhere(server: Served, secret: str) -> set[int]:
    """Send a key in all places of requests, and return the statuses."""
    own = {"authorization": f"Bearer {secret}"}
    in_headers = [
        *(own, {"authorization": secret}, {"x-api-key": secret}, {"authorization": f"Digest {secret}"}),
        {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"},
        *(
            own | {name: secret}
            for name in ("x-request-id", "cookie", "user-agent", "accept", "content-type", "origin")
        ),
        *(
            own | {name: secret}
            for name in ("x-timeout-ms", "content-encoding", "host", "traceparent", "sec-fetch-site")
        ),
    ]
    bodies = [
        *(
            {"model": secret, "inputs": []},
            {"inputs": secret},
            {"inputs": [[secret]]},
            {secret: 1},
            {"model": {"x": secret}},
        ),
        *(
            {"model": TINY, "inputs": [], "parameters": {secret: 1}},
            {"inputs": [], "parameters": secret},
            [secret],
            secret,
        ),
    ]
    paths = [f"/{secret}", f"/models/{secret}", f"/models/{secret}/load", f"/encode?key={secret}", f"/static/{secret}"]
    statuses = set()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for headers in in_headers:
            statuses.add(client.post("/encode", json={"inputs": []}, headers=headers).status_code)
            statuses.add(client.get("/info", headers=headers).status_code)
        for body in bodies:
            statuses.add(client.post("/encode", json=body, headers=own).status_code)
        statuses.add(client.post("/encode", content=f'{{"inputs": {secret}', headers=own).status_code)
        for path in paths:
            statuses |= {client.request(method, path, headers=own).status_code for method in ("GET", "POST", secret)}
    for line in (f"GET /{secret} HTTP/9.9", f"{secret}", f"GET /{secret}\x01 HTTP/1.1", f"GET / HTTP/1.1\r\n{secret}"):
        statuses.add(exchange(server, f"{line}\r\nhost: x\r\nhost: {secret}\r\n\r\n".encode()).status)
    return statuses


def test_no_key_is_ever_in_the_log(server: Served, secrets: dict[str, str]) -> None:
    for secret in secrets.values():
        statuses = send_everywhere(server, secret)
        assert {400, 401} <= statuses
        assert not {status for status in statuses if status >= 500}
    log = server.log.read_text()
    assert '"key":"ci"' in log
    assert '"key":"me"' in log
    assert "mf_[redacted]" in log
    for secret in secrets.values():
        for form in (secret, secret[3:], secret[:24], base64.b64encode(secret.encode()).decode()):
            assert form not in log


@pytest.mark.parametrize(
    "command",
    [["-m", "uvicorn", "--factory", "app.main:create_app"], ["-c", "from app.cli import main; main()", "serve"]],
    ids=["plain", "tuned"],
)
def test_a_server_that_is_given_a_key_in_place_of_its_hash_does_not_print_it(command: list[str]) -> None:
    secret = new_secret()
    environment = os.environ | {"MANIFOLD_API_KEYS": f"ci=infer:{secret}"}
    done = subprocess.run([sys.executable, *command, "--port", "0"], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "holds a key itself in entry 1" in done.stderr
    assert secret not in done.stdout + done.stderr


def status_with(server: Served, secret: str) -> int:
    return httpx.get(f"{server.url}/info", headers={"x-api-key": secret}).status_code


def test_changes_of_the_file_are_noticed(server: Served, keys_file: Path, secrets: dict[str, str]) -> None:
    short_lived = new_key(keys_file, "short-lived", "infer")
    deadline = time.monotonic() + 30
    while status_with(server, short_lived) != 200:
        assert time.monotonic() < deadline
    content = keys_file.read_text()
    keys_file.write_text(content[:-20])
    while "the keys are those of before" not in server.log.read_text():
        assert status_with(server, short_lived) == 200
        assert time.monotonic() < deadline
    keys_file.write_text(content)
    assert CliRunner().invoke(keys, ["revoke", "short-lived", "--keys-file", str(keys_file)]).exit_code == 0
    while status_with(server, short_lived) != 401:
        assert time.monotonic() < deadline
    assert status_with(server, secrets["ci"]) == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /info HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /static/docs/favicon.png HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_every_answer_has_the_security_headers(server: Served, request_bytes: bytes) -> None:
    headers = exchange(server, request_bytes).headers
    assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS

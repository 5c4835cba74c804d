"""Requests that schemathesis generates from the OpenAPI document, to every operation of a real server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from acceptance.environments import outside_environment, python_environment
from tests.app.server import Served, serve

FOLDER = Path(__file__).parent / "openapi"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SEED = 34
N_CASES = 20_000
"""Minimum number of requests over all operations."""
EXAMPLES_PER_OPERATION = 170
"""Number of requests to each operation in the last phase; the phase before sends every boundary of its schema."""
CHANGES_MODELS = r"/(un)?load$"
"""Paths that load and unload models: others would then be answered by 503, so that these have a server of their own."""
FITS_MODELS = r"/fit$"
"""Path that starts a process at each request, which takes seconds, so that hundreds of requests would take too long."""


def run_schemathesis(server: Served, folder: Path, *options: str, n_examples: int) -> dict[str, Any]:
    """Send the requests, and return the report; the test fails with schemathesis's own account of the failures."""
    python = python_environment("schemathesis", FOLDER / "requirements.txt")
    report = folder / "report.json"
    command = [
        str(python / "bin" / "schemathesis"),
        *("--config-file", str(FOLDER / "schemathesis.toml"), "run", f"{server.url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(n_examples), "--seed", str(SEED)),
        *("--checks", ",".join(CHECKS), "--continue-on-failure", "--no-shrink", "--workers", "2"),
        *("--report", "json", "--report-json-path", str(report), *options),
    ]
    environment = outside_environment() | {"SCHEMATHESIS_HOOKS": str(FOLDER / "hooks.py")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4_000:]
    found: dict[str, Any] = json.loads(report.read_text())
    return found


@pytest.mark.timeout(1800)
def test_no_generated_request_fails_the_server_or_breaks_the_document(server: Served, tmp_path: Path) -> None:
    options = ("--exclude-path-regex", f"{CHANGES_MODELS}|{FITS_MODELS}")
    report = run_schemathesis(server, tmp_path, *options, n_examples=EXAMPLES_PER_OPERATION)
    assert report["operations"]["tested"] == report["operations"]["selected"]
    assert report["test_cases"]["generated"] >= N_CASES


@pytest.mark.timeout(600)
def test_loading_and_unloading_hold_the_document(tmp_path: Path) -> None:
    with serve(tmp_path, "--models", "vanilla-ae-mnist") as server:
        report = run_schemathesis(server, tmp_path, "--include-path-regex", CHANGES_MODELS, n_examples=50)
    assert report["operations"]["tested"] == report["operations"]["selected"] > 0

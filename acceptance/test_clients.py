"""Unmodified clients of others, each in an environment of its own, against a real server."""

import subprocess
from pathlib import Path

import pytest

from acceptance.environments import node_environment, outside_environment, python_environment
from tests.app.server import Served

SUITES = sorted(folder for folder in (Path(__file__).parent / "clients").iterdir() if any(folder.glob("*test*")))
"""Folders of suites: `requirements.txt` and `test_*.py` for pytest, or `package.json` and `*.test.mjs` for Node.js."""
SUITE_S = 300
"""Longest time in seconds that a suite may take, besides its installation."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", SUITES, ids=lambda folder: folder.name)
def test_a_client_works_unmodified(suite: Path, server: Served) -> None:
    if (suite / "package.json").exists():
        folder = node_environment(suite.name, suite)
        command = ["node", "--test"]
    else:
        folder = suite
        python = python_environment(suite.name, suite / "requirements.txt") / "bin" / "python"
        command = [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
            "--confcutdir",  # without the fixtures of this package, whose imports other environments lack
            ".",
            "-c",
            "/dev/null",
            ".",
        ]
    variables = outside_environment(MANIFOLD_URL=server.url, PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=SUITE_S)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-4_000:]

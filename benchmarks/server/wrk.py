"""Run wrk, a load generator in C, where it is installed."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class WrkResult:
    """The summary that wrk gives of a run."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float

    @property
    def good_per_second(self) -> float:
        """Return the good answers a second."""
        return (self.requests - self.errors) / self.seconds


def run_wrk(
    url: str, bodies: Path, *, n_connections: int, seconds: float, accept: str = "application/json"
) -> WrkResult:
    """Post the lines of a file in turn, each as the JSON body of a request, over a number of connections.

    Raises:
        FileNotFoundError: wrk is not installed.
        CalledProcessError: wrk failed.
    """
    options = ["-t1", f"-c{n_connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(SCRIPT)]
    command = ["wrk", *options, url, "--", str(bodies), accept]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return WrkResult(**summary)

"""Answers of version 4 of transformers, which `make test` installs beside the version that the tests import."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.models.transformers import pipelines

ROOT = Path(__file__).parents[3]
PACKAGES = Path(os.environ.get("TRANSFORMERS_4", ROOT / ".venv/transformers-4"))


def ask_version_4(scratch: Path, folders: Mapping[str, Path], *, with_models: bool) -> dict[str, Any]:
    """Return what `pipelines.ask` returns in version 4, in one process for all folders."""
    if not PACKAGES.exists() and "CI" not in os.environ:
        pytest.skip(f"{PACKAGES} is missing: `make test` makes it")
    task, out = scratch / "task.json", scratch / "answers.json"
    task.write_text(json.dumps({"folders": {k: str(v) for k, v in folders.items()}, "with_models": with_models}))
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES), "HF_HUB_OFFLINE": "1", "USE_TORCH": str(int(with_models))}
    command = [sys.executable, pipelines.__file__, str(task), str(out)]
    subprocess.run(command, env=environment, check=True, cwd=scratch, capture_output=True)
    answers: dict[str, Any] = json.loads(out.read_text())
    return answers

"""The commands about keys in the documents do what these say."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.keys.file import read_keys
from tests.app.server import serve
from tests.conftest import write_tiny

ROOT = Path(__file__).parents[2]
SECURITY, README = (ROOT / "docs/security.md").read_text(), (ROOT / "README.md").read_text()
KEYS_COMMAND = "from app.cli.keys import keys; keys()"


def blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def run_shell(script: str, folder: Path, key: str = "") -> str:
    """Run a script of a document in a folder, with the commands of this source tree."""
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(KEYS_COMMAND)}"
    script = script.replace(".venv/bin/manifold keys", command)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KEY": key}
    done = subprocess.run(["bash", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not shutil.which("curl"), reason="the documents use curl")
def test_a_key_is_made_used_and_revoked_as_the_documents_say(tmp_path: Path) -> None:
    make_and_serve, encode, manage = blocks(SECURITY)
    readme_make_and_serve, list_models = blocks(README.partition("\n### Keys\n")[2].partition("\n## ")[0])
    assert readme_make_and_serve == make_and_serve
    make, start = make_and_serve.strip().splitlines()
    key = run_shell(f"{make}\necho $KEY", tmp_path)
    options = shlex.split(start)[2:]
    options[1] = str(tmp_path / options[1])
    weights = tmp_path / "weights"
    write_tiny(weights)
    with serve(tmp_path, *options, weights=weights) as served:
        for command, expected in ((list_models, '"id":"tiny-ae"'), (encode, "/errors/task-not-served")):
            command = command.replace("localhost:8000", served.url)
            assert expected in run_shell(command, tmp_path, key)
            assert "/errors/unauthenticated" in run_shell(command, tmp_path)
    lines = manage.strip().splitlines()
    run_shell(lines[0], tmp_path)
    assert [each.name for each in read_keys(tmp_path / "keys.json")[0]] == ["me", "ci"]
    assert "ci" in run_shell(lines[1], tmp_path)
    run_shell(lines[2], tmp_path)
    assert [each.name for each in read_keys(tmp_path / "keys.json")[0]] == ["me"]

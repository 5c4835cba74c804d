"""The document of the command line: its snippets run, and it leaves nothing out."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import ENTRY_POINTS, main
from app.cli.tasks import CLIENT_VARIABLES, connection_options
from app.settings import Settings
from tests.app.cli.conftest import running

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs/command-line.md").read_text()


def lines_of(text: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Settings(models=("sentence-mini-en",), workers=1)) as address:
        yield address


def run_line(line: str) -> bytes:
    """Run the commands of a line, each on the output of the one before it, and return the output of the last."""
    output = b""
    for stage in line.split(" | "):
        program, *arguments = shlex.split(stage)
        if program.endswith("manifold"):
            result = CliRunner().invoke(main, arguments, input=output)
            assert result.exit_code == 0, result.output
            output = result.stdout_bytes
        else:
            output = subprocess.run([program, *arguments], input=output, capture_output=True, check=True).stdout
    return output


@pytest.mark.parametrize("line", lines_of(DOCUMENT))
def test_every_snippet_runs(line: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "docs/examples", tmp_path / "docs/examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    output = run_line(line.replace("http://localhost:8000", url))
    written = re.search(r"-o (\S+)", line)
    assert (tmp_path / written[1]).stat().st_size if written else output.strip()


def test_every_command_is_in_the_document() -> None:
    for name in {entry.name for entry in entry_points(group=ENTRY_POINTS)}:
        assert f"| `manifold {name}` |" in DOCUMENT


def test_the_options_for_servers_and_the_exit_codes_are_in_the_document() -> None:
    for option in connection_options():
        assert f"`{option.opts[0]}" in DOCUMENT
    for variable in CLIENT_VARIABLES:
        assert f"`{variable}`" in DOCUMENT
    for code in (0, 1, 2, 130):
        assert f"| {code} | " in DOCUMENT

"""The document of the command line and the README's snippets for the shell: they run, and leave nothing out."""

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
README = (ROOT / "README.md").read_text().partition("### From the shell")[2].partition("\n## ")[0]
"""The section of the README about the shell."""


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


@pytest.mark.parametrize("line", lines_of(DOCUMENT) + lines_of(README))
def test_every_snippet_runs(line: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "docs/examples", tmp_path / "docs/examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    output = run_line(line.replace("http://localhost:8000", url))
    written = re.search(r"-o (\S+)", line)
    assert (tmp_path / written[1]).stat().st_size if written else output.strip()


def test_the_readme_shows_what_the_anomalies_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (line,) = [line for line in lines_of(README) if "detect-anomalies" in line]
    shown = [row.split() for row in README.splitlines() if row.startswith(" line ")]
    printed = [row.split() for row in run_line(line).decode().splitlines() if row.startswith(" line ")]
    assert [(row[1], row[4]) for row in shown] == [(row[1], row[4]) for row in printed]
    numbers = [[float(row[column]) for row in shown for column in (2, 3, 5, 6)] for shown in (shown, printed)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.01)


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

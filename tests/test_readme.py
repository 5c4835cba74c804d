"""Every snippet of the README's section "Use it" runs: from the shell, from Python and by curl."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import main
from tests.app.server import Served, serve
from tests.test_command_line_docs import run_line

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
URL = "http://localhost:8000"
MODELS = "sentence-mini-en,gpt-mini-en,lstm-ae-ecg"
"""The default models of the snippets, and the one that they name."""
LANGUAGES = ("sh", "python", "bash")


@dataclass(frozen=True)
class Part:
    """One thing to do: its heading, and its snippets with their languages, in order."""

    heading: str
    snippets: list[tuple[str, str]]


def parts() -> list[Part]:
    section = README.partition("\n## Use it\n")[2].partition("\n## ")[0]
    found = []
    for text in section.split("\n### ")[1:]:
        heading, _, content = text.partition("\n")
        found.append(Part(heading, re.findall(r"```(sh|python|bash)\n(.*?)```", content, re.DOTALL)))
    return found


FIRST_WITH_KEY = "Make a key"
N_WITHOUT_KEY = [part.heading for part in parts()].index(FIRST_WITH_KEY)


class Names(dict[str, Any]):
    """The names that the snippets in Python define for those below them; a client that is replaced is closed."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "client" and name in self:
            self[name].close()
        super().__setitem__(name, value)


@pytest.fixture(scope="module")
def namespace() -> Iterator[Names]:
    names = Names()
    yield names
    if "client" in names:
        names["client"].close()


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("open"), "--models", MODELS) as served:
        yield served


@dataclass(frozen=True)
class Keyed:
    """A server that wants a key, and the key."""

    server: Served
    key: str


@pytest.fixture(scope="module")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """The server that the README starts with a file of keys and an own checkpoint, and the key that it makes."""
    folder = tmp_path_factory.mktemp("keyed")
    keys = str(folder / "keys.json")
    made = CliRunner().invoke(main, command_in("keys new").replace("keys.json", keys).split()[1:])
    assert made.exit_code == 0, made.output
    options = command_in("--model mine=").replace("keys.json", keys).split()[2:]
    with serve(folder, "--models", MODELS, *[option.replace("mine=", f"mine={ROOT}/") for option in options]) as served:
        yield Keyed(served, made.stdout.strip())


def command_in(words: str) -> str:
    """Return the command of the README that has these words, without what is around it."""
    (line,) = [line for part in parts() for _, code in part.snippets for line in code.splitlines() if words in line]
    found = re.search(r"\.venv/bin/(manifold [^)\n]*)", line)
    assert found
    return found[1]


def run(language: str, code: str, url: str, namespace: dict[str, Any]) -> str:
    """Run a snippet against a server at another address, and return what it prints."""
    if language == "python":
        exec(code.replace(URL, url), {}, namespace)  # noqa: S102 that is what is tested
        return ""
    if language == "sh":
        lines = [line for line in code.splitlines() if " serve " not in line and "keys new" not in line]
        return "".join(run_line(line.replace(URL, url)).decode() for line in lines)
    command = code.replace("curl -s", "curl -sf", 1).replace("localhost:8000", url.removeprefix("http://"))
    return subprocess.run(["bash", "-ec", command], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_each_thing_is_done_in_three_ways() -> None:
    assert [part.heading for part in parts()] == [
        "List the models",
        "Encode a text",
        "Rerank",
        "Stream a story",
        "Find anomalies in a CSV",
        "Make a key",
        "Load your own checkpoint",
        "See the metrics",
    ]
    for part in parts():
        assert [language for language, _ in part.snippets] == list(LANGUAGES)


@pytest.mark.skipif(not shutil.which("curl"), reason="the snippets use curl")
@pytest.mark.parametrize("part", parts()[:N_WITHOUT_KEY], ids=lambda part: part.heading)
def test_the_snippets_run(
    part: Part,
    open_server: Served,
    namespace: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    for language, code in part.snippets:
        printed = run(language, code, open_server.url, namespace)
        assert (printed or capsys.readouterr().out).strip(), code


@pytest.mark.skipif(not shutil.which("curl"), reason="the snippets use curl")
@pytest.mark.parametrize("part", parts()[N_WITHOUT_KEY:], ids=lambda part: part.heading)
def test_the_snippets_run_with_a_key(
    part: Part,
    keyed_server: Keyed,
    namespace: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MANIFOLD_KEY", keyed_server.key)
    for language, code in part.snippets:
        printed = run(language, code, keyed_server.server.url, namespace)
        assert (printed or capsys.readouterr().out).strip() or "serve" in code, code


def test_the_anomalies_are_those_that_the_readme_shows(open_server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = [row.split() for row in README.splitlines() if row.startswith(" line ")]
    line = f".venv/bin/{command_in('detect-anomalies docs')}".replace(URL, open_server.url)
    printed = [row.split() for row in run_line(line).decode().splitlines() if row.startswith(" line ")]
    assert [(row[1], row[4]) for row in shown] == [(row[1], row[4]) for row in printed]
    numbers = [[float(row[column]) for row in rows for column in (2, 3, 5, 6)] for rows in (shown, printed)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.01)

"""The snippets of the guide's own pages run; what the documents name in snippets that cannot run here exists."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client.metrics_core import Metric

from app.cli import main
from app.cli.tasks import CLIENT_VARIABLES
from app.settings import Settings
from tests.app.server import Served, serve
from tests.test_command_line_docs import run_line

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted({*ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/*/README.md"), ROOT / "README.md"})
MODELS = "bert-sst2-en,lstm-ae-ecg,sentence-mini-en,vanilla-ae-mnist"
URL = "http://localhost:8000"
THEIRS = "http://localhost:8080/embed"
"""The address of another server in a snippet that compares the two."""
FIT_MINUTES = 0.05
"""Time limit of a fit, which the snippets leave open."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the snippets run, with the files that they read."""
    folder = tmp_path_factory.mktemp("snippets")
    shutil.copytree(ROOT / "docs/examples", folder / "docs/examples")
    (folder / "weights").symlink_to(ROOT / "weights")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    with serve(folder, "--checkpoints-dir", str(folder / "checkpoints"), "--models", MODELS) as served:
        yield served


def run(language: str, code: str, server: Served, folder: Path) -> str:
    """Run a snippet against a server at another address, and return what it prints."""
    if language == "python":
        code = code.replace(THEIRS, f"{server.url}/tei/sentence-mini-en/embed").replace(URL, server.url)
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout
    if language == "sh":
        code = code.replace("manifold fit", f"manifold fit --minutes {FIT_MINUTES}")
        return "".join(run_line(line.replace(URL, server.url)).decode() for line in code.splitlines())
    command = code.replace("curl -s", "curl -sSf").replace("localhost:8000", server.url.removeprefix("http://"))
    return subprocess.run(["bash", "-ec", command], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="the snippets use curl")
@pytest.mark.parametrize(
    "name",
    ["tutorial", "your-checkpoint", "migrating-from-torchserve", "migrating-from-text-embeddings-inference"],
)
def test_the_snippets_of_a_page_run_in_order(
    name: str, server: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    text = (ROOT / f"docs/{name}.md").read_text()
    snippets = re.findall(r"```(sh|python|bash)\n(.*?)```(?:\n\n```\n(.*?)```)?", text, re.DOTALL)
    assert snippets
    for language, code, shown in snippets:
        printed = run(language, code, server, folder)
        assert printed.strip(), code
        assert not shown or words_of(shown) == words_of(printed), printed


def words_of(table: str) -> list[list[str]]:
    """The words of a table that are no numbers, which a shorter fit changes."""
    rows = [[word for word in row.split() if not re.match(r"-?\d|──", word)] for row in table.splitlines()]
    return [row for row in rows if row]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command `manifold …` in the code blocks of a document, without those before `manifold`."""
    for _, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if found := re.search(r"(?:^|.*[\s/(])manifold ([a-z].*?)(?:\)|\||$)", line):
                yield shlex.split(found[1], comments=True)


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, which may be in a group, and the words after its name."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        with click.Context(command) as context:
            named = command.get_command(context, words[0])
        assert named is not None, words
        command, words = named, words[1:]
    return command, words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_their_options_exist(document: Path) -> None:
    for words in commands(document.read_text()):
        command, arguments = find_command(words)
        with click.Context(command) as context:
            options = {option for each in command.get_params(context) for option in (*each.opts, *each.secondary_opts)}
        assert {word.partition("=")[0] for word in arguments if word.startswith("--")} <= options | {"--help"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_variables_settings_and_metrics_exist(document: Path, exposed: list[Metric]) -> None:
    text = document.read_text()
    variables = {f"MANIFOLD_{name.upper()}" for name in Settings.model_fields} | set(CLIENT_VARIABLES)
    assert set(re.findall(r"\bMANIFOLD_\w*[A-Z]\b", text)) <= variables
    suffixes = ("", "_total", "_bucket", "_sum", "_count")
    metrics = {family.name + suffix for family in exposed for suffix in suffixes}
    assert set(re.findall(r"\bmanifold_(?!client)\w+\b", text)) <= metrics

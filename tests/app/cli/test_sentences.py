"""Sentences on the command line, as items of tasks that texts are not the only items of."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.cli.conftest import Run
from tests.app.sentences import NAME, SENTENCES, write_sentences
from tests.conftest import write_tiny


@pytest.fixture
def run_sentences(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with a model of sentences and one of images."""
    write_sentences(tmp_path / "weights")
    write_tiny(tmp_path / "weights")
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(tmp_path / "weights"))
    return run


def outputs(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["model"] == NAME
    found: list[dict[str, Any]] = answer["outputs"]
    return found


def test_a_sentence_is_an_argument(run_sentences: Run) -> None:
    (named,) = outputs(run_sentences("denoise", SENTENCES[0], "--model", NAME, "--json"))
    (chosen,) = outputs(run_sentences("denoise", SENTENCES[0], "--json"))
    (by_option,) = outputs(run_sentences("denoise", "--text", SENTENCES[0], "--json"))
    assert named == chosen == by_option
    assert set(named) == {"denoised"}


def test_a_stream_of_sentences_goes_there_and_back(run_sentences: Run) -> None:
    lines = "\n".join(SENTENCES)
    (packed,) = outputs(run_sentences("compress", "-", "--from", "lines", "--chain", "--json", stdin=lines))
    (unpacked,) = outputs(run_sentences("decompress", "-", "--model", NAME, "--json", stdin=packed["stream"]))
    assert unpacked["items"] == SENTENCES


def test_the_help_tells_which_arguments_are_texts(run: Run) -> None:
    help_of = {task: " ".join(run(task, "--help").stdout.split()) for task in ("denoise", "encode", "decode")}
    assert "An input of several words that names no file is a text itself." in help_of["denoise"]
    assert "An input that names no file is a text itself." in help_of["encode"]
    assert "is a text itself" not in help_of["decode"]

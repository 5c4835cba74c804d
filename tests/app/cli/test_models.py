import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from models.checkpoint import find_checkpoints
from tests.app.cli.conftest import TEXT_MODEL, Run
from tests.app.server import SHIPPED
from tests.conftest import TINY


def test_the_checkpoints_are_listed(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(weights))
    (listed,) = json.loads(CliRunner().invoke(main, ["models", "--json"]).output)
    assert (listed["id"], listed["family"]) == (TINY, "autoencoders/vanilla")
    assert "reconstruct" in listed["tasks"]
    assert TINY in CliRunner().invoke(main, ["models"]).output


def test_the_table_of_all_shipped_models_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("MANIFOLD_WEIGHTS_DIR", raising=False)
    lines = CliRunner().invoke(main, ["models"]).output.splitlines()
    assert max(map(len, lines)) <= 80
    for folder in find_checkpoints(SHIPPED):
        (row,) = [line for line in lines if line.startswith(f"{folder.name} ")]
        assert len(row.split()) >= 3, "the id, the family and the items are whole"
    assert "transformer-multi30k-en-de  vanilla         text      generate, translate" in map(str.rstrip, lines)
    assert "…" not in "".join(lines)


def test_one_model_is_shown_in_detail(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(weights))
    shown = CliRunner().invoke(main, ["models", TINY]).output
    assert "item shape  1, 4, 4" in shown
    assert json.loads(CliRunner().invoke(main, ["models", TINY, "--json"]).output)["id"] == TINY
    unknown = CliRunner().invoke(main, ["models", "tiny-a"])
    assert (unknown.exit_code, unknown.stderr) == (
        1,
        f"Error: There is no model 'tiny-a'. Did you mean {TINY}? There are {TINY}.\n",
    )


def test_the_models_of_a_running_server_are_listed_with_their_states(run: Run, url: str) -> None:
    listed = run("models", "--url", url).stdout.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [[TINY, "vanilla", "ready"], [TEXT_MODEL, "gpt", "ready"]]
    cards = json.loads(run("models", "--json", "--url", url).stdout)
    assert [card["state"] for card in cards] == ["ready", "ready"]
    assert "memory bytes" in run("models", TINY, "--url", url).stdout
    unknown = run("models", "no/body", "--url", url)
    assert (unknown.exit_code, unknown.stdout) == (1, "")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("nowhere", "but there is no such folder."),
        ("", "but there is no checkpoint in it. A checkpoint is a folder KIND/FAMILY/NAME with a config.json."),
    ],
)
def test_a_folder_without_checkpoints_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, said: str
) -> None:
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(tmp_path / folder))
    result = CliRunner().invoke(main, ["models"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: MANIFOLD_WEIGHTS_DIR is {str(tmp_path / folder)!r}, {said}\n"


def test_a_damaged_checkpoint_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(weights))
    (weights / f"autoencoders/vanilla/{TINY}/config.json").write_text("{")
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {TINY}/config.json ")
    assert result.stderr.endswith(".\n")


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_PORT", "abc")
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 2
    assert result.stderr == "Error: MANIFOLD_PORT is 'abc'; it must be a whole number from 0 to 65535.\n"


def test_ctrl_c_is_no_error(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(weights))
    monkeypatch.setattr("app.cli.settings_checks.find_checkpoints", interrupt)
    result = CliRunner().invoke(main, ["models"])
    assert (result.exit_code, result.output) == (130, "\nInterrupted.\n")

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from tests.conftest import TINY


def test_the_checkpoints_are_listed(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(weights))
    (listed,) = json.loads(CliRunner().invoke(main, ["models", "--json"]).output)
    assert (listed["id"], listed["family"]) == (TINY, "autoencoders/vanilla")
    assert "reconstruct" in listed["tasks"]
    assert TINY in CliRunner().invoke(main, ["models"]).output


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

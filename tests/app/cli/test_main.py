"""The command itself: its subcommands, what it does not know, and Ctrl-C."""

import importlib
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import app.cli
from app.cli import main


def test_all_commands_are_listed() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    for command in ("serve", "models", "pull", "encode", "detect-anomalies", "train", "evaluate", "bench"):
        assert f"  {command} " in text


@pytest.mark.parametrize("name", ["serve", "models", "pull"])
def test_the_entry_points_are_commands(name: str) -> None:
    (entry,) = entry_points(group="manifold.commands", name=name)
    assert isinstance(entry.load(), click.Command)


def test_every_command_of_this_package_is_an_entry_point() -> None:
    content = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    declared = content["project"]["entry-points"]["manifold.commands"]
    for name, place in declared.items():
        module, _, attribute = place.partition(":")
        assert isinstance(getattr(importlib.import_module(module), attribute), click.Command), name
    ours = {name for name in app.cli.__all__ if isinstance(getattr(app.cli, name), click.Command)} - {"main"}
    assert ours == {name for name, place in declared.items() if place.startswith("app.cli:")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["serv"],
            "There is no command 'serv'. Did you mean serve? `manifold --help` lists the commands.",
        ),
        (["xyz"], "There is no command 'xyz'. `manifold --help` lists"),
        (["serve", "--prt", "1"], "Did you mean '--port'?"),
        (["serve", "--port"], "'--port' requires an argument"),
        (["models", "--jsn"], "Did you mean '--json'?"),
        (["pull"], "Missing argument 'ORG/NAME[@REVISION]'"),
    ],
)
def test_what_is_not_known_is_answered_with_a_suggestion(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_command_whose_package_is_missing_says_so_whatever_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        name, value = "train", "training.cli:train"

        def load(self) -> None:
            raise ModuleNotFoundError("no module", name="scipy")

    monkeypatch.setattr("app.cli.entry_points", lambda **_: [Missing()])
    result = CliRunner().invoke(main, ["train", "vae-mnist", "--device", "cpu"])
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: `manifold train` needs the package scipy, which is not installed. "
        "`pip install 'manifold[train,test]'` installs all that such commands need.\n"
    )
    assert "Not installed" in CliRunner().invoke(main, ["--help"]).output


@pytest.mark.parametrize("where", ["get_command", "list_commands"])
def test_ctrl_c_ends_it_quietly_at_any_time(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"app.cli.Commands.{where}", interrupt)
    for arguments in (["models"], ["--help"]):
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stderr) == (130, "\nInterrupted.\n")

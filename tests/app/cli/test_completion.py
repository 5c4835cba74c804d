"""Completion in shells: the script, and what it asks the command for."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from app.cli import main
from app.cli.completion import SHELLS, completion
from tests.conftest import TINY


def completions(arguments: list[str], incomplete: str) -> list[str]:
    found = ShellComplete(main, {}, "manifold", "_MANIFOLD_COMPLETE").get_completions(arguments, incomplete)
    return [item.value for item in found]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_asks_this_command(shell: str) -> None:
    script = CliRunner().invoke(completion, [shell]).stdout
    assert f"_MANIFOLD_COMPLETE={shell}_complete" in script
    if shell == "bash":
        subprocess.run(["bash", "-nc", script], check=True)


def test_an_unknown_shell_is_wrong_usage() -> None:
    assert CliRunner().invoke(completion, ["csh"]).exit_code == 2


def test_commands_options_and_choices_are_completed(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(weights))
    assert completions([], "enc") == ["encode"]
    assert completions([], "--v") == ["--version"]
    assert completions(["denoise"], "--noise") == ["--noise-type", "--noise-level"]
    assert completions(["denoise", "--noise-type"], "m") == ["masking"]
    assert completions(["encode", "--model"], "t") == [TINY]
    assert completions(["models"], "ti") == [TINY]


def test_the_shell_completes_the_names_of_files() -> None:
    found = ShellComplete(main, {}, "manifold", "_MANIFOLD_COMPLETE").get_completions(["encode"], "docs/ex")
    assert [(item.value, item.type) for item in found] == [("docs/ex", "file")]


def test_completing_a_command_imports_no_task() -> None:
    code = (
        "import sys; from click.shell_completion import ShellComplete; from app.cli import main\n"
        "assert ShellComplete(main, {}, 'manifold', '_M').get_completions([], 'e')\n"
        "print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"

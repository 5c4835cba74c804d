"""`manifold bench`: a list of benchmarks that imports none of them."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from benchmarks.cli import COMMANDS, bench


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_all_benchmarks_are_listed_with_a_sentence(arguments: list[str]) -> None:
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    for name, (_, sentence) in COMMANDS.items():
        assert f"{name} {sentence}" in text


def test_the_list_does_not_import_torch() -> None:
    code = (
        "import sys; from benchmarks.cli import bench; bench(standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_the_listed_sentence_begins_the_help_and_json_is_documented(name: str) -> None:
    result = CliRunner().invoke(bench, [name, "--help"])
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert COMMANDS[name][1] in text
    assert "--json" in text
    assert "Keys of the JSON output" in text


def test_an_unknown_benchmark_is_an_error() -> None:
    result = CliRunner().invoke(bench, ["nothing"])
    assert result.exit_code == 2
    assert "No such command 'nothing'" in result.output

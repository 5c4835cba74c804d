from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from app.cli import main
from app.settings import Settings
from tests.conftest import TINY


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_MAX_ITEMS", "64")
    monkeypatch.setenv("MANIFOLD_MODELS", "one, two")
    monkeypatch.setenv("MANIFOLD_DEFAULT_MODELS", '{"encode": "one"}')
    settings = Settings()
    assert (settings.max_items, settings.models, settings.default_models) == (64, ("one", "two"), {"encode": "one"})


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_PORT", "1")
    assert Settings(port=2).port == 2


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"port": 70000}, "65535"),
        ({"max_items": 0}, "greater than 0"),
        ({"device": "tpu"}, "cuda"),
        ({"max_items": 9, "max_queue_items": 8}, "max_items is 9, more than max_queue_items, 8"),
        ({"default_timeout_ms": 9, "max_timeout_ms": 8}, "default_timeout_ms is 9, more than max_timeout_ms, 8"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_values_out_of_range_are_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Settings(**values)  # type: ignore[arg-type]


def test_workers_share_a_cpu_and_are_spread_over_gpus() -> None:
    assert Settings(workers=3).devices(generates=True) == ["cpu"] * 3
    on_two = Settings(device="cuda:0,cuda:1")
    assert on_two.devices(generates=True) == ["cuda:0", "cuda:1"]
    assert sorted(on_two.devices(generates=False)) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]
    assert (on_two.max_batch_tokens, Settings().max_batch_tokens) == (65536, 512)


def test_every_setting_is_an_option_of_serve() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"]).output
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--max-items", "none"], "max_items"),
        (["--default-models", "{"], "must be a JSON object"),
        (["--models", "nobody"], "no model is named 'nobody'"),
        (["--dtype", "int4"], "dtype"),
        (["--dtypes", "int8"], "--dtypes is 'int8'; it must be NAME=DTYPE"),
        (["--dtypes", "nobody=int8"], "no model is named 'nobody'"),
    ],
)
def test_serve_says_what_is_wrong_with_an_option(weights: Path, options: list[str], named: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--weights-dir", str(weights), *options])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert named in result.output


def test_models_lists_the_checkpoints(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(weights))
    assert f'"id": "{TINY}"' in CliRunner().invoke(main, ["models", "--json"]).output
    assert TINY in CliRunner().invoke(main, ["models"]).output


def test_all_commands_are_listed() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    for command in ("serve", "models", "train", "evaluate", "bench"):
        assert f"  {command} " in text

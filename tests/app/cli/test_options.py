from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import main
from app.cli.errors import WrongUsage
from app.cli.options import HEADINGS, label_of, options_by_heading, read_settings, unknown_variables
from app.settings import Settings

OPTIONS = [name for name in Settings.model_fields if name != "api_keys"]
"""The settings that are options; keys are not, because every user of a machine sees its command lines."""


def test_every_setting_is_an_option_below_a_heading() -> None:
    groups = options_by_heading()
    assert list(groups) == list(HEADINGS.values())
    names = [option.name for options in groups.values() for option in options]
    assert names == OPTIONS


def test_the_help_fits_into_80_columns() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"], terminal_width=80).output
    assert max(map(len, text.splitlines())) <= 80
    for heading in HEADINGS.values():
        assert f"\n{heading}:\n" in text
    for name in OPTIONS:
        assert f"  --{name.replace('_', '-')} " in text


def test_the_help_shows_defaults() -> None:
    text = " ".join(CliRunner().invoke(main, ["serve", "--help"]).output.split())
    assert "0 lets the system choose a free one. [default: 8000]" in text
    assert "PydanticUndefined" not in text


def test_a_setting_is_named_as_the_user_wrote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("manifold_port", "1")
    assert label_of("port", {}) == "MANIFOLD_PORT"
    assert label_of("port", {"port": "2"}) == "--port"
    assert label_of("max_items", {}) == "--max-items"


def test_options_win_over_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_PORT", "abc")
    monkeypatch.setenv("MANIFOLD_MAX_ITEMS", "7")
    settings = read_settings({"port": "2"})
    assert (settings.port, settings.max_items) == (2, 7)


def test_all_wrong_settings_are_named_by_their_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_WORKERS", "many")
    monkeypatch.setenv("MANIFOLD_MAX_QUEUE_ITEMS", "5")
    with pytest.raises(WrongUsage) as raised:
        read_settings({"device": "gpu", "max_items": "9"})
    assert [problem.partition("; it must")[0] for problem in raised.value.problems] == [
        "--device is 'gpu'",
        "MANIFOLD_WORKERS is 'many'",
        "--max-items is 9, more than MANIFOLD_MAX_QUEUE_ITEMS, which is 5: "
        "the largest request could never be accepted.",
    ]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Runs `manifold serve` up to where it would serve, and gives the settings."""
    given: list[Settings] = []
    monkeypatch.setattr("app.process.serve.serve", lambda settings, **_: given.append(settings))
    monkeypatch.setattr("app.cli.settings_checks.check_settings", lambda *_: None)

    def run(*options: str) -> Settings:
        result = CliRunner().invoke(main, ["serve", "--port", "0", *options])
        assert result.exit_code == 0, result.output
        return given.pop()

    return run


def test_options_of_several_values_may_be_repeated(served: Callable[..., Settings]) -> None:
    assert served("--models", "a,b", "--models", "c").models == ("a", "b", "c")
    assert served("--model", "a=/a", "--model", "b=/b,c=/c").model == {"a": "/a", "b": "/b", "c": "/c"}
    assert served("--model", '{"a": "/a"}', "--model", "b=/b").model == {"a": "/a", "b": "/b"}
    assert served("--default-models", "encode=a").default_models == {"encode": "a"}
    assert served("--cors-origins", "https://a.example", "--cors-origins", "*").cors_origins == (
        "https://a.example",
        "*",
    )


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("MANIFOLD_PROT", " Did you mean MANIFOLD_PORT?"),
        ("MANIFOLD_MAX_ITEM", " Did you mean MANIFOLD_MAX_ITEMS?"),
        ("manifold_prot", " Did you mean MANIFOLD_PORT?"),
        ("MANIFOLD_QQQ", ""),
    ],
)
def test_a_variable_that_is_no_setting_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, served: Callable[..., Settings], variable: str, said: str
) -> None:
    monkeypatch.setenv(variable, "1")
    assert list(unknown_variables()) == [f"{variable} is not a setting and has no effect.{said}"]
    assert served().port == 0


@pytest.mark.parametrize(
    "variable",
    ["MANIFOLD_PORT", "manifold_port", "MANIFOLD_SERVICE_HOST", "MANIFOLD_PORT_80_TCP_ADDR", "MANIFOL", "MANIFOLD_URL"],
)
def test_settings_what_kubernetes_sets_and_what_other_commands_read_are_no_warning(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    assert list(unknown_variables()) == []


def test_the_warning_comes_before_the_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_PROT", "1")
    result = CliRunner().invoke(main, ["serve", "--port", "x", "--device", "gpu"])
    assert result.exit_code == 2
    assert [line.partition(" is ")[0] for line in result.stderr.splitlines()] == [
        "Warning: MANIFOLD_PROT",
        "Error: --port",
        "Error: --device",
    ]


def test_no_option_accepts_an_unknown_setting() -> None:
    unknown: dict[str, Any] = {"prot": "1"}
    with pytest.raises(WrongUsage, match="There is no setting named prot"):
        read_settings(unknown)

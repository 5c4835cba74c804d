"""The file of settings: which source takes precedence, and what is said of mistakes."""

from pathlib import Path
from typing import Any

import pytest

from app.cli.errors import WrongUsage
from app.cli.options import read_settings
from app.settings import Settings

WHOLE = """
port = 9000
models = ["a", "b"]
cors_origins = "https://a.example,https://b.example"
idle_unload = "10m"
memory_limit = "1.5GiB"
log_level = "debug"
weights_dir = "/checkpoints"

[model]
mine = "/checkpoints/mine"

[dtypes]
mine = "int8"

[default_models]
encode = "mine"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "manifold.toml"
    path.write_text(WHOLE)
    return path


def test_every_kind_of_setting_can_be_in_the_file(file: Path) -> None:
    settings = Settings(config=file)
    assert settings.model_dump(include=settings.model_fields_set) == {
        "config": file,
        "port": 9000,
        "models": ("a", "b"),
        "cors_origins": ("https://a.example", "https://b.example"),
        "idle_unload": 600,
        "memory_limit": 3 * 2**29,
        "log_level": "debug",
        "weights_dir": Path("/checkpoints"),
        "model": {"mine": "/checkpoints/mine"},
        "dtypes": {"mine": "int8"},
        "default_models": {"encode": "mine"},
    }


def test_an_option_takes_precedence_over_a_variable_and_that_over_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANIFOLD_CONFIG", str(file))
    monkeypatch.setenv("MANIFOLD_PORT", "9001")
    monkeypatch.setenv("MANIFOLD_LOG_LEVEL", "error")
    monkeypatch.setenv("MANIFOLD_MODEL", "other=/x")
    settings = read_settings({"port": "9002"})
    assert (settings.port, settings.log_level, settings.models) == (9002, "error", ("a", "b"))
    assert settings.model == {"other": "/x"}  # a mapping counts as a whole


def test_an_empty_variable_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_CONFIG", "")
    assert Settings().config is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "max_item = 5",
            "{file} has the key 'max_item', but there is no setting of that name. Did you mean max_items?",
        ),
        ("[limits]\nmax_items = 5", "{file} has the key 'limits', but there is no setting of that name."),
        ("port = true", "port in {file} is 'true'; it must be a whole number from 0 to 65535."),
        ("port = 1.5", "port in {file} is 1.5; it must be a whole number from 0 to 65535."),
        ("models = [1]", "models in {file} has 1; it must be text."),
        ("models = 1", "models in {file} is 1; it must be a list of names, or names separated by commas."),
        ("dtypes = 1", "dtypes in {file} is 1; it must be a table, or NAME=DTYPE, several separated by commas, or a "),
        (
            '[dtypes]\nmine = "int4"',
            "dtypes in {file} gives 'mine' the value 'int4'; it must be float32, bfloat16, float16 or int8. Did you ",
        ),
        (
            'idle_unload = "10 minutes"',
            "idle_unload in {file} is '10 minutes'; it must be a duration such as 30s, 10m or 2h, or 0 for none.",
        ),
        (
            'memory_limit = "4 GX"',
            "memory_limit in {file} is '4 GX'; it must be a size such as 512MiB or 4GiB, or 0 for none.",
        ),
        (
            "max_items = 9000",
            "max_items in {file} is 9000, more than --max-queue-items, which is 4096: the largest request could never ",
        ),
        ("port = ", "--config is '{file}', which is not a file in TOML: Invalid value (at end of document)."),
        ('config = "x"', "--config is '{file}', which has the key config; a file cannot name another one."),
    ],
)
def test_a_mistake_is_named_with_the_file_the_key_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "m.toml"
    file.write_text(text)
    with pytest.raises(WrongUsage) as raised:
        read_settings({"config": str(file)})
    (sentence,) = raised.value.problems
    assert sentence.startswith(said.format(file=file))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.toml", ", but there is no such file."),
        (".", ", which cannot be read: Is a directory."),
        ("x" * 300, ", which cannot be read: File name too long."),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(WrongUsage) as raised:
        read_settings({"config": str(tmp_path / name)})
    (sentence,) = raised.value.problems
    assert sentence.startswith("--config is ")
    assert sentence.endswith(said)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("0", 0), ("none", 0), ("30s", 30), ("10m", 600), ("2h", 7200), ("1.5h", 5400), ("1d", 86_400), (90, 90)],
)
def test_durations(given: Any, seconds: int) -> None:
    assert Settings(idle_unload=given).idle_unload == seconds


@pytest.mark.parametrize(
    ("given", "n_bytes"), [("0", 0), ("512MiB", 2**29), ("4 gib", 2**32), ("2000B", 2000), (5, 5), ("1TiB", 2**40)]
)
def test_sizes(given: Any, n_bytes: int) -> None:
    assert Settings(memory_limit=given).memory_limit == n_bytes


@pytest.mark.parametrize("given", ["", "5x", "-1s", "1.5s", "s", "1e9s", True, 1.5, None, -1, "9" * 20 + "d"])
def test_what_is_no_duration(given: Any) -> None:
    with pytest.raises(ValueError, match="it must be a duration such as"):
        Settings(idle_unload=given)

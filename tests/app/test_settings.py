import os
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from app.settings import Settings


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_MAX_ITEMS", "64")
    monkeypatch.setenv("MANIFOLD_MODELS", "one, two")
    monkeypatch.setenv("MANIFOLD_DEFAULT_MODELS", '{"encode": "one"}')
    settings = Settings()
    assert (settings.max_items, settings.models, settings.default_models) == (64, ("one", "two"), {"encode": "one"})


def test_the_environment_is_read_when_settings_are_made_and_not_at_import() -> None:
    code = """
import os
import app.main
from app.settings import Settings
os.environ["MANIFOLD_PORT"] = "9"
settings = Settings()
os.environ["MANIFOLD_PORT"] = "10"
print(settings.port)
"""
    environment = os.environ | {"MANIFOLD_PORT": "no number"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, "9"), done.stderr


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_PORT", "1")
    monkeypatch.setenv("MANIFOLD_MODEL", "one=/one")
    settings = Settings(port=2, model={"two": "/two"})
    assert (settings.port, settings.model) == (2, {"two": "/two"})


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("", {}),
        ("one=/one", {"one": "/one"}),
        ("one=/one, two = org/two@main", {"one": "/one", "two": "org/two@main"}),
        ("one=/one,", {"one": "/one"}),
        ("one=/with,comma,two=/with=sign", {"one": "/with,comma", "two": "/with=sign"}),
        ("one=/one,org/two=org/two", {"one": "/one", "org/two": "org/two"}),
        ('{"one": "/one"}', {"one": "/one"}),
        (' {"one": "/one", "two": "/two"}', {"one": "/one", "two": "/two"}),
        (["one=/one", "two=/two"], {"one": "/one", "two": "/two"}),
    ],
)
def test_a_mapping_is_pairs_or_json(text: Any, model: dict[str, str]) -> None:
    assert Settings(model=text).model == model


@pytest.mark.parametrize("text", ["one", "one=", "=/one", "{", "[1]", '{"a": "b"} x', "{" * 100_000])
def test_a_mapping_that_is_neither_says_what_it_must_look_like(text: Any) -> None:
    with pytest.raises(ValidationError, match=r"it must be TASK=NAME, several separated by commas, or a JSON object"):
        Settings(default_models=text)


def test_settings_for_web_pages_are_lists_in_lower_case() -> None:
    origins: Any = "https://App.example.org, http://localhost:3000,http://[::1]:80,*"
    hosts: Any = "Manifold.example.org, other_host"
    settings = Settings(cors_origins=origins, allowed_hosts=hosts)
    assert settings.cors_origins == ("https://app.example.org", "http://localhost:3000", "http://[::1]:80", "*")
    assert settings.allowed_hosts == ("manifold.example.org", "other_host")


@pytest.mark.parametrize(
    ("name", "value"),
    [("cors_origins", value) for value in ("app.example", "https://app.example/", "https://", "https://a:b", "null")]
    + [("allowed_hosts", value) for value in ("https://app.example", "app.example:80", "app/x", ".example", "*")],
)
def test_what_is_no_origin_or_host_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match="has '"):
        Settings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"port": 70000}, "65535"),
        ({"max_items": 0}, "greater than 0"),
        ({"device": "tpu"}, "cuda"),
        ({"device": "cuda:0,"}, "cuda"),
        ({"max_items": 9, "max_queue_items": 8}, "max_items is 9, more than max_queue_items, 8"),
        ({"default_timeout_ms": 9, "max_timeout_ms": 8}, "default_timeout_ms is 9, more than max_timeout_ms, 8"),
        ({"model": ["one=/one", "one=/two"]}, "names 'one' twice"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Settings(**values)  # type: ignore[arg-type]


def test_workers_share_a_cpu_and_are_spread_over_gpus() -> None:
    assert Settings(workers=3).devices(generates=True) == ["cpu"] * 3
    on_two = Settings(device="cuda:0,cuda:1")
    assert on_two.devices(generates=True) == ["cuda:0", "cuda:1"]
    assert sorted(on_two.devices(generates=False)) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]
    assert (on_two.max_batch_tokens, Settings().max_batch_tokens) == (65536, 512)


def test_every_description_is_a_sentence_for_people() -> None:
    for name, field in Settings.model_fields.items():
        text = field.description or ""
        assert text[:1].isupper(), name
        assert text.endswith("."), name
        assert "|" not in text, f"{name}: the document shows it in a table"

import traceback
from typing import Any

import pytest
from pydantic import ValidationError

from app.cli.errors import WrongUsage
from app.cli.options import read_settings
from app.keys.api_key import InvalidKeys, new_secret
from app.keys.variable import parse_variable, to_entry
from app.main import create_app
from app.schemas.service import LIMITS
from app.settings import Settings
from tests.app.keys.made import make_key


def test_keys_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, first), (_, second) = make_key("ci"), make_key("me.2")
    monkeypatch.setenv("MANIFOLD_API_KEYS", f" {to_entry(first)},\n{to_entry(second)} ")
    assert Settings().api_keys == (first, second)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("ci=infer:hunter2hunter2", "has a wrong entry 1"),
        ("ci=root:sha256:" + "0" * 64, "has a wrong entry 1"),
        ("a b=infer:sha256:" + "0" * 64, "has a wrong entry 1"),
        ("sha256:" + "0" * 64, "has a wrong entry 1"),
        ("ci=infer:sha256:" + "0" * 64 + ",other=infer:sha256:xyz", "has a wrong entry 2"),
    ],
)
def test_wrong_entries_are_refused_by_number(text: str, reason: str) -> None:
    with pytest.raises(InvalidKeys, match=reason):
        parse_variable(text)


@pytest.mark.parametrize("form", ["{}", "ci=infer:{}", "ci={}", "ci=infer:sha256:{}"])
def test_no_error_of_the_settings_repeats_a_key(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    secret = new_secret()
    monkeypatch.setenv("MANIFOLD_API_KEYS", form.format(secret))
    monkeypatch.setenv("MANIFOLD_PORT", "many")  # another error at the same time
    with pytest.raises(ValidationError) as raised:
        create_app()
    assert "holds a key itself in entry 1" in str(raised.value)
    for text in (str(raised.value), repr(raised.value), "".join(traceback.format_exception(raised.value))):
        assert secret not in text
    with pytest.raises(WrongUsage) as wrong:
        read_settings({})
    (problem,) = (problem for problem in wrong.value.problems if "MANIFOLD_API_KEYS" in problem)
    assert problem.startswith("MANIFOLD_API_KEYS holds a key itself in entry 1; it must hold the hash")
    assert secret not in "".join(wrong.value.problems)


@pytest.mark.parametrize("value", ["hunter2hunter2", 12345678])
def test_no_error_of_the_settings_repeats_what_may_be_a_password(value: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(api_keys=value)
    assert str(value) not in str(raised.value) + repr(raised.value.errors()[0]["msg"])


def test_the_settings_show_no_hash() -> None:
    _, key = make_key("ci")
    settings = Settings(api_keys=(key,))
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert "api_keys" not in text
        assert key.digest.hex() not in text
    assert "api_keys" not in LIMITS

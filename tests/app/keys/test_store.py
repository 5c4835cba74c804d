import dataclasses
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import RateLimited
from app.keys.api_key import ApiKey, InvalidKeys, Role
from app.keys.file import write_keys
from app.keys.store import CHECK_EVERY_S, KeyStore
from tests.app.keys.made import make_key

CREATED = datetime(2026, 11, 28, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("app.keys.store.time.monotonic", lambda: self.now_s)

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def stored(name: str, role: Role = Role.INFER, **limits: int) -> tuple[bytes, ApiKey]:
    secret, key = make_key(name, role, created=CREATED, **limits)
    return secret.encode(), key


def found(store: KeyStore, secret: bytes) -> str | None:
    held = store.find(secret)
    return None if held is None else held.key.name


def test_keys_of_the_file_and_of_the_environment_are_found(tmp_path: Path) -> None:
    (in_file, first), (in_variable, second), (unknown, _) = stored("ci"), stored("me"), stored("nobody")
    path = tmp_path / "keys.json"
    write_keys(path, [first])
    store = KeyStore(path, [second])
    assert store.is_enabled
    assert [found(store, secret) for secret in (in_file, in_variable, unknown, b"", b"ci")] == [
        "ci",
        "me",
        None,
        None,
        None,
    ]


def test_a_store_is_enabled_by_a_file_without_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [])
    assert KeyStore(path, []).is_enabled
    assert not KeyStore(None, []).is_enabled


def test_a_file_that_cannot_be_used_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeys, match="cannot be read"):
        KeyStore(tmp_path / "keys.json", [])


def test_a_name_that_stands_twice_is_an_error_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [stored("ci")[1]])
    with pytest.raises(InvalidKeys, match="two keys are named 'ci'"):
        KeyStore(path, [stored("ci")[1]])


def test_a_change_is_noticed_at_the_next_look(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys.json"
    (old, first), (new, second) = stored("old"), stored("new")
    write_keys(path, [first])
    store = KeyStore(path, [])
    write_keys(path, [second])
    assert found(store, old) == "old"
    clock.pass_s(CHECK_EVERY_S)
    assert (found(store, old), found(store, new)) == (None, "new")


def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys.json"
    (old, first), (new, second) = stored("ci"), stored("me")
    write_keys(path, [first])
    store = KeyStore(path, [])
    before = path.stat()
    content = path.read_text()
    path.write_text(content.replace(first.digest.hex(), second.digest.hex()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.pass_s(CHECK_EVERY_S)
    assert (found(store, old), found(store, new)) == (None, "ci")


def test_a_file_that_could_not_be_opened_is_read_once_it_can(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    secret, key = stored("ci")
    write_keys(path, [key])
    store = KeyStore(path, [])
    write_keys(path, [])

    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("os.open", refuse)
        for _ in range(2):
            clock.pass_s(CHECK_EVERY_S)
            assert found(store, secret) == "ci"
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    clock.pass_s(CHECK_EVERY_S)
    assert found(store, secret) is None


def test_a_key_keeps_its_count_in_another_store(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secret, key = stored("ci", requests_per_minute=1)
    write_keys(path, [key])
    store = KeyStore(path, [])
    other = KeyStore(path, [stored("me")[1]], store)
    first, second = store.find(secret), other.find(secret)
    assert first
    assert second
    assert first.limiter
    assert first.limiter is second.limiter


def test_revoking_the_last_key_does_not_open_the_server(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "keys.json"
    secret, key = stored("only")
    write_keys(path, [key])
    store = KeyStore(path, [])
    write_keys(path, [])
    clock.pass_s(CHECK_EVERY_S)
    assert found(store, secret) is None
    assert store.is_enabled


def test_the_file_is_looked_at_no_more_often_than_needed(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [])
    store = KeyStore(path, [])
    looks: list[Path] = []

    def look(path: Path) -> object:
        looks.append(path)
        return store._signature

    monkeypatch.setattr("app.keys.store.signature_of", look)
    for _ in range(10):
        store.find(b"x")
    assert looks == []
    clock.pass_s(CHECK_EVERY_S)
    for _ in range(10):
        store.find(b"x")
    assert looks == [path]


@pytest.mark.parametrize("damage", ["damaged", "missing", "contradiction"])
def test_a_damaged_file_keeps_the_keys_and_is_logged_once(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = tmp_path / "keys.json"
    (secret, key), (_, own) = stored("ci"), stored("me")
    write_keys(path, [key])
    store = KeyStore(path, [own])
    if damage == "damaged":
        path.write_text('{"keys": [')
    elif damage == "missing":
        path.unlink()
    else:
        write_keys(path, [dataclasses.replace(key, name="me")])
    for _ in range(3):
        clock.pass_s(CHECK_EVERY_S)
        assert found(store, secret) == "ci"
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "the keys are those of before" in record.getMessage()
    write_keys(path, [])
    clock.pass_s(CHECK_EVERY_S)
    assert found(store, secret) is None


def test_reload_reads_at_once_and_says_whether_it_could(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secret, key = stored("ci")
    write_keys(path, [])
    store = KeyStore(path, [])
    write_keys(path, [key])
    assert store.reload()
    assert found(store, secret) == "ci"
    path.write_text("")
    assert not store.reload()
    assert found(store, secret) == "ci"


def test_a_key_keeps_its_count_while_others_change(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secret, key = stored("ci", requests_per_minute=1)
    write_keys(path, [key])
    store = KeyStore(path, [])
    before = store.find(secret)
    assert before
    assert before.limiter
    before.limiter.enter(0.0)
    write_keys(path, [key, stored("other")[1]])
    store.reload()
    after = store.find(secret)
    assert after
    assert after.limiter
    with pytest.raises(RateLimited):
        after.limiter.enter(0.0)
    write_keys(path, [dataclasses.replace(key, requests_per_minute=2)])
    store.reload()
    changed = store.find(secret)
    assert changed
    assert changed.limiter
    changed.limiter.enter(0.0)

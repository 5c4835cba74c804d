import dataclasses
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.keys.api_key import InvalidKeys, Role, format_digest
from app.keys.file import MAX_FILE_BYTES, locked, read_keys, signature_of, write_keys
from tests.app.keys.made import make_key

CREATED = datetime(2026, 11, 28, 12, tzinfo=UTC)
_, INFER = make_key("ci", created=CREATED, requests_per_minute=60, max_concurrent=2)
_, ADMIN = make_key("me", Role.ADMIN, created=CREATED)
ENTRY: dict[str, Any] = {
    "name": "ci",
    "role": "infer",
    "hash": format_digest(INFER.digest),
    "created": "2026-11-28T12:00:00Z",
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [INFER, ADMIN])
    assert read_keys(path) == ((INFER, ADMIN), signature_of(path))


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("{}")
    path.chmod(0o644)
    write_keys(path, [ADMIN])
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize(("before", "after"), [(0o640, 0o640), (0o660, 0o600), (0o400, 0o600)])
def test_a_group_that_alone_may_read_the_file_still_may(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "keys.json"
    path.write_text("{}")
    path.chmod(before)
    write_keys(path, [ADMIN])
    assert path.stat().st_mode & 0o777 == after


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [INFER])
    os.chown(path, 1234, 1235)
    write_keys(path, [ADMIN])
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_a_file_whose_owner_cannot_stay_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [INFER])
    own = os.fstat

    def fstat_of_another(descriptor: int) -> os.stat_result:
        mode, *rest = own(descriptor)
        rest[3] += 1
        return os.stat_result((mode, *rest))

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr("os.fstat", fstat_of_another)
        patched.setattr("os.fchown", refuse)
        with pytest.raises(InvalidKeys, match="cannot be written: Operation not permitted"):
            write_keys(path, [ADMIN])
    assert read_keys(path)[0] == (INFER,)
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


def test_writing_replaces_what_a_link_points_at(tmp_path: Path) -> None:
    target, link = tmp_path / "real.json", tmp_path / "keys.json"
    write_keys(target, [INFER])
    link.symlink_to(target)
    write_keys(link, [ADMIN])
    assert link.is_symlink()
    assert read_keys(target)[0] == (ADMIN,)


def test_a_file_that_cannot_be_written_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [INFER])

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InvalidKeys, match="cannot be written: No space left on device"):
        write_keys(path, [ADMIN])
    assert read_keys(path)[0] == (INFER,)
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


def with_entry(**changes: Any) -> str:
    return json.dumps({"keys": [{**ENTRY, **changes}]})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is damaged: Invalid JSON"),
        ("[]", "is damaged: "),
        ('{"keys": [', "is damaged: Invalid JSON"),
        ("{}", "is damaged at keys: Field required"),
        (json.dumps({"keys": [], "more": 1}), "is damaged at more: Extra inputs"),
        (with_entry(role="root"), "is damaged at keys/0/role: "),
        (with_entry(name="a b"), "is damaged at keys/0/name: "),
        (with_entry(hash="sha256:00"), "is damaged at keys/0/hash: "),
        (with_entry(created="yesterday"), "is damaged at keys/0/created: "),
        (with_entry(requests_per_minute=0), "is damaged at keys/0/requests_per_minute: "),
        (with_entry(max_concurrent=True), "is damaged at keys/0/max_concurrent: "),
        (with_entry(max_concurrent="3"), "is damaged at keys/0/max_concurrent: "),
        (json.dumps({"keys": [ENTRY, ENTRY]}), "is damaged: two keys are named 'ci'"),
        (json.dumps({"keys": [ENTRY, {**ENTRY, "name": "b"}]}), "is damaged: the key 'b' has the hash of another one"),
        (" " * (MAX_FILE_BYTES + 1), "the limit"),
    ],
    ids=range(15),
)
def test_a_damaged_file_is_refused_by_its_place(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(InvalidKeys, match=f"the keys file .*keys.json .*{reason}"):
        read_keys(path)


def test_the_error_of_a_key_in_the_file_does_not_repeat_it(tmp_path: Path) -> None:
    secret, _ = make_key("ci")
    path = tmp_path / "keys.json"
    for wrong in (with_entry(hash=secret), with_entry(key=secret), with_entry(name=f"{secret}!"), secret):
        path.write_text(wrong)
        with pytest.raises(InvalidKeys) as raised:
            read_keys(path)
        assert secret not in raised.value.detail


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeys, match="cannot be read: No such file"):
        read_keys(tmp_path / "keys.json")
    with pytest.raises(InvalidKeys, match="cannot be read: Is a directory"):
        read_keys(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    os.mkfifo(path)
    with pytest.raises(InvalidKeys, match="is a pipe or a device"):
        read_keys(path)


def test_programs_that_change_the_file_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [])

    def add(name: str) -> None:
        key = dataclasses.replace(make_key(name)[1], created=CREATED)
        with locked(path):
            write_keys(path, [*read_keys(path)[0], key])

    threads = [threading.Thread(target=add, args=(f"key-{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in read_keys(path)[0]} == {f"key-{index}" for index in range(8)}

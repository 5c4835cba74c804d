import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.keys import keys
from app.keys.api_key import digest_of
from app.keys.file import read_keys
from app.keys.variable import parse_variable


def run(*arguments: str) -> Result:
    return CliRunner().invoke(keys, arguments, env={"MANIFOLD_KEYS_FILE": None})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_new_key_is_printed_once_and_only_its_hash_is_stored(path: Path) -> None:
    limits = ["--requests-per-minute", "600", "--max-concurrent", "8"]
    result = run("new", "ci", "--role", "admin", *limits, "--keys-file", str(path))
    assert result.exit_code == 0, result.output
    secret = result.stdout.strip()
    assert secret not in result.stderr
    assert secret not in path.read_text()
    ((key,), _) = read_keys(path)
    assert (key.name, key.role, key.digest) == ("ci", "admin", digest_of(secret.encode()))
    assert (key.requests_per_minute, key.max_concurrent) == (600, 8)
    assert key.created
    assert timedelta(0) <= datetime.now(UTC) - key.created < timedelta(minutes=10)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_may_be_named_by_a_variable(path: Path) -> None:
    result = CliRunner().invoke(keys, ["new", "ci"], env={"MANIFOLD_KEYS_FILE": str(path)})
    assert result.exit_code == 0
    assert [key.role for key in read_keys(path)[0]] == ["infer"]


def test_without_a_file_the_value_of_the_variable_is_printed(tmp_path: Path) -> None:
    result = run("new", "ci", "--role", "admin")
    secret = result.stdout.strip()
    (key,) = parse_variable(result.stderr.split("'")[1])
    assert (key.name, key.role, key.digest) == ("ci", "admin", digest_of(secret.encode()))
    assert result.stderr.startswith("Start the server with MANIFOLD_API_KEYS='ci=admin:sha256:")
    assert secret not in result.stderr


def test_keys_are_listed_without_their_hashes(path: Path) -> None:
    run("new", "ci", "--requests-per-minute", "600", "--keys-file", str(path))
    run("new", "me", "--role", "admin", "--keys-file", str(path))
    table = run("list", "--keys-file", str(path)).stdout
    rows = json.loads(run("list", "--json", "--keys-file", str(path)).stdout)
    assert [(row["name"], row["role"], row["requests_per_minute"]) for row in rows] == [
        ("ci", "infer", 600),
        ("me", "admin", None),
    ]
    assert max(map(len, table.splitlines())) <= 80
    for key in read_keys(path)[0]:
        assert key.name in table
        assert key.digest.hex() not in table + json.dumps(rows)


def test_a_key_is_revoked(path: Path) -> None:
    for name in ("ci", "me"):
        run("new", name, "--keys-file", str(path))
    assert run("revoke", "ci", "--keys-file", str(path)).exit_code == 0
    assert [key.name for key in read_keys(path)[0]] == ["me"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["new", "ci", "--keys-file", "{}"], 1, "has a key named ci already. Revoke it, or choose another."),
        (["new", "a b"], 2, "The name must have 1 to 100 letters, digits, dots, hyphens and underscores."),
        (["new", "../x"], 2, "The name must have"),
        (["new", "x", "--role", "root"], 2, "'root' is not one of 'infer', 'admin'"),
        (["new", "x", "--max-concurrent", "0"], 2, "0 is not in the range"),
        (["new", "x", "--max-concurrent", "1"], 2, "Limits are stored in the file of the keys"),
        (["new", "x", "--keys-file", "{}/x.json"], 1, "cannot be opened"),
        (["list"], 2, "Give the file of the keys with --keys-file, or by the variable MANIFOLD_KEYS_FILE."),
        (["list", "--keys-file", "nowhere.json"], 1, "The keys file nowhere.json cannot be read: No such file"),
        (["revoke", "cii", "--keys-file", "{}"], 1, "has no key named 'cii'. Did you mean ci? There are ci."),
    ],
)
def test_errors_are_sentences(path: Path, arguments: list[str], code: int, said: str) -> None:
    run("new", "ci", "--keys-file", str(path))
    before = path.read_bytes()
    result = run(*(argument.replace("{}", str(path)) for argument in arguments))
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in " ".join(result.stderr.split())
    assert path.read_bytes() == before


def test_a_damaged_file_is_not_overwritten(path: Path) -> None:
    path.write_text("{")
    for arguments in (["new", "ci"], ["revoke", "ci"], ["list"]):
        result = run(*arguments, "--keys-file", str(path))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "is damaged" in result.stderr
    assert path.read_text() == "{"

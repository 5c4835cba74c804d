"""`manifold keys`: makes, lists and revokes API keys. Only their hashes are stored."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import WrongUsage, did_you_mean, in_words, sentence

if TYPE_CHECKING:
    from app.keys.api_key import ApiKey

ROLES = ("infer", "admin")
MAX_LIMIT = 10**9

keys_file_option = click.option(
    "--keys-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="MANIFOLD_KEYS_FILE",
    metavar="FILE",
    help="File of the keys; the variable MANIFOLD_KEYS_FILE if not given.",
)
limit = click.IntRange(1, MAX_LIMIT)


@click.group()
def keys() -> None:
    """Make, list and revoke API keys.

    A server that is given the file with --keys-file, or by MANIFOLD_KEYS_FILE, answers only to these keys. It notices
    changes within a second.
    """


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="infer", show_default=True, help="What the key may do.")
@click.option("--requests-per-minute", type=limit, metavar="NUMBER", help="Most requests in a minute.")
@click.option("--max-concurrent", type=limit, metavar="NUMBER", help="Most requests at the same time.")
@keys_file_option
def new(
    name: str, role: str, requests_per_minute: int | None, max_concurrent: int | None, keys_file: Path | None
) -> None:
    """Make a key, store its hash, and print the key, which is shown only this once.

    The role infer allows everything but to load and unload models, which needs admin. Without a file, nothing is
    stored, and the value for the variable MANIFOLD_API_KEYS is printed on standard error.
    """
    from app.keys.api_key import NAME_PATTERN, ApiKey, Role, digest_of, new_secret
    from app.keys.file import locked, write_keys
    from app.keys.variable import to_entry

    if not NAME_PATTERN.fullmatch(name):
        raise WrongUsage(["The name must have 1 to 100 letters, digits, dots, hyphens and underscores."])
    if keys_file is None and (requests_per_minute or max_concurrent):
        raise WrongUsage(["Limits are stored in the file of the keys: give one with --keys-file."])
    secret = new_secret()
    made = ApiKey(
        name=name,
        role=Role(role),
        digest=digest_of(secret.encode()) or b"",
        created=datetime.now(UTC).replace(microsecond=0),
        requests_per_minute=requests_per_minute,
        max_concurrent=max_concurrent,
    )
    if keys_file is None:
        click.echo(f"Start the server with MANIFOLD_API_KEYS='{to_entry(made)}'.", err=True)
    else:
        with _readable_errors(), locked(keys_file):
            before = _read(keys_file) if keys_file.exists() else []
            if any(key.name == name for key in before):
                raise click.ClickException(f"{keys_file} has a key named {name} already. Revoke it, or choose another.")
            write_keys(keys_file, [*before, made])
        click.echo(f"Stored the hash of the key {name} ({role}) in {keys_file}. The key is shown only now:", err=True)
    click.echo(secret)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of a table.")
@keys_file_option
def list_keys(as_json: bool, keys_file: Path | None) -> None:
    """List the keys of the file by name, with their roles and limits."""
    from rich.console import Console
    from rich.table import Table

    with _readable_errors():
        rows = [_describe(key) for key in _read(_require_file(keys_file))]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table("name", "role", "created", "a minute", "at once")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)


@keys.command()
@click.argument("name")
@keys_file_option
def revoke(name: str, keys_file: Path | None) -> None:
    """Remove a key from the file. Servers refuse it within a second."""
    from app.keys.file import locked, write_keys

    path = _require_file(keys_file)
    with _readable_errors(), locked(path):
        before = _read(path)
        names = [key.name for key in before]
        if name not in names:
            known = f"There are {in_words(names, 'and')}."
            raise click.ClickException(f"{path} has no key named {name!r}.{did_you_mean(name, names)} {known}")
        write_keys(path, [key for key in before if key.name != name])
    click.echo(f"Revoked the key {name}.", err=True)


def _require_file(path: Path | None) -> Path:
    if path is None:
        raise WrongUsage(["Give the file of the keys with --keys-file, or by the variable MANIFOLD_KEYS_FILE."])
    return path


def _read(path: Path) -> "list[ApiKey]":
    from app.keys.file import read_keys

    return [*read_keys(path)[0]]


def _describe(key: "ApiKey") -> dict[str, Any]:
    return {
        "name": key.name,
        "role": key.role.value,
        "created": key.created and key.created.isoformat(),
        "requests_per_minute": key.requests_per_minute,
        "max_concurrent": key.max_concurrent,
    }


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Print what is wrong with the file as a sentence."""
    from app.keys.api_key import InvalidKeys

    try:
        yield
    except InvalidKeys as error:
        message = sentence(error)
        raise click.ClickException(message[0].upper() + message[1:]) from None

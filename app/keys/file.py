"""The file of the keys: a JSON object with the names, roles, limits and hashes of the keys, and never a key itself."""

import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from app.keys.api_key import NAME_PATTERN, ApiKey, InvalidKeys, Role, format_digest, parse_digest

MAX_FILE_BYTES = 2**22
"""Maximum size of the file, in bytes: about 20,000 keys."""
MAX_LIMIT = 10**9
"""Maximum of each limit of a key."""
OWNER_ONLY = 0o600
"""Mode of a new file: only its owner may read and write it."""
GROUP_MAY_READ = 0o640
"""Mode that a file keeps: its group may read it as well."""

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
Signature = tuple[int, int, int, int]
"""What changes whenever a file does: its inode, its size, and when its content and its permissions last changed."""


class UnreadableKeys(InvalidKeys):
    """Error: the file cannot be opened or read, which may pass without any change to the file."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$")]
    role: Role
    hash: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    created: AwareDatetime
    requests_per_minute: Limit | None = None
    max_concurrent: Limit | None = None

    def key(self) -> ApiKey:
        content = self.model_dump(exclude={"hash"})
        return ApiKey(digest=parse_digest(self.hash) or b"", **content)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    keys: list[_Entry]


def read_keys(path: Path) -> tuple[tuple[ApiKey, ...], Signature]:
    """Read the keys of a file, and its signature at the time.

    Raises:
        UnreadableKeys: the file cannot be opened or read.
        InvalidKeys: it is not a file of keys.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableKeys(f"the keys file {path} is a pipe or a device; it must be a file, to be read again")
            signature, data = _signature(status), file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableKeys(f"the keys file {path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise InvalidKeys(f"the keys file {path} has more than {MAX_FILE_BYTES} bytes, the limit")
    try:
        keys = tuple(entry.key() for entry in _Content.model_validate_json(data).keys)
        require_distinct(keys)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = "/".join(map(str, first["loc"]))
        raise InvalidKeys(f"the keys file {path} is damaged{f' at {place}' if place else ''}: {first['msg']}") from None
    except InvalidKeys as error:
        raise InvalidKeys(f"the keys file {path} is damaged: {error.detail}") from None
    return keys, signature


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting, as the opening of a pipe waits for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # which Windows lacks


def signature_of(path: Path) -> Signature | None:
    """Return the signature of a file; None if it cannot be looked at."""
    try:
        return _signature(os.stat(path))
    except OSError:
        return None


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def require_distinct(keys: Sequence[ApiKey]) -> None:
    """Check that no two keys have the same name or the same hash.

    Raises:
        InvalidKeys: two do.
    """
    names, digests = set[str](), set[bytes]()
    for key in keys:
        if key.name in names:
            raise InvalidKeys(f"two keys are named {key.name!r}")
        if key.digest in digests:
            raise InvalidKeys(f"the key {key.name!r} has the hash of another one")
        names.add(key.name)
        digests.add(key.digest)


def write_keys(path: Path, keys: Sequence[ApiKey]) -> None:
    """Replace the file by one with these keys at once, so that no reader sees a part of it.

    The owner and the group of the file stay, because a server that runs as another user could not read it otherwise.
    Only the owner may read it, and the group if the file already allowed that, and nothing to others.

    Raises:
        InvalidKeys: the file cannot be written, or its owner cannot stay.
    """
    target = path.resolve()  # a link stays one
    content = {"keys": [_entry_of(key) for key in keys]}
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
            with os.fdopen(descriptor, "w") as file:
                _keep_access(target, descriptor)
                file.write(json.dumps(content, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidKeys(f"the keys file {path} cannot be written: {error.strerror}") from None


def _keep_access(before: Path, descriptor: int) -> None:
    """Give a new file the owner, the group and the permission to read of the one that it will replace."""
    if sys.platform == "win32":
        return
    own = os.fstat(descriptor)
    try:
        kept = before.stat()
    except FileNotFoundError:
        return
    if (kept.st_uid, kept.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(descriptor, kept.st_uid, kept.st_gid)
    if stat.S_IMODE(kept.st_mode) == GROUP_MAY_READ:
        os.fchmod(descriptor, GROUP_MAY_READ)


def _entry_of(key: ApiKey) -> dict[str, object]:
    """Return the entry of a key in the file, without the limits that it does not have."""
    fields = {
        "name": key.name,
        "role": key.role.value,
        "hash": format_digest(key.digest),
        "created": key.created.isoformat(timespec="seconds") if key.created else None,
        "requests_per_minute": key.requests_per_minute,
        "max_concurrent": key.max_concurrent,
    }
    return {name: value for name, value in fields.items() if value is not None}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other programs that use this function from changing the file, where the system has locks of folders.

    Raises:
        InvalidKeys: the folder of the file cannot be opened.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl  # which Windows lacks

    folder = path.resolve().parent
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InvalidKeys(f"the folder {folder} of the keys file cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

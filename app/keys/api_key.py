"""API keys: how they are made and recognised, what is stored of them, and how they are kept out of logs."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.errors import ManifoldError

KEY_PREFIX = "mf_"
"""First characters of every key, by which logs and scanners for leaked secrets recognise one."""
KEY_BYTES = 32
"""Number of random bytes of a key."""
HASH_PREFIX = "sha256:"

NAME_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,100}")
KEY_PATTERN = re.compile(rb"mf_[A-Za-z0-9_-]{43}")
_KEY_IN_TEXT = re.compile(r"mf_[A-Za-z0-9_-]{20,}")
"""A key or a long part of one. What a shorter part leaves unknown has more than 128 bits."""
_EMPTY_HASH = hashlib.sha256()
_HASH_PATTERN = re.compile(r"sha256:([0-9a-f]{64})")


class Role(StrEnum):
    """What a key may do."""

    INFER = "infer"
    ADMIN = "admin"


class InvalidKeys(ManifoldError):
    """The keys of the server cannot be used: their file is missing or damaged, or they contradict each other.

    The detail never contains a key, nor a text that may be one.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """What the server knows of a key, which is never the key itself.

    Attributes:
        name: name of the key, for people and logs.
        role: what the key may do.
        digest: SHA-256 of the key.
        created: when the key was made; None if that is unknown.
        requests_per_minute: most requests in a minute; None if there is no limit.
        max_concurrent: most requests at the same time; None if there is no limit.
    """

    name: str
    role: Role
    digest: bytes = field(repr=False)
    created: datetime | None = None
    requests_per_minute: int | None = None
    max_concurrent: int | None = None


def new_secret() -> str:
    """Return a new random key of 256 bits."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_of(presented: bytes) -> bytes | None:
    """Return the digest of what a client presents as its key; None if it does not have the form of a key.

    One round of SHA-256 without a salt is enough, because a key has 256 random bits: nobody can try so many, and no
    two keys are equal. The slow hashes for passwords protect secrets that can be guessed, and every request would pay
    for them. A text of another form is no key, even if its hash is listed: people choose such texts, and others guess
    them.
    """
    if not KEY_PATTERN.fullmatch(presented):
        return None
    hashed = _EMPTY_HASH.copy()  # looking the algorithm up again would take longer than hashing
    hashed.update(presented)
    return hashed.digest()


def format_digest(digest: bytes) -> str:
    """Return a digest as it is written in files and variables."""
    return f"{HASH_PREFIX}{digest.hex()}"


def parse_digest(text: str) -> bytes | None:
    """Return the digest in a text of a file or a variable; None if it has another form."""
    found = _HASH_PATTERN.fullmatch(text)
    return bytes.fromhex(found[1]) if found else None


def redact(text: str) -> str:
    """Return a text with every key in it replaced. Texts without keys, which are nearly all, cost one search."""
    return _KEY_IN_TEXT.sub(f"{KEY_PREFIX}[redacted]", text) if KEY_PREFIX in text else text

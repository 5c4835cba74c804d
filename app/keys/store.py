"""The keys of a running server."""

import hmac
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.keys.api_key import ApiKey, InvalidKeys, digest_of
from app.keys.file import UnreadableKeys, read_keys, require_distinct, signature_of
from app.keys.limiter import Limiter

log = logging.getLogger(__name__)

CHECK_EVERY_S = 1.0
"""Least time, in seconds, between two looks at the file; a revoked key works for that much longer."""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key, and the limiter that counts its requests; None if the key has no limits."""

    key: ApiKey
    limiter: Limiter | None


class KeyStore:
    """The keys of a file and of the environment, by their hashes.

    When the file changes, it is read again. While it is missing or damaged, the keys that were read before stay valid.

    Attributes:
        is_enabled: whether requests need a key. It stays true when the last key of the file is revoked.
    """

    def __init__(self, path: Path | None, environment: Sequence[ApiKey], before: "KeyStore | None" = None) -> None:
        """Read the keys. Those that are the same as in the store `before` keep what they have counted.

        Raises:
            InvalidKeys: the file cannot be read, or a name or a hash stands twice.
        """
        self._path, self._environment = path, tuple(environment)
        self.is_enabled = path is not None or bool(environment)
        self._keys: dict[bytes, HeldKey] = {} if before is None else before._keys
        self._signature: object = None
        self._failure: str | None = None
        self._checks_at_s = time.monotonic() + CHECK_EVERY_S
        self._read()

    def find(self, presented: bytes) -> HeldKey | None:
        """Return the key that a client presents; None if there is no such key.

        How long the look-up takes may show how much of the hash agrees with another one. Nobody can use that, because
        nobody can make a key that has a wanted hash. The comparison itself takes the same time for all hashes.
        """
        if self._path is not None and time.monotonic() >= self._checks_at_s:
            self._check_file(self._path)
        digest = digest_of(presented)
        held = None if digest is None else self._keys.get(digest)
        if held is None or digest is None or not hmac.compare_digest(held.key.digest, digest):
            return None
        return held

    def reload(self) -> bool:
        """Read the file now, if there is one. If that fails, log why, keep the keys of before, and return False."""
        if self._path is None:
            return True
        self._failure = None
        return self._try_to_read() is None

    def _check_file(self, path: Path) -> None:
        """Read the file if it has changed since it was read, or since it was found to be damaged.

        A file that cannot be read is tried at each look, because the reason may be that of a moment.
        """
        self._checks_at_s = time.monotonic() + CHECK_EVERY_S
        signature = signature_of(path)
        if signature == self._signature:
            return
        error = self._try_to_read()
        if error is not None and not isinstance(error, UnreadableKeys):
            self._signature = signature

    def _try_to_read(self) -> InvalidKeys | None:
        """Read the file, or return why that failed, which is logged unless it is the same as the last time."""
        try:
            self._read()
        except InvalidKeys as error:
            if error.detail != self._failure:
                log.error("the keys are those of before: %s", error.detail)
            self._failure = error.detail
            return error
        self._failure = None
        log.info("the keys were read", extra={"n_keys": len(self._keys)})
        return None

    def _read(self) -> None:
        keys, signature = ((), None) if self._path is None else read_keys(self._path)
        require_distinct([*self._environment, *keys])
        before = self._keys
        self._keys = {key.digest: _hold(key, before.get(key.digest)) for key in (*self._environment, *keys)}
        self._signature = signature


def _hold(key: ApiKey, before: HeldKey | None) -> HeldKey:
    """Return a key with its limiter; one that is the same as before keeps what it has counted."""
    if before is not None and before.key == key:
        return before
    is_limited = key.requests_per_minute is not None or key.max_concurrent is not None
    limiter = Limiter(f"the key {key.name!r}", key.requests_per_minute, key.max_concurrent) if is_limited else None
    return HeldKey(key, limiter)

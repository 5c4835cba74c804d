"""Keys for tests."""

import dataclasses
from typing import Any

from app.keys.api_key import ApiKey, Role, digest_of, new_secret


def make_key(name: str, role: Role = Role.INFER, **limits: Any) -> tuple[str, ApiKey]:
    """A new key, and what a server knows of it."""
    secret = new_secret()
    digest = digest_of(secret.encode())
    assert digest
    return secret, dataclasses.replace(ApiKey(name=name, role=role, digest=digest), **limits)

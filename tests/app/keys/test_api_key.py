import hashlib

import pytest

from app.keys.api_key import digest_of, format_digest, new_secret, parse_digest, redact
from tests.app.keys.made import make_key


def test_a_new_key_is_random_and_recognisable() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret) == 46 and secret.startswith("mf_") for secret in secrets)


def test_the_digest_of_a_key_is_its_sha_256() -> None:
    secret = new_secret().encode()
    assert digest_of(secret) == hashlib.sha256(secret).digest()


@pytest.mark.parametrize(
    "presented", [b"", b"hunter2", b"mf_", b"mf_" + b"a" * 42, b"mf_" + b"a" * 44, b"mf_" + b"a" * 42 + b"\n"]
)
def test_a_text_of_another_form_is_no_key(presented: bytes) -> None:
    assert digest_of(presented) is None


def test_digests_are_written_and_read() -> None:
    digest = bytes(range(32))
    assert parse_digest(format_digest(digest)) == digest
    for wrong in ("", "sha256:", digest.hex(), f"sha1:{digest.hex()}", format_digest(digest) + "\n"):
        assert parse_digest(wrong) is None


def test_the_text_of_a_key_object_has_no_digest() -> None:
    secret, key = make_key("ci")
    for text in (repr(key), str(key)):
        assert secret not in text
        assert key.digest.hex() not in text
        assert repr(key.digest) not in text


def test_keys_and_long_parts_of_keys_are_redacted() -> None:
    secret = new_secret()
    text = f'{{"path": "/models/{secret}/load", "cut": "{secret[:30]}…", "model": "mf_tiny"}}'
    assert redact(text) == '{"path": "/models/mf_[redacted]/load", "cut": "mf_[redacted]…", "model": "mf_tiny"}'
    assert redact("nothing") == "nothing"

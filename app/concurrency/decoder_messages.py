"""The messages between the server and a process that decodes files: the lengths of both parts, JSON, and bytes."""

import json
import struct
from typing import Any

LENGTHS = struct.Struct(">II")
"""What a message begins with: the lengths of its JSON and of the bytes that follow it."""


def begin_message(head: dict[str, Any], n_bytes: int) -> bytes:
    """Return a message without its bytes, of which there will be so many."""
    text = json.dumps(head).encode()
    return LENGTHS.pack(len(text), n_bytes) + text

"""Random generators whose draws depend on numbers such as seeds alone, and not on the machine or on other requests."""

import hashlib

import torch


def seeded(*numbers: int) -> torch.Generator:
    """Return a generator on the CPU: the same for the same `numbers` on every machine, another for others."""
    digest = hashlib.sha256("/".join(map(str, numbers)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)

"""The server that the tests of Triton's clients talk to."""

import os

import pytest


@pytest.fixture(scope="session")
def address() -> str:
    """Host and port of the server; Triton's clients take no scheme."""
    return os.environ["MANIFOLD_URL"].partition("://")[2].rstrip("/")

"""The server that the suites of the clients share."""

from collections.abc import Iterator

import pytest

from tests.app.server import Served, serve

collect_ignore = ["clients"]  # which other interpreters run; see test_clients.py


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with every shipped checkpoint and without keys."""
    with serve(tmp_path_factory.mktemp("server")) as served:
        yield served

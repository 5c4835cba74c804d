"""Real servers that the tests of HTTP share."""

from collections.abc import Iterator

import pytest

from tests.app.server import KINDS, Served, serve
from tests.app.texts import write_text
from tests.conftest import write_tiny

TEXT_MODEL = "tiny-gpt"


@pytest.fixture(scope="session", params=KINDS)
def any_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of each kind, with a tiny autoencoder and a tiny text model. No test changes its state."""
    weights = tmp_path_factory.mktemp("weights")
    write_tiny(weights)
    write_text(weights, "transformers/gpt", name=TEXT_MODEL)
    with serve(
        tmp_path_factory.mktemp("server"), "--workers", "1", "--torch-threads", "1", weights=weights, kind=request.param
    ) as served:
        yield served

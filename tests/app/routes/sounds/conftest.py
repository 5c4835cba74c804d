"""Models of sounds with random weights, and a client of a server of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.app.sounds import write_models
from tests.conftest import served

pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the models that `write_models` writes."""
    root = tmp_path_factory.mktemp("sounds")
    write_models(root)
    return root


@pytest.fixture(scope="module")
async def client(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=root, max_items=20, max_audio_seconds=3)) as client:
        yield client

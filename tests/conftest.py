"""Fixtures shared by the whole tree: checkpoints made on the spot, and the application on top of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest
import torch
from hypothesis import settings
from prometheus_client.metrics_core import Metric

from app.main import create_app
from app.settings import Settings
from models.autoencoders.vanilla import FAMILY
from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import Checkpoint, write_checkpoint
from training.calibrate import calibrate

settings.register_profile("any machine", deadline=None)  # how long an example takes depends on what else runs
settings.load_profile("any machine")
TINY = "tiny-ae"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def write_tiny(root: Path, name: str = TINY, seed: int = 0) -> Checkpoint:
    """A vanilla autoencoder of 4x4 images with random weights."""
    torch.manual_seed(seed)
    config = FAMILY.tiny[0]
    model = cast("Autoencoder", FAMILY.new_model(config).eval())
    items = list(torch.rand(30, 1, 4, 4))
    return write_checkpoint(
        root / FAMILY.id / name,
        model,
        calibrate(model, items, [(model, items)], percentile=99.0, n_components=2),
        family_id=FAMILY.id,
        config=config,
        codec={"modality": "image", "shape": [1, 4, 4]},
        licence="Apache-2.0",
        dtype=torch.float32,
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights folder with one tiny checkpoint."""
    root = tmp_path / "weights"
    write_tiny(root)
    return root


@asynccontextmanager
async def served(settings: Settings, *, wait: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, without a socket; `wait` until its models serve."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
            if wait:
                await app.state.registry.loaded()
            client.app = app  # type: ignore[attr-defined]
            yield client


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that serves the tiny checkpoint. Nobody changes its state."""
    root = tmp_path_factory.mktemp("weights")
    write_tiny(root)
    async with served(Settings(weights_dir=root, max_items=100)) as client:
        yield client


@pytest.fixture
async def own_client(weights: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The same, for one test, which may change it."""
    async with served(Settings(weights_dir=weights)) as client:
        yield client


@pytest.fixture(scope="session")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> list[Metric]:
    """The metrics of an application that has served requests of every kind."""
    from tests.app.metrics import traffic  # which imports this module

    return asyncio.run(traffic.exposed(tmp_path_factory.mktemp("exposed")))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak-seconds", type=float, default=5.0, help="How long 64 clients visit the server.")

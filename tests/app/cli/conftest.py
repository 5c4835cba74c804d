"""A command line on tiny checkpoints, and a running server with the same ones."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner, Result

from app.cli import main
from app.main import create_app
from app.settings import Settings
from tests.app.texts import write_text
from tests.conftest import write_tiny

TEXT_MODEL = "tiny-gpt"

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny autoencoder of 4x4 images, and a tiny GPT-2."""
    weights = tmp_path_factory.mktemp("weights")
    write_tiny(weights)
    write_text(weights, "transformers/gpt", name=TEXT_MODEL)
    return weights


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """Run a server on a real socket, on a thread, and give its address once its models serve."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    is_ready = threading.Event()

    async def serve() -> None:
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        await app.state.registry.loaded()
        is_ready.set()
        await task

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert is_ready.wait(60)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="session")
def url(tiny_weights: Path) -> Iterator[str]:
    """The address of a server that takes at most three items in a request."""
    with running(Settings(weights_dir=tiny_weights, workers=1, torch_threads=1, max_items=3)) as address:
        yield address


@pytest.fixture
def run(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder, without a server unless the command names one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(tiny_weights))
    monkeypatch.setenv("MANIFOLD_WORKERS", "1")
    monkeypatch.delenv("MANIFOLD_URL", raising=False)

    def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, arguments, input=stdin)

    return invoke

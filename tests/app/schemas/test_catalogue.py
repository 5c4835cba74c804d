"""A task is a module of its own: nothing else is edited for it to be served."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app import schemas
from app.schemas.catalogue import task_endpoints
from app.settings import Settings
from models.autoencoders import vanilla
from models.catalogue import families
from models.tasks import ENCODE, Task
from tests.app.items import images
from tests.conftest import served

MODULE = '''
"""`/encode-again`: a task that does what `/encode` does."""

from dataclasses import replace

from app.schemas import encode
from app.schemas.shared.task_schema import TaskEndpoint
from models.tasks import ENCODE, Task

TASK = Task("encode_again", ENCODE.request, ENCODE.result)
ENDPOINT = TaskEndpoint(
    name="encode_again",
    summary="Encode items once more",
    description="Does what `/encode` does.",
    schemas=(replace(encode.SCHEMA, task=TASK),),
    examples=({"model": "tiny-ae", "inputs": [[0.0] * 16]},),
)
'''


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """A task that vanilla autoencoders serve, in a module dropped into the package."""
    (tmp_path / "encode_again.py").write_text(MODULE)
    monkeypatch.setattr(schemas, "__path__", [*schemas.__path__, str(tmp_path)])
    task_endpoints.cache_clear()
    (endpoint,) = [endpoint for endpoint in task_endpoints() if endpoint.name == "encode_again"]
    task = endpoint.schemas[0].task  # type: ignore[union-attr]
    family = vanilla.FAMILY
    extended = replace(family, tasks=lambda config: {**family.tasks(config), task: family.tasks(config)[ENCODE]})
    monkeypatch.setattr(vanilla, "FAMILY", extended)
    families.cache_clear()
    yield task
    task_endpoints.cache_clear()
    families.cache_clear()
    del sys.modules["app.schemas.encode_again"]


@pytest.mark.anyio
async def test_a_new_module_is_a_route_of_its_own(task: Task, weights: Path) -> None:
    assert task is not ENCODE
    async with served(Settings(weights_dir=weights)) as client:
        body = {"inputs": images(2).tolist()}
        again, known = [await client.post(path, json=body) for path in (task.path, ENCODE.path)]
        assert (again.status_code, again.json()["outputs"]) == (200, known.json()["outputs"])
        document = (await client.get("/openapi.json")).json()
        assert document["paths"]["/encode-again"]["post"]["operationId"] == task.name


@pytest.mark.anyio
async def test_it_is_gone_with_its_module(client: httpx.AsyncClient) -> None:
    assert (await client.post("/encode-again", json={})).status_code == 404


def test_tasks_are_found_once_each_in_alphabetical_order() -> None:
    names = [endpoint.name for endpoint in task_endpoints()]
    assert names == sorted(set(names))

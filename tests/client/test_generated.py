"""The part of the client that is generated agrees with the server's OpenAPI document."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from manifold_client import AsyncManifold, Manifold

from app.main import create_app
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.parsing import nested_models
from client.generate import FOLDER, generate


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return generate(create_app().openapi())


@pytest.mark.parametrize("name", ["results.py", "tasks.py", "async_tasks.py"])
def test_the_files_are_those_that_the_document_gives(name: str, generated: dict[str, str]) -> None:
    path: Path = FOLDER / name
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"]
    formatted = subprocess.run(command, input=generated[name], capture_output=True, text=True, check=True)
    assert path.read_text() == formatted.stdout, "run `make client`"


@pytest.mark.parametrize("endpoint", task_endpoints(), ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("client", [Manifold, AsyncManifold])
def test_each_task_is_a_method_with_the_parameters_of_its_schemas(client: type, endpoint: object) -> None:
    name, schemas = endpoint.name, endpoint.schemas  # type: ignore[attr-defined]
    found = {*inspect.signature(getattr(client, name)).parameters} - {"self", "inputs", "model", "timeout"}
    models = [nested_models(schema.body)["parameters"] for schema in schemas]
    assert found == {field for model in models if model for field in model.model_fields} - {"stream"}


def test_both_clients_have_the_same_methods() -> None:
    public = [{name for name in vars(kind) if not name.startswith("_")} for kind in (Manifold, AsyncManifold)]
    assert public[0] == public[1]

"""The documents say what is so: every command, setting, route, error and number in them."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, HTTPException
from PIL import Image
from prometheus_client.metrics_core import Metric
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app import errors
from app.errors import ManifoldError, MethodNotAllowed, Retryable, RouteError, UnknownRoute
from app.http.error_answers import error_slug
from app.http.problems import STATUS
from app.keys.api_key import InvalidKeys
from app.keys.file import UnreadableKeys
from app.main import create_app
from app.process.serve import AddressUnavailable
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.examples import SEVEN_PNG
from app.settings import RELOADABLE, Settings
from app.tracing.tracing import TracingUnavailable
from models.autoencoders import __doc__ as autoencoders_table
from models.catalogue import families
from models.checkpoint import find_checkpoints, read_checkpoint
from models.transformers import __doc__ as transformers_table
from tests.app.server import SHIPPED, Served, serve
from training.recipe import get_recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs/api.md").read_text()
DIALECTS = (ROOT / "docs/dialects.md").read_text()
METRICS = (ROOT / "docs/metrics.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
OPENAPI = create_app(Settings()).openapi()
ROUTE_ERRORS: dict[type[ManifoldError], int | str] = {UnknownRoute: 404, MethodNotAllowed: 405, RouteError: "any"}
"""Errors that have the status of the framework or of a dependency, with the status that the document shows."""
TASKS = {endpoint.path for endpoint in task_endpoints()}
NEVER_ANSWERED = {Retryable, AddressUnavailable, InvalidKeys, UnreadableKeys, TracingUnavailable}
"""A base class that is never raised itself, and errors that prevent the server from starting."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("docs")) as served:
        yield served


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def pixels(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return np.asarray(Image.open(path)).astype(np.int16)


@pytest.mark.skipif(not shutil.which("curl"), reason="the README's request uses curl")
def test_the_readmes_request_gives_the_picture_it_shows(server: Served, tmp_path: Path) -> None:
    command = code_blocks(README, "bash")[0]
    shutil.copytree(ROOT / "docs/examples", tmp_path / "docs/examples")
    command = command.replace("localhost:8000", server.url)
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
    got, shown = pixels(tmp_path / "reconstruction.png"), pixels(ROOT / "docs/examples/seven-reconstructed.png")
    assert np.abs(got - shown).max() <= 1
    assert np.abs(got - pixels(ROOT / "docs/examples/seven.png")).mean() < 5  # a real reconstruction


def test_the_worked_examples_run(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    blocks = code_blocks((ROOT / "docs/examples.md").read_text(), "python")
    assert len(blocks) == len({read_checkpoint(folder).spec.id for folder in find_checkpoints(SHIPPED)})
    for code in blocks:
        exec(code.replace("http://localhost:8000", server.url), names)  # noqa: S102 that is what is tested
    cast("httpx.Client", names["server"]).close()


def takes_json(operation: dict[str, Any]) -> bool:
    return "application/json" in operation.get("requestBody", {}).get("content", {})


@pytest.mark.parametrize(
    "path", [path for path, item in OPENAPI["paths"].items() if takes_json(item.get("post", {})) and "{" not in path]
)
def test_every_example_answers_as_it_stands(server: Served, path: str) -> None:
    content = OPENAPI["paths"][path]["post"]["requestBody"]["content"]
    for example in content["application/json"]["examples"].values():
        answer = httpx.post(server.url + path, json=example["value"])
        assert answer.status_code == 200, answer.text
        if path not in TASKS:
            continue
        n_inputs = len(example["value"].get("inputs", [None]))  # without inputs, one output is asked for
        assert len(answer.json()["outputs"]) == (1 if path == "/interpolate" else n_inputs)


def _resolve(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter, or the one of the components that it refers to."""
    name = parameter.get("$ref", "").rpartition("/")[2]
    return OPENAPI["components"]["parameters"][name] if name else parameter


IS_SHIPPED_FOR = {path: not path.startswith("/diffusers/") for path in OPENAPI["paths"]}
"""Paths with a model, and whether one is shipped for them. `test_diffusers` calls the others."""


@pytest.mark.parametrize(
    "path",
    [path for path, item in OPENAPI["paths"].items() if "get" in item or ("{" in path and IS_SHIPPED_FOR[path])],
)
def test_every_service_operation_answers_as_it_stands(server: Served, path: str) -> None:
    for method, operation in OPENAPI["paths"][path].items():
        values = {
            parameter["name"]: parameter["schema"]["examples"][0]
            for parameter in map(_resolve, operation.get("parameters", []))
            if parameter["in"] == "path"
        }
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        example = next((each["value"] for each in content.get("examples", {}).values()), None)
        answer = httpx.request(method, server.url + path.format(**values), json=example, timeout=30)
        assert answer.status_code == 200, answer.text
    httpx.post(f"{server.url}/models/vanilla-ae-mnist/load", timeout=30)


def test_the_example_picture_is_the_one_in_the_docs() -> None:
    assert base64.b64decode(SEVEN_PNG.partition(",")[2]) == (ROOT / "docs/examples/seven.png").read_bytes()


def test_every_reference_in_openapi_resolves() -> None:
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(OPENAPI)):
        assert name in OPENAPI["components"]["schemas"]


def test_every_route_is_in_the_api_document() -> None:
    for path, item in OPENAPI["paths"].items():
        for method in item:
            assert f"`{method.upper()} {path}`" in API + DIALECTS


def test_every_parameter_is_in_the_api_document() -> None:
    for endpoint in task_endpoints():
        (row,) = [line for line in API.splitlines() if line.startswith(f"| `POST {endpoint.path}` |")]
        for schema in endpoint.schemas:
            parameters = schema.body.model_fields["parameters"].annotation
            assert parameters is not None
            for name in parameters.model_fields:
                assert f"`{name}`" in row


def subclasses(kind: type[ManifoldError]) -> Iterator[type[ManifoldError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_every_error_has_a_status_and_both_are_in_the_api_document() -> None:
    statuses = STATUS | ROUTE_ERRORS
    ours = {kind for kind in subclasses(ManifoldError) if not kind.__module__.startswith("tests.")}
    assert ours - NEVER_ANSWERED == set(statuses)
    for kind, status in statuses.items():
        assert f"| `{error_slug(kind.__name__)}` | {status} |" in API
        assert kind.__name__ in (errors.__doc__ or "")


class RequireKey:
    def __init__(self, app: ASGIApp) -> None:
        pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("denied", 401)(scope, receive, send)


async def require_key() -> None:
    raise HTTPException(401, "denied")


@pytest.mark.parametrize("number", [0, 1], ids=["middleware", "dependencies"])
def test_the_applications_of_the_api_document_are_protected(number: int) -> None:
    names: dict[str, Any] = {"RequireKey": RequireKey, "require_key": require_key}
    exec(code_blocks(API, "python")[number], names)  # noqa: S102 that is what is tested

    async def statuses(app: FastAPI) -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return [(await client.post(path)).status_code for path in ("/encode", "/models/nobody/load")]

    assert asyncio.run(statuses(names["create"]())) == [401, 401]


def test_every_setting_is_in_the_settings_document() -> None:
    rows = {row.split("`")[1]: row for row in SETTINGS.splitlines() if row.startswith("| `MANIFOLD_")}
    assert set(rows) == {f"MANIFOLD_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        row = rows[f"MANIFOLD_{name.upper()}"]
        assert row.endswith(f"| {field.description} |")
        if isinstance(field.default, (int, str)) and name not in ("torch_threads", "workers", "image_processes"):
            assert f"| `{field.default}` |" in row


def test_the_operations_document_names_what_can_change_and_its_file_is_right(tmp_path: Path) -> None:
    reloadable = OPERATIONS.partition("## Changing settings")[2].partition("If the file changes others")[0]
    for name in Settings.model_fields:
        assert (f"`{name}`" in reloadable) == (name in RELOADABLE), name
    (file,) = code_blocks(OPERATIONS, "toml")
    (tmp_path / "manifold.toml").write_text(file)
    settings = Settings(config=tmp_path / "manifold.toml")
    assert (settings.models, settings.memory_limit) == (("vae-mnist", "sentence-mini-en"), 2**32)


def test_every_metric_is_in_the_metrics_document_with_its_type_and_its_labels(exposed: list[Metric]) -> None:
    rows = [line.split(" | ") for line in METRICS.splitlines() if re.match(r"\| `(manifold|process)_", line)]
    documented = {name.strip("|` "): (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows}
    for family in exposed:
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert documented.pop(name) == (family.type, labels), name
    assert documented == {}


@pytest.mark.skipif(not shutil.which("curl"), reason="the command uses curl")
def test_the_command_of_the_metrics_document_prints_them(server: Served) -> None:
    (command,) = code_blocks(METRICS, "sh")
    assert command.strip() in README
    printed = subprocess.run(
        ["bash", "-ec", command.replace("localhost:8000", server.url)], check=True, capture_output=True, text=True
    )
    assert "manifold_ready 1.0" in printed.stdout.splitlines()


@pytest.mark.parametrize("folder", find_checkpoints(SHIPPED), ids=lambda folder: folder.name)
def test_card_and_readme_tell_the_measured_numbers(folder: Path) -> None:
    metrics = read_checkpoint(folder).metrics
    card = (folder / "README.md").read_text()
    for value in metrics.values():
        assert f"{value:.5f}" in card
    (row,) = [line for line in README.splitlines() if line.startswith(f"| [`{folder.name}`]")]
    assert get_recipe(folder.name).headline.format_map(metrics) in row
    assert card.splitlines()[0] == f"# {folder.name}"


@pytest.mark.parametrize("folder", find_checkpoints(SHIPPED), ids=lambda folder: folder.name)
def test_the_shipped_checkpoints_declare_what_their_recipes_say(folder: Path) -> None:
    checkpoint, recipe = read_checkpoint(folder), get_recipe(folder.name)
    assert (checkpoint.default_for, checkpoint.known_failings) == (recipe.default_for, recipe.known_failings)
    assert len(recipe.known_failings.splitlines()) == 1


@pytest.mark.parametrize("folder", find_checkpoints(SHIPPED), ids=lambda folder: folder.name)
def test_every_checkpoint_keeps_its_size(folder: Path) -> None:
    assert all(file.stat().st_size <= 12e6 for file in folder.iterdir())


def test_all_checkpoints_together_keep_their_size() -> None:
    files = [file for file in SHIPPED.glob("**/*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 115e6
    inside = {file for folder in find_checkpoints(SHIPPED) for file in folder.glob("**/*")}
    assert set(files) <= inside, "of no checkpoint"


def test_every_family_is_in_its_table() -> None:
    for family in families():
        table = autoencoders_table if family.startswith("autoencoders/") else transformers_table
        assert f"| {family.split('/')[1]} |" in (table or "")


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    for path in (ROOT / "docs/decisions").glob("0*.md"):
        title = path.read_text().splitlines()[0].removeprefix("# ")
        assert f"[{title[:4]}]({path.name}) {title[5:]}" in index


def is_ours(document: Path) -> bool:
    parts = document.relative_to(ROOT).parts
    return "runs" not in parts and not any(part.startswith(".") for part in parts)


DOCUMENTS = sorted(filter(is_ours, ROOT.glob("**/*.md")))


def anchors(document: Path) -> set[str]:
    """The names by which links reach the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r'(?:\]\(|src=")([^)"]+)[)"]', document.read_text()):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            named = document.parent / path if path else document
            assert named.exists(), target
            assert not anchor or anchor in anchors(named), target


def test_the_tree_in_the_readme_exists() -> None:
    tree = README.partition("```\nmodels/")[2].partition("```")[0]
    assert tree
    parent = ROOT
    for line in f"models/{tree}".splitlines():
        name = line.split()[0]
        parent = parent if line.startswith(" ") else ROOT / name
        assert (parent / name if line.startswith(" ") else parent).exists(), name

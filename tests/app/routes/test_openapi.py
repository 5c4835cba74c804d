"""The OpenAPI document: what it promises about its own shape, and that clients can be generated from it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidRequest
from app.http.access_rules import Access, access_of
from app.main import DIALECTS, create_app
from app.routes.openapi import ANSWER_HEADERS, PROBLEMS, TASK_STATUSES
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.parsing import parse_body
from app.schemas.shared.task_schema import TaskEndpoint, TaskSchema
from app.settings import Settings
from tests.app.items import data_url, images
from tests.app.keys.made import make_key
from tests.app.server import serve
from tests.app.texts import write_text
from tests.conftest import TINY, write_tiny

ROOT = Path(__file__).parents[3]
GENERATOR = ("openapi-python-client==0.29.1", "attrs==26.1.0", "ruamel.yaml==0.19.1")
"""The generator and what it lacks here. It is not of the `test` extra, because it asks for an older typer than ours."""
DOCUMENT: dict[str, Any] = create_app(Settings()).openapi()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS: dict[str, Any] = {
    operation["operationId"]: operation for item in DOCUMENT["paths"].values() for operation in item.values()
}
READINESS = {"get_readiness", "kserve_ready", "kserve_model_ready", "kserve_model_ready_of_version"}
FOREIGN_ERRORS = {module.DIALECT.name: module.DIALECT.error.__name__ for module in DIALECTS}
ENDPOINTS = {endpoint.name: endpoint for endpoint in task_endpoints()}
EXAMPLES = [(endpoint, example) for endpoint in ENDPOINTS.values() for example in endpoint.examples]


def nodes(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document with its place, except what is inside of examples."""
    if isinstance(node, dict):
        yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        if name not in ("example", "examples"):
            yield from nodes(child, f"{path}/{name}")


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """What a node refers to, if it is a reference."""
    found: Any = DOCUMENT
    for name in node.get("$ref", "").split("/")[1:]:
        found = found[name]
    return found if "$ref" in node else node


def is_sentence(text: str) -> bool:
    return re.fullmatch(r"[A-Z`].*[.]", text, re.DOTALL) is not None


def test_operations_declare_what_access_control_may_answer() -> None:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            access = access_of({"path": path, "method": method.upper()})
            statuses = set(operation["responses"])
            assert ({"401", "429"} <= statuses) == (access is not Access.PUBLIC), path
            assert ("401" in statuses) == ("429" in statuses) == (operation.get("security") != [])
            assert access is not Access.ADMIN or "403" in statuses
    assert "www-authenticate" in DOCUMENT["components"]["responses"]["Unauthorized"]["headers"]


def test_a_key_is_optional_unless_the_server_has_keys(tmp_path: Path) -> None:
    schemes: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]
    assert DOCUMENT["security"] == [{}, *schemes]
    write_tiny(tmp_path)
    _, key = make_key("ci")
    assert create_app(Settings(weights_dir=tmp_path, api_keys=(key,))).openapi()["security"] == schemes


def test_the_document_introduces_itself() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert DOCUMENT["info"]["title"] == "Manifold"
    assert DOCUMENT["info"]["license"]["identifier"] == "Apache-2.0"
    assert is_sentence(DOCUMENT["info"]["description"])
    assert "servers" not in DOCUMENT, "an absolute address would be wrong behind a proxy"


def test_every_tag_is_described_and_used() -> None:
    assert all(is_sentence(tag["description"]) for tag in DOCUMENT["tags"])
    used = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}
    assert {tag["name"] for tag in DOCUMENT["tags"]} == used


def test_no_two_operations_share_an_id() -> None:
    assert len(OPERATIONS) == sum(len(item) for item in DOCUMENT["paths"].values())


def test_only_methods_with_an_answer_of_their_own_are_listed() -> None:
    assert {method for item in DOCUMENT["paths"].values() for method in item} == {"get", "post"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_does(name: str) -> None:
    operation = OPERATIONS[name]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert re.fullmatch(r"[A-Z][^.]*[^.]", operation["summary"])
    assert is_sentence(operation["description"])
    assert operation["tags"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_described_and_every_error_is_shared(name: str) -> None:
    for status, response in OPERATIONS[name]["responses"].items():
        if int(status) < 400 or (name in READINESS and status == "503"):  # which has a body of its own
            assert is_sentence(response["description"])
            assert response["description"] != "Successful Response"
        elif (error := FOREIGN_ERRORS.get(OPERATIONS[name]["tags"][0])) is not None:
            assert is_sentence(response["description"])
            assert response["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{error}"}
        else:
            assert response == {"$ref": f"#/components/responses/{PROBLEMS[int(status)][0]}"}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_task_has_the_headers_that_all_have(name: str) -> None:
    operation = OPERATIONS[name]
    parameters = {(parameter["name"], parameter["in"]) for parameter in map(resolve, operation["parameters"])}
    assert {("x-timeout-ms", "header"), ("x-request-id", "header")} <= parameters
    assert set(operation["responses"]["200"]["headers"]) == set(ANSWER_HEADERS)
    assert set(map(str, TASK_STATUSES)) <= set(operation["responses"])


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_task_takes_json_first_and_has_an_example(name: str) -> None:
    for content in (OPERATIONS[name]["requestBody"]["content"], OPERATIONS[name]["responses"]["200"]["content"]):
        assert next(iter(content)) == "application/json"
    assert OPERATIONS[name]["requestBody"]["content"]["application/json"]["examples"]


@pytest.mark.parametrize(("endpoint", "example"), EXAMPLES, ids=lambda value: getattr(value, "name", None))
def test_every_example_fits_a_body_of_its_task(endpoint: TaskEndpoint, example: dict[str, Any]) -> None:
    n_fits = 0
    for schema in endpoint.schemas:
        try:
            parse_body(schema.body, example, strict=True)
        except InvalidRequest:
            continue
        n_fits += 1
    assert n_fits


def test_the_examples_of_project_have_several_items() -> None:
    assert all(len(example["inputs"]) >= 3 for example in ENDPOINTS["project"].examples)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_parameters_are_query_parameters_of_other_bodies_than_json(name: str) -> None:
    queries = {p["name"]: p for p in map(resolve, OPERATIONS[name]["parameters"]) if p["in"] == "query"}
    expected = {}
    for schema in ENDPOINTS[name].schemas:
        if isinstance(schema, TaskSchema) and schema.takes_arrays:
            expected["model"] = SCHEMAS[schema.body.__name__]["properties"]["model"]
            expected |= resolve(SCHEMAS[schema.body.__name__]["properties"]["parameters"])["properties"]
    if expected.pop("noise", None):  # an object, which is described member by member
        expected |= {f"noise_{name}": each for name, each in SCHEMAS["NoiseParameters"]["properties"].items()}
    assert set(queries) == set(expected)
    for parameter, query in queries.items():
        assert query["required"] is False
        assert is_sentence(query["description"])
        assert "null" not in str(query["schema"])
        assert "default" not in query["schema"], "clients would send it beside a JSON body, which is refused"
        if expected[parameter].get("default") is not None:
            assert f"default is `{expected[parameter]['default']}`".lower() in query["description"].lower()
        for limit in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "$ref"):
            assert query["schema"].get(limit) == expected[parameter].get(limit, query["schema"].get(limit))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_and_field_is_described(name: str) -> None:
    assert is_sentence(SCHEMAS[name]["description"])
    for field, schema in SCHEMAS[name].get("properties", {}).items():
        assert is_sentence(schema.get("description", "")), field


def test_schemas_have_names_and_no_titles_and_choices_are_components() -> None:
    for path, node in nodes(DOCUMENT["components"]):
        assert not isinstance(node.get("title"), str), path
        assert "enum" not in node or path.count("/") == 2, f"{path} is not a component"
        assert node.get("default", "") is not None, path
    for path, node in nodes(DOCUMENT["paths"]):
        assert "properties" not in node, f"{path} is not a component"
        assert "enum" not in node, f"{path} is not a component"


def test_every_reference_leads_to_a_component_and_every_component_is_used() -> None:
    used = {node["$ref"] for _, node in nodes(DOCUMENT) if "$ref" in node}
    used |= {f"#/components/securitySchemes/{name}" for each in DOCUMENT["security"] for name in each}
    there = {f"#/components/{kind}/{name}" for kind, each in DOCUMENT["components"].items() for name in each}
    assert used == there


@pytest.fixture(scope="session")
def generator() -> Path:
    """A folder with the generator of clients, installed once and kept under `runs/`."""
    folder = ROOT / "runs" / "-".join(GENERATOR)
    if not folder.is_dir():
        new = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(new), *GENERATOR]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{GENERATOR[0]} cannot be installed: {done.stderr}")
        new.rename(folder)
    return folder


USE = """
import sys
from typing import Any

from manifold_client import Client
from manifold_client.api.autoencoders import encode, reconstruct
from manifold_client.models import EncodeAnswer, EncodeBody, EncodeParameters, EncodeTextAnswer, EncodeTextBody
from manifold_client.models import ImageFit, ItemFormat, Problem, ReconstructAnswer, ReconstructBody
from manifold_client.models import ReconstructParameters

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
image_model, text_model, image = sys.argv[2:]

body = EncodeBody(model=image_model, inputs=[image, image], parameters=EncodeParameters(fit=ImageFit.COVER))
latents = encode.sync(client=client, body=body)
assert isinstance(latents, EncodeAnswer), latents
assert [len(output.latent) for output in latents.outputs] == [3, 3]

text_body = EncodeTextBody(model=text_model, inputs=["the dog", "a cat"])
detailed = encode.sync_detailed(client=client, body=text_body, x_timeout_ms=20_000)
assert isinstance(detailed.parsed, EncodeTextAnswer), detailed
assert len(detailed.parsed.outputs) == 2
assert detailed.headers["x-model"] == text_model

parameters = ReconstructParameters(format_=ItemFormat.PNG)
pictures = reconstruct.sync(client=client, body=ReconstructBody(model=image_model, inputs=image, parameters=parameters))
assert isinstance(pictures, ReconstructAnswer), pictures
assert str(pictures.outputs[0].reconstruction).startswith("data:image/png;base64,")
assert pictures.outputs[0].mse > 0

refused = reconstruct.sync(client=client, body=ReconstructBody(model=image_model, inputs=["no image"]))
assert isinstance(refused, Problem), refused
assert refused.errors[0].pointer == "/inputs/0"
"""
"""A program that uses the generated client; its arguments are a URL, two models and an image."""


def run_python(generator: Path, folder: Path, *arguments: str) -> str:
    """Run Python in a folder, with the generator and that folder on its path; return what it prints."""
    paths = {"PYTHONPATH": f"{generator}{os.pathsep}{folder}", "MYPYPATH": str(generator)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ | paths, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_generated_client_has_every_operation_and_calls_the_server(generator: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    write_tiny(weights)
    write_text(weights, "transformers/bert", name="tiny-text")
    (tmp_path / "use.py").write_text(USE)
    with serve(tmp_path, weights=weights) as served:
        options = ["--url", f"{served.url}/openapi.json", "--output-path", "manifold_client", "--meta", "none"]
        output = run_python(generator, tmp_path, "-m", "openapi_python_client", "generate", *options)
        warnings = re.findall(r"^WARNING .*\n\n(.*)", output, re.MULTILINE)
        assert all(warning.startswith("Unsupported content type") for warning in warnings), output
        modules = {path.stem for path in (tmp_path / "manifold_client/api").glob("*/*.py")} - {"__init__"}
        binary = {"fit_model", "remote_decode", "remote_encode"}  # whose bodies are of types that it does not know
        assert modules == set(OPERATIONS) - binary
        run_python(generator, tmp_path, "use.py", served.url, TINY, "tiny-text", data_url(images(1)[0]))
    types = ["--config-file=", "--cache-dir=types", "-p", "manifold_client", "-m", "use"]
    run_python(generator, tmp_path, "-m", "mypy", *types)

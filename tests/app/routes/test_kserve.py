"""The Open Inference Protocol over HTTP: what the clients' own suites under `acceptance/` do not send."""

import gzip
import json
import re
import struct
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.settings import Settings
from tests.app.texts import write_text
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio
IMAGES = np.linspace(0, 1, 32, dtype=np.float32).reshape(2, 1, 4, 4)
GPT = "tiny-gpt"
INFER = f"/v2/models/{TINY}/infer"


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """An application with a tiny autoencoder and two models of texts, whose state no test changes."""
    root = tmp_path_factory.mktemp("weights")
    write_tiny(root)
    write_text(root, "transformers/gpt", name=GPT)
    write_text(root, "transformers/bert", 1, name="tiny-bert")
    async with served(Settings(weights_dir=root, max_items=8, max_body_bytes=2**16)) as client:
        yield client


def tensor(**changes: Any) -> dict[str, Any]:
    given = {"name": "input", "shape": [2, 1, 4, 4], "datatype": "FP32", "data": IMAGES.ravel().tolist()}
    return {name: value for name, value in (given | changes).items() if value is not ...}


def raw_body(content: Any, raw: bytes, length: object = None) -> tuple[bytes, dict[str, str]]:
    """A body of JSON and raw bytes, and its headers."""
    head = json.dumps(content).encode()
    return head + raw, {"inference-header-content-length": str(len(head) if length is None else length)}


async def infer(client: httpx.AsyncClient, **content: Any) -> dict[str, Any]:
    answer = await client.post(INFER, json={"inputs": [tensor()]} | content)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_json_is_answered_in_json(client: httpx.AsyncClient) -> None:
    answer = await infer(client, id="é", parameters={"unknown": [1], "timeout": 5})
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (TINY, "1", "é")
    native = (await client.post("/reconstruct", json={"model": TINY, "inputs": IMAGES.tolist()})).json()["outputs"]
    reconstruction, latent, score = answer["outputs"]
    assert [reconstruction["name"], latent["name"], score["name"]] == ["reconstruction", "latent", "score"]
    assert reconstruction["shape"] == [2, 1, 4, 4]
    assert reconstruction["data"] == np.array([output["reconstruction"] for output in native]).ravel().tolist()
    assert len(latent["data"]) == np.prod(latent["shape"])


async def test_metadata_and_answers_agree_for_every_model(client: httpx.AsyncClient) -> None:
    for model in (TINY, GPT, "tiny-bert"):
        metadata = (await client.get(f"/v2/models/{model}")).json()
        (given,) = metadata["inputs"]
        sent = tensor() if model == TINY else {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "the"]}
        assert (given["name"], given["datatype"]) == (sent["name"], sent["datatype"])
        answer = await client.post(f"/v2/models/{model}/infer", json={"inputs": [sent]})
        described = [(each["name"], each["datatype"], each["shape"]) for each in metadata["outputs"]]
        outputs = answer.json()["outputs"]
        assert [(each["name"], each["datatype"], [-1, *each["shape"][1:]]) for each in outputs] == described
        config = (await client.get(f"/v2/models/{model}/config")).json()
        assert [each["dims"] for each in config["output"]] == [shape for _, _, shape in described]


async def test_only_the_tasks_behind_the_outputs_run(client: httpx.AsyncClient) -> None:
    async def count() -> tuple[int, int]:
        (found,) = (await client.get(f"/v2/models/{TINY}/stats")).json()["model_stats"]
        return found["inference_stats"]["success"]["count"], found["inference_count"]

    n_requests, n_items = await count()
    await infer(client, outputs=[{"name": "latent"}])
    assert await count() == (n_requests + 1, n_items + 2)
    await infer(client, outputs=[{"name": "score"}, {"name": "latent"}])
    assert await count() == (n_requests + 3, n_items + 6)


async def test_statistics_count_batches_failures_and_sequences(client: httpx.AsyncClient) -> None:
    async def statistics(model: str) -> Any:
        return (await client.get(f"/v2/models/{model}/stats")).json()["model_stats"][0]

    await infer(client, outputs=[{"name": "latent"}])
    found = await statistics(TINY)
    assert found["execution_count"] == sum(batch["compute_infer"]["count"] for batch in found["batch_stats"]) > 0
    times = found["inference_stats"]
    assert times["success"]["ns"] == pytest.approx(times["queue"]["ns"] + times["compute_infer"]["ns"], abs=2)
    assert found["last_inference"] == pytest.approx(1000 * time.time(), abs=600_000)
    before = await statistics(GPT)
    text = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    body = {"inputs": [text], "outputs": [{"name": "generated_text"}], "parameters": {"max_new_tokens": 2}}
    answer = await client.post(f"/v2/models/{GPT}/infer", json=body)
    assert answer.json()["outputs"][0]["shape"] == [2]
    assert (await statistics(GPT))["execution_count"] == before["execution_count"] + 2


async def test_outputs_are_raw_one_by_one(client: httpx.AsyncClient) -> None:
    outputs = [{"name": "score"}, {"name": "latent", "parameters": {"binary_data": True}}]
    outputs += [{"name": "reconstruction", "parameters": {"binary_data": False}}]
    body, headers = raw_body(
        {"inputs": [tensor(data=..., parameters={"binary_data_size": 128})], "outputs": outputs}, IMAGES.tobytes()
    )
    answer = await client.post(INFER, content=body, headers=headers)
    n_json = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    score, latent, reconstruction = json.loads(answer.content[:n_json])["outputs"]
    expected = await infer(client)
    assert score["data"] == expected["outputs"][2]["data"]
    assert reconstruction["data"] == expected["outputs"][0]["data"]
    assert "data" not in latent
    assert latent["parameters"]["binary_data_size"] == len(answer.content) - n_json
    numbers = np.frombuffer(answer.content[n_json:], "<f4")
    np.testing.assert_allclose(numbers, expected["outputs"][1]["data"], rtol=1e-6)


async def test_classes_of_any_output_are_its_largest_elements(client: httpx.AsyncClient) -> None:
    answer = await infer(client, outputs=[{"name": "latent", "parameters": {"classification": 2}}])
    (classes,) = answer["outputs"]
    assert (classes["datatype"], classes["shape"]) == ("BYTES", [2, 2])
    (latent,) = (await infer(client, outputs=[{"name": "latent"}]))["outputs"]
    rows = np.array(latent["data"]).reshape(latent["shape"])
    best = np.argsort(-rows, axis=1)[:, :2]
    expected = [f"{row[i]:f}:{i}" for row, indices in zip(rows, best, strict=True) for i in indices]
    assert classes["data"] == expected


async def test_parameters_reach_the_tasks_that_have_them(client: httpx.AsyncClient) -> None:
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["the dog " * 100]}
    path, outputs = "/v2/models/tiny-bert/infer", [{"name": "embedding"}]
    refused = await client.post(path, json={"inputs": [text], "outputs": outputs})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("/inputs/text/0: ")
    parameters = {"truncate": True, "dimensions": 3, "top_k": "ignored by this task"}
    answer = await client.post(path, json={"inputs": [text], "outputs": outputs, "parameters": parameters})
    assert answer.json()["outputs"][0]["shape"] == [1, 3]
    wrong = await client.post(path, json={"inputs": [text], "outputs": outputs, "parameters": {"truncate": 1}})
    assert wrong.status_code == 400
    assert "/parameters/truncate" in wrong.json()["error"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_one_accepted_coding_compresses_the_answer(client: httpx.AsyncClient, coding: str) -> None:
    body = json.dumps({"inputs": [tensor()]}).encode()
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    headers = {"content-encoding": coding, "accept-encoding": coding}
    answer = await client.post(INFER, content=packed, headers=headers)
    assert answer.headers["content-encoding"] == coding
    assert answer.json() == await infer(client)
    several = await client.post(INFER, content=body, headers={"accept-encoding": "gzip, deflate"})
    assert "content-encoding" not in several.headers


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no inputs": ({"inputs": []}, "/inputs/input: .* it is missing"),
    "two inputs": ({"inputs": [tensor(), tensor()]}, "/inputs/input: .* comes 2 times"),
    "unknown input": ({"inputs": [tensor(name="image")]}, "/inputs/0/name: no input is named 'image'; there is: input"),
    "no data": ({"inputs": [tensor(data=...)]}, "neither data nor a binary_data_size"),
    "unknown datatype": ({"inputs": [tensor(datatype="FP8")]}, "/inputs/0/datatype: 'FP8' is refused"),
    "texts": ({"inputs": [tensor(datatype="BYTES", data=["a"])]}, "BYTES is refused; this input takes numbers"),
    "negative side": ({"inputs": [tensor(shape=[-2, 1, 4, 4])]}, "/inputs/0/shape/0: -2 is refused"),
    "huge side": ({"inputs": [tensor(shape=[2**62, 1, 4, 4])]}, f"has {2**62} items; a request takes 1 to 8"),
    "too huge side": ({"inputs": [tensor(shape=[2**63, 1, 4, 4])]}, "/inputs/0/shape/0"),
    "many sides": ({"inputs": [tensor(shape=[1] * 17)]}, "/inputs/0/shape"),
    "another shape": ({"inputs": [tensor(shape=[2, 4, 4])]}, r"\[2, 4, 4\] is refused; .* \[-1, 1, 4, 4\]"),
    "too few numbers": ({"inputs": [tensor(data=[0.5])]}, r"shape \[1\], and the tensor \[2, 1, 4, 4\]"),
    "out of range": ({"inputs": [tensor(data=[2.0] * 32)]}, r"/inputs/input/0: .* outside \[0, 1\]"),
    "unknown output": ({"outputs": [{"name": "mse"}]}, "no output is named 'mse'; there are: reconstruction, latent"),
    "output twice": ({"outputs": [{"name": "latent"}] * 2}, "/outputs/1/name: the output comes twice"),
    "no flag": ({"parameters": {"binary_data_output": 1}}, "/parameters/binary_data_output: .* true or false"),
    "no class": ({"outputs": [{"name": "latent", "parameters": {"classification": 0}}]}, "0 is refused; 1 to 1000"),
    "shared memory": ({"inputs": [tensor(parameters={"shared_memory_region": "a"})]}, "shares no memory"),
    "shared output": ({"outputs": [{"name": "latent", "parameters": {"shared_memory_region": "a"}}]}, "no memory"),
    "unknown field": ({"input": []}, "/input: unknown field; known are id"),
    "unknown field inside": ({"inputs": [tensor(dtype="FP32")]}, "unknown field 'dtype'; known are name, shape"),
    "another model": ({"model_name": "vae"}, f"the path names the model '{TINY}'"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refusal_names_the_place_the_value_and_the_limit(client: httpx.AsyncClient, case: str) -> None:
    content, message = REFUSED[case]
    answer = await client.post(INFER, json={"inputs": [tensor()]} | content)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert re.search(message, answer.json()["error"]), answer.json()["error"]


RAW = tensor(data=..., parameters={"binary_data_size": 128})


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (raw_body({"inputs": [RAW]}, IMAGES.tobytes()[:-1]), 400, "binary_data_size is 128; 127 raw bytes follow"),
        (raw_body({"inputs": [RAW]}, IMAGES.tobytes() + b"1"), 400, "binary_data_size is 128; 129 raw bytes follow"),
        (raw_body({"inputs": [tensor()]}, b"1"), 400, "1 raw bytes follow the JSON, and no input"),
        (raw_body({"inputs": [RAW | {"data": [1]}]}, IMAGES.tobytes()), 400, "both data and a binary_data_size"),
        (raw_body({"inputs": [RAW | {"datatype": "FP64"}]}, IMAGES.tobytes()), 400, "of FP64 takes 256"),
        (raw_body({"inputs": [RAW]}, b"", 10**9), 400, "is '1000000000'; it must be the number of bytes of the JSON"),
        (raw_body({"inputs": [RAW]}, b"", -1), 400, "is '-1'"),
        (raw_body({"inputs": [RAW]}, b"", "²"), 400, "it must be the number of bytes"),
        (raw_body({"inputs": [RAW]}, b"", 3), 400, "not JSON"),
        (raw_body({"inputs": [RAW]}, b"", 0), 400, "not JSON"),
        (raw_body({"inputs": [RAW]}, bytes(2**16)), 413, "the limit is 65536"),
    ],
)
async def test_lying_sizes_are_refused(
    client: httpx.AsyncClient, body: tuple[bytes, dict[str, str]], status: int, message: str
) -> None:
    content, headers = body
    encoded = {name.encode(): value.encode() for name, value in headers.items()}
    answer = await client.post(INFER, content=content, headers=[*encoded.items()])
    assert answer.status_code == status
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (struct.pack("<I", 2**32 - 1) + b"a", "element 0 ends at byte 4294967299, and the tensor has 5 bytes"),
        (struct.pack("<I", 1) + b"\xff", "element 0 is not UTF-8"),
        (struct.pack("<I", 0) * 2, "the tensor has 8 bytes; its 1 elements end at byte 4"),
    ],
)
async def test_texts_in_raw_bytes_are_checked(client: httpx.AsyncClient, raw: bytes, message: str) -> None:
    given = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    body, headers = raw_body({"inputs": [given]}, raw)
    answer = await client.post("/v2/models/tiny-bert/infer", content=body, headers=headers)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize("path", ["/v2/models/org/nobody", "/v2/models/org%2Fnobody"])
@pytest.mark.parametrize("ending", ["", "/ready", "/stats", "/versions/1/config"])
async def test_an_id_may_have_a_slash(client: httpx.AsyncClient, path: str, ending: str) -> None:
    assert "no model is named 'org/nobody'" in (await client.get(path + ending)).json()["error"]


async def test_paths_answer_in_this_form(client: httpx.AsyncClient) -> None:
    for path, status in (
        ("/v2", 200),
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        (f"/v2/models/{TINY}/ready", 200),
        (f"/v2/models/{TINY}/versions/1/ready", 200),
        (f"/v2/models/{TINY}/versions/2", 404),
        ("/v2/models/nobody", 404),
        (f"/v2/models/{TINY}/infer", 405),
        ("/v2/repository/index", 405),
        (f"/v2/repository/models/{TINY}/load", 405),
        ("/v2/logging", 404),
        (f"/v2/models/{TINY}/trace/setting", 404),
        ("/v2/systemsharedmemory/region/a/status", 404),
    ):
        answer = await client.get(path)
        assert answer.status_code == status, path
        assert status == 200 or list(answer.json()) == ["error"]


async def test_a_model_that_is_unloaded_is_unavailable_and_can_be_loaded(own_client: httpx.AsyncClient) -> None:
    unloaded = await own_client.post(
        f"/v2/repository/models/{TINY}/unload", json={"parameters": {"unload_dependents": True}}
    )
    assert unloaded.json() == {"name": TINY, "unload": True}
    ready = await own_client.get(f"/v2/models/{TINY}/ready")
    assert (ready.status_code, ready.json()) == (503, {"name": TINY, "ready": False})
    for path in (f"/v2/models/{TINY}", f"/v2/models/{TINY}/config", f"/v2/models/{TINY}/stats"):
        answer = await own_client.get(path)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    (listed,) = (await own_client.post("/v2/repository/index")).json()
    assert listed == {"name": TINY, "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
    assert (await own_client.post("/v2/repository/index", json={"ready": True})).json() == []
    assert (await own_client.get("/v2/models/stats")).json() == {"model_stats": []}
    assert (await own_client.post(f"/v2/repository/models/{TINY}/load")).json() == {"name": TINY, "load": True}
    assert (await own_client.post(INFER, json={"inputs": [tensor()]})).status_code == 200
    refused = await own_client.post(f"/v2/repository/models/{TINY}/load", json={"parameters": {"file:a": "b"}})
    assert refused.status_code == 400
    assert "no files are taken" in refused.json()["error"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)
PARAMETERS = st.none() | st.dictionaries(
    st.sampled_from(("binary_data_size", "binary_data", "classification", "shared_memory_region")), VALUES
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(("input", "text")) | VALUES,
        "shape": st.lists(st.integers(-2, 4) | st.integers(0, 2**64), max_size=5) | VALUES,
        "datatype": st.sampled_from(("FP32", "UINT8", "BF16", "BOOL", "BYTES", "INT64")) | VALUES,
        "parameters": st.just({"binary_data_size": 128}) | PARAMETERS,
        "data": st.lists(VALUES, max_size=3) | VALUES,
    },
)
NAMED = st.fixed_dictionaries({"name": st.sampled_from(("latent", "score")), "parameters": PARAMETERS})
BODIES = st.fixed_dictionaries(
    {"inputs": st.lists(CHANGES.map(lambda changes: tensor(**changes)), min_size=1, max_size=2)},
    optional={"id": VALUES, "parameters": PARAMETERS, "outputs": st.lists(NAMED, max_size=2) | VALUES},
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=BODIES | VALUES,
    raw=st.just(b"") | st.binary(max_size=64) | st.just(bytes(128)),
    lie=st.none() | st.integers(-5, 5) | st.text("0123456789-+. ", max_size=20),
)
async def test_whatever_is_sent_is_answered_or_refused(
    client: httpx.AsyncClient, content: Any, raw: bytes, lie: int | str | None
) -> None:
    n_json = len(json.dumps(content).encode())
    body, headers = raw_body(content, raw, lie if isinstance(lie, str) else n_json + (lie or 0))
    answer = await client.post(INFER, content=body, headers={} if lie is None and not raw else headers)
    assert answer.status_code in (200, 400), answer.text
    assert answer.status_code == 200 or list(answer.json()) == ["error"]

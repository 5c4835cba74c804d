"""Bad input: each gets its documented status, a detail that names value and limit, and the next request works."""

import json
import tracemalloc
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.schemas.shared.parsing import MAX_FAULTS
from tests.app.items import data_url, images, npy
from tests.conftest import TINY

pytestmark = pytest.mark.anyio

GOOD = images(1)[0].tolist()
NPY = {"content-type": "application/x-npy"}


async def refused(client: httpx.AsyncClient, status: int, path: str = "/reconstruct", **request: Any) -> dict[str, Any]:
    """Send a bad request, check its problem document, and that the server still serves."""
    answer = await client.post(path, **request)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/errors/")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert (await client.post("/reconstruct", json={"inputs": GOOD})).status_code == 200
    return problem


async def test_one_bad_item_is_named_by_its_place(client: httpx.AsyncClient) -> None:
    bad = [[0.5] * 4] * 3 + [[0.5, 0.5, 1.5, 0.5]]
    problem = await refused(client, 422, json={"inputs": [GOOD, GOOD, bad]})
    assert problem["errors"] == [{"pointer": "/inputs/2", "detail": "the value 1.5 at [0, 3, 2] lies outside [0, 1]"}]


async def test_all_bad_items_are_named(client: httpx.AsyncClient) -> None:
    problem = await refused(client, 422, json={"inputs": [[[-1.0] * 4] * 4, GOOD, [[2.0] * 4] * 4]})
    assert [fault["pointer"] for fault in problem["errors"]] == ["/inputs/0", "/inputs/2"]


@pytest.mark.parametrize("shape", [(3, 4), (5,), (2, 2, 2, 2), (2, 4, 5)])
async def test_wrong_shape(client: httpx.AsyncClient, shape: tuple[int, ...]) -> None:
    problem = await refused(client, 422, json={"inputs": np.zeros(shape).tolist()})
    assert "expected numbers of shape [1, 4, 4] or [4, 4] or [16]" in problem["detail"]
    assert str(list(shape)) in problem["detail"]


async def test_no_items(client: httpx.AsyncClient) -> None:
    problem = await refused(client, 422, json={"inputs": []})
    assert problem["detail"] == "/inputs: 0 items; a request takes 1 to 100"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
async def test_what_is_no_number_in_json_is_named_by_its_place(client: httpx.AsyncClient, value: str) -> None:
    text = json.dumps({"inputs": [GOOD, GOOD]}).replace(str(GOOD[1][2]), value, 1)
    problem = await refused(client, 422, content=text, headers={"content-type": "application/json"})
    assert problem["errors"][0]["pointer"] == "/inputs/0"
    assert "at [0, 1, 2] is not a finite number" in problem["detail"]


async def test_nan_in_npy(client: httpx.AsyncClient) -> None:
    batch = images(3)
    batch[1, 2, 3] = np.nan
    problem = await refused(client, 422, content=npy(batch), headers=NPY)
    assert problem["errors"] == [
        {"pointer": "/inputs/1", "detail": "the value nan at [0, 2, 3] is not a finite number"}
    ]


@pytest.mark.parametrize(
    ("item", "named"), [(True, "a boolean"), ("0.5", "a string"), (None, "null"), ({}, "an object"), ([], "unequal")]
)
async def test_what_is_no_number_is_named(client: httpx.AsyncClient, item: object, named: str) -> None:
    bad = [[0.5, 0.5, 0.5, item], *GOOD[1:]]
    problem = await refused(client, 422, json={"inputs": [GOOD, bad]})
    assert problem["errors"][0]["pointer"] == "/inputs/1"
    assert named in problem["detail"]


@pytest.mark.parametrize(
    "inputs", ["no image", "data:image/png;base64,AAAA", "data:image/png;base64,%%%", [GOOD, "AAAA"]]
)
async def test_what_is_no_image(client: httpx.AsyncClient, inputs: object) -> None:
    problem = await refused(client, 400, json={"inputs": inputs})
    assert problem["errors"][0]["pointer"] == ("/inputs/1" if isinstance(inputs, list) else "/inputs/0")


async def test_bytes_that_are_no_image(client: httpx.AsyncClient) -> None:
    await refused(client, 400, content=b"GIF89a nonsense", headers={"content-type": "image/png"})


@pytest.mark.parametrize("body", [b"", b"{", b"[1, 2", b'{"inputs": }', b"\xff\xfe", b"[" * 100_000])
async def test_what_is_no_json(client: httpx.AsyncClient, body: bytes) -> None:
    problem = await refused(client, 400, content=body, headers={"content-type": "application/json"})
    assert "not JSON" in problem["detail"]


@pytest.mark.parametrize("body", [b"1", b"null", b'"text"', b"[1]"])
async def test_json_that_is_no_object(client: httpx.AsyncClient, body: bytes) -> None:
    await refused(client, 422, content=body, headers={"content-type": "application/json"})


async def test_what_is_no_npy(client: httpx.AsyncClient) -> None:
    whole = npy(images(2))
    for body in (b"", b"\x93NUMPY", whole[:-1], whole + b"\0", npy(np.array(["text"])), npy(np.zeros(16, np.int64))):
        await refused(client, 400, content=body, headers=NPY)


async def test_a_body_too_long_is_refused_by_its_announcement_and_while_reading(client: httpx.AsyncClient) -> None:
    body = b"[" + b"0," * (50 * 2**20) + b"0]"  # 100 MB
    headers = {"content-type": "application/json"}
    problem = await refused(client, 413, content=body, headers=headers)
    assert problem["detail"] == f"the body has {len(body)} bytes; the limit is {32 * 2**20}"

    async def chunks() -> Any:
        for start in range(0, len(body), 2**20):
            yield body[start : start + 2**20]

    problem = await refused(client, 413, content=chunks(), headers=headers)
    assert "more than" in problem["detail"]


@pytest.mark.parametrize("n", [101, 10_000])
async def test_too_many_items(client: httpx.AsyncClient, n: int) -> None:
    for request in (
        {"json": {"inputs": np.zeros((n, 4, 4), int).tolist()}},
        {"json": {"inputs": ["x"] * n}},
        {"content": npy(np.zeros((n, 4, 4))), "headers": NPY},
    ):
        problem = await refused(client, 422, **request)
        assert problem["detail"] == f"/inputs: {n} items; a request takes 1 to 100"


async def test_too_many_files(client: httpx.AsyncClient) -> None:
    await refused(client, 400, files=[("files", (f"{i}", b"x", "image/png")) for i in range(101)])


async def test_unknown_model_lists_those_that_serve_the_task(client: httpx.AsyncClient) -> None:
    problem = await refused(client, 404, json={"model": "vae-mnist", "inputs": GOOD})
    assert problem["detail"] == f"no model is named 'vae-mnist'; there are: {TINY}"


async def test_unknown_fields_are_refused_wherever_they_are(client: httpx.AsyncClient) -> None:
    body = {"inputs": GOOD, "input": GOOD, "parameters": {"fromat": "png"}}
    problem = await refused(client, 422, json=body)
    assert {fault["pointer"]: fault["detail"] for fault in problem["errors"]} == {
        "/input": "unknown field; known are model, inputs, parameters",
        "/parameters/fromat": "unknown field; known are format, fit, invert, centre, seed",
    }


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({"format": "gif"}, "/parameters/format"),
        ({"seed": "1"}, "/parameters/seed"),
        ({"seed": -1}, "/parameters/seed"),
    ],
)
async def test_parameters_out_of_range(client: httpx.AsyncClient, parameters: dict[str, Any], pointer: str) -> None:
    problem = await refused(client, 422, json={"inputs": GOOD, "parameters": parameters})
    assert problem["errors"][0]["pointer"] == pointer
    assert str(next(iter(parameters.values()))) in problem["detail"]


async def test_a_body_of_hostile_shape_is_refused_briefly(client: httpx.AsyncClient) -> None:
    deep = b'{"inputs": [' + b"[" * 900 + b'"x"' + b"]" * 900 + b"]}"
    strange = json.dumps({"inputs": GOOD} | {f"unknown{i}": 0 for i in range(10_000)})
    wrong = json.dumps({"inputs": GOOD, "parameters": list(range(100_000))})
    for body in (deep, strange, wrong):
        problem = await refused(client, 422, content=body, headers={"content-type": "application/json"})
        assert len(json.dumps(problem)) < 8_000


async def test_missing_inputs(client: httpx.AsyncClient) -> None:
    problem = await refused(client, 422, json={"model": TINY})
    assert problem["errors"] == [{"pointer": "/inputs", "detail": "this field is required"}]


async def test_unknown_query_parameters(client: httpx.AsyncClient) -> None:
    await refused(client, 422, "/encode?sharpen=1", content=npy(images(1)), headers=NPY)
    await refused(client, 422, "/encode?model=x", json={"inputs": GOOD})


async def test_a_sample_of_a_deterministic_model(client: httpx.AsyncClient) -> None:
    problem = await refused(client, 422, "/encode", json={"inputs": GOOD, "parameters": {"sample": True}})
    assert "deterministic" in problem["detail"]


async def test_a_latent_of_the_wrong_width(client: httpx.AsyncClient) -> None:
    problem = await refused(client, 422, "/decode", json={"inputs": [[0.0] * 4]})
    assert "[1, 4]; expected numbers of shape [3]" in problem["detail"]


async def test_content_types_and_accepts_the_route_has_not(client: httpx.AsyncClient) -> None:
    await refused(client, 415, content=b"x", headers={"content-type": "text/plain"})
    problem = await refused(client, 406, json={"inputs": GOOD}, headers={"accept": "text/html"})
    assert "application/json, application/x-npy, image/png" in problem["detail"]
    await refused(client, 406, "/encode", json={"inputs": GOOD}, headers={"accept": "image/png"})


@pytest.mark.parametrize(
    ("path", "taken", "others"),
    [
        (
            "/decode",
            "application/json, application/x-npy, text/csv, application/x-ndjson",
            ["image/png", "multipart/form-data"],
        ),
        (
            "/decompress",
            "application/json, application/x-ndjson",
            ["image/png", "multipart/form-data", "application/x-npy"],
        ),
        ("/sample", "application/json", ["image/webp", "application/x-npy"]),
    ],
)
async def test_a_route_takes_only_what_its_items_can_be(
    client: httpx.AsyncClient, path: str, taken: str, others: list[str]
) -> None:
    for other in others:
        problem = await refused(client, 415, path, content=b"x", headers={"content-type": other})
        assert problem["detail"].endswith(f" {taken}")


async def test_parts_of_another_name(client: httpx.AsyncClient) -> None:
    await refused(client, 422, files={"image": ("x.png", b"x", "image/png")})
    await refused(client, 400, content=b"nonsense", headers={"content-type": "multipart/form-data; boundary=x"})


async def test_a_part_without_a_filename_is_no_file(client: httpx.AsyncClient) -> None:
    problem = await refused(client, 422, files=[("files", (None, "hello"))])
    assert "a file has a filename" in problem["detail"]


async def test_unknown_fields_of_an_object_in_the_parameters(client: httpx.AsyncClient) -> None:
    noise = {"type": "gaussian", "level": 0.3, "a/b": 1}
    answer = await client.post("/denoise", json={"inputs": GOOD, "parameters": {"noise": noise}})
    assert answer.status_code == 422, answer.text
    detail = "unknown field; known are type, level"
    assert answer.json()["errors"] == [{"pointer": "/parameters/noise/a~1b", "detail": detail}]


async def test_unknown_fields_without_number_are_not_all_listed(client: httpx.AsyncClient) -> None:
    strange = json.dumps({f"unknown{i}": 0 for i in range(10**5)}).encode()
    tracemalloc.start()
    problem = await refused(client, 422, content=strange, headers={"content-type": "application/json"})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(problem["errors"]) == MAX_FAULTS
    assert most < 30 * len(strange)  # each fault that pydantic lists takes fifty times as much as the field


async def test_a_multipart_body_in_no_charset(client: httpx.AsyncClient) -> None:
    body = b'--x\r\ncontent-disposition: form-data; name="files"; filename="a"\r\n\r\na\r\n--x--\r\n'
    kind = "multipart/form-data; boundary=x; charset=undefined"
    await refused(client, 400, content=body, headers={"content-type": kind})


@pytest.mark.parametrize("timeout", ["0", "-1", "1.5", "soon", "600001", "²", "9" * 5000])
async def test_a_deadline_out_of_range(client: httpx.AsyncClient, timeout: str) -> None:
    await refused(client, 422, json={"inputs": GOOD}, headers={b"x-timeout-ms": timeout.encode()})


async def test_unknown_routes_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    missing = await client.get("/nothing")
    assert (missing.status_code, missing.json()["type"]) == (404, "/errors/unknown-route")
    wrong = await client.get("/encode")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["type"] == "/errors/method-not-allowed"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


@settings(max_examples=150)
@given(body=st.fixed_dictionaries({"inputs": JSON}, optional={"parameters": JSON, "model": JSON}) | JSON)
async def test_no_json_whatever_is_a_fault_of_the_server(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/encode", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 404, 422), answer.text


@settings(max_examples=100)
@given(
    body=st.binary(max_size=200) | st.binary(max_size=40).map(lambda tail: b"\x93NUMPY\x01\x00" + tail),
    kind=st.sampled_from(["application/x-npy", "image/png", "image/jpeg", "application/json", "multipart/form-data"]),
)
async def test_no_bytes_whatever_are_a_fault_of_the_server(client: httpx.AsyncClient, body: bytes, kind: str) -> None:
    answer = await client.post("/reconstruct", content=body, headers={"content-type": kind})
    assert answer.status_code in (400, 422), answer.text


async def test_a_good_data_url_is_not_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/encode", json={"inputs": data_url(images(1)[0])})).status_code == 200

"""Parameters that could have no effect, and where a refusal points, for every family over HTTP."""

import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.settings import Settings
from tests.app.items import data_url, images, npy, png
from tests.conftest import served
from tests.models.tiny import CASES, build, write

pytestmark = pytest.mark.anyio

FLAT = [0.0] * 16
PICTURE = data_url(images(1)[0] / 3)
SERIES = [1.0, 2.0, 3.0]


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Serves every tiny configuration of every family; `paper` knows what paper is and where ink belongs."""
    root = tmp_path_factory.mktemp("weights")
    for name, (spec, config) in CASES.items():
        write(spec, config, root / spec.id / name)
    write(*CASES["vanilla-0"], root / "autoencoders/vanilla/paper")
    config_file = root / "autoencoders/vanilla/paper/config.json"
    content = json.loads(config_file.read_text())
    content["codec"] |= {"paper": "black", "ink_box": 3}
    config_file.write_text(json.dumps(content))
    async with served(Settings(weights_dir=root, max_items=50)) as client:
        yield client


async def refusal(client: httpx.AsyncClient, path: str, **body: Any) -> tuple[str, str]:
    """Return the pointer and the detail of the only fault of a request."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    return fault["pointer"], fault["detail"]


REFUSALS = [
    ("/encode", "vanilla-0", [FLAT], {"sample": True}, "sample", "no posterior"),
    ("/encode", "variational-0", [FLAT], {"seed": 0}, "seed", "nothing is drawn without sample"),
    ("/encode", "recurrent-0", [SERIES], {"fit": "contain"}, "fit", "items are not images"),
    ("/encode", "recurrent-0", [SERIES], {"invert": True}, "invert", "items are not images"),
    ("/encode", "recurrent-0", [SERIES], {"centre": True}, "centre", "items are not images"),
    ("/encode", "vanilla-0", [FLAT], {"fit": "contain"}, "fit", "the inputs are numbers"),
    ("/encode", "paper", [FLAT], {"centre": True}, "centre", "the inputs are numbers"),
    ("/encode", "paper", [PICTURE, FLAT], {"invert": True}, "invert", "item 1 is not one"),
    ("/encode", "vanilla-0", [PICTURE], {"centre": True}, "centre", "this model's images are not"),
    ("/encode", "paper", [PICTURE], {"centre": True, "fit": "cover"}, "fit", "exclude each other"),
    ("/decode", "vanilla-0", [[0.0] * 3], {"length": 4}, "length", "it is for series"),
    ("/decode", "recurrent-0", [[0.0] * 3], {"length": 13}, "length", "must be 1 to 12"),
    ("/decode", "recurrent-0", [[0.0] * 3], {"format": "png"}, "format", "items are images"),
    ("/reconstruct", "vanilla-0", [FLAT] * 2, {"seed": 1}, "seed", "no posterior"),
    ("/reconstruct", "recurrent-0", [SERIES], {"format": "png"}, "format", "items are images"),
    ("/denoise", "vanilla-0", [FLAT], {"seed": 1}, "seed", "nothing is drawn without noise"),
    ("/denoise", "vanilla-0", [FLAT], {"noise": {"type": "masking"}}, "noise/level", "required"),
    ("/sample", "vanilla-0", None, {"sampler": "gibbs"}, "sampler", "this model has gmm"),
    ("/sample", "vanilla-0", None, {"sampler": ""}, "sampler", "this model has gmm"),
    ("/sample", "deep_belief-0", None, {"sampler": "prior"}, "sampler", "this model has gmm, gibbs"),
    ("/sample", "vanilla-0", None, {"length": 4}, "length", "it is for series"),
    ("/sample", "deep_belief-0", None, {"gibbs_steps": 4}, "gibbs_steps", "it is for the sampler gibbs"),
    ("/sample", "deep_belief-0", None, {"sampler": "gibbs", "gibbs_steps": 1001}, "gibbs_steps", "less than or equal"),
    ("/sample", "recurrent-0", None, {"length": 13}, "length", "must be 1 to 12"),
    ("/sample", "recurrent-0", None, {"format": "png"}, "format", "items are images"),
    ("/detect-anomalies", "vanilla-0", [FLAT], {"score": "foo"}, "score", "this model has mse, mae"),
    (
        "/detect-anomalies",
        "vanilla-0",
        [FLAT],
        {"threshold": 1.0, "percentile": 5.0},
        "percentile",
        "exclude each other",
    ),
    ("/compress", "vanilla-0", [FLAT], {"lossless": True}, "lossless", "no lossless coding"),
    ("/compress", "variational-0", [FLAT], {"lossless": True, "bits": 8}, "bits", "not rounded with lossless"),
    ("/compress", "recurrent-0", [SERIES, SERIES[:2]], {"chain": True}, "chain", "must have one shape"),
    ("/decompress", "recurrent-0", ["AAAA"], {"format": "png"}, "format", "items are images"),
    ("/project", "vanilla-0", [FLAT] * 3, {"method": "latent"}, "method", "width 2"),
    ("/impute", "recurrent-0", [[1.0, None]], {"format": "png"}, "format", "items are images"),
    ("/classify", "denoising-1", [FLAT], {"fit": "cover"}, "fit", "the inputs are numbers"),
]


@pytest.mark.parametrize(("path", "model", "inputs", "parameters", "name", "detail"), REFUSALS)
async def test_a_parameter_without_effect_is_refused_by_its_name(
    client: httpx.AsyncClient,
    path: str,
    model: str,
    inputs: list[Any] | None,
    parameters: dict[str, Any],
    name: str,
    detail: str,
) -> None:
    body = {} if inputs is None else {"inputs": inputs}
    pointer, got = await refusal(client, path, model=model, parameters=parameters, **body)
    assert pointer == f"/parameters/{name}"
    assert detail in got


@pytest.mark.parametrize("name", CASES)
async def test_every_sampler_obeys_labels_and_lengths_or_refuses_them(client: httpx.AsyncClient, name: str) -> None:
    model, series = build(*CASES[name]), CASES[name][0].modality == "series"
    for sampler in model.samplers:
        labels = model.labels if sampler == "prior" else ()
        parameters = {"sampler": sampler, "seed": 5}
        for label in (*labels, "cat", 77):
            body = {"model": name, "parameters": {**parameters, "label": label}}
            if label not in labels:
                pointer, detail = await refusal(client, "/sample", **body)
                assert pointer == "/parameters/label"
                assert (", ".join(labels) if labels else f"sampler {sampler} has no labels") in detail
                continue
            (output,) = (await client.post("/sample", json=body)).json()["outputs"]
            assert np.argmax(output["latent"][-len(labels) :]) == labels.index(label)
        if series:
            continue
        pointer, _ = await refusal(client, "/sample", model=name, parameters={**parameters, "length": 4})
        assert pointer == "/parameters/length"


ITEM_FAULTS = [
    ("/encode", "vanilla-0", [FLAT, [2.0, *FLAT[1:]]], "/inputs/1"),
    ("/encode", "vanilla-0", [FLAT, FLAT[1:]], "/inputs/1"),
    ("/encode", "vanilla-0", [FLAT] * 20 + ["%"], "/inputs/20"),
    ("/encode", "vanilla-0", [], "/inputs"),
    ("/encode", "recurrent-0", [], "/inputs"),
    ("/impute", "vanilla-0", [FLAT, [None] * 16], "/inputs/1"),
    ("/impute", "recurrent-0", [SERIES, [None, None]], "/inputs/1"),
    ("/compress", "variational-0", [FLAT, FLAT, [0.5, *FLAT[1:]]], "/inputs/2"),
    ("/decompress", "vanilla-0", ["AAAA"], "/inputs/0"),
    ("/interpolate", "vanilla-0", [FLAT] * 3, "/inputs"),
]


@pytest.mark.parametrize(("path", "model", "inputs", "pointer"), ITEM_FAULTS)
async def test_an_error_in_an_item_points_at_it(
    client: httpx.AsyncClient, path: str, model: str, inputs: list[Any], pointer: str
) -> None:
    parameters = {"lossless": True} if path == "/compress" else {}
    answer = await client.post(path, json={"model": model, "inputs": inputs, "parameters": parameters})
    assert answer.status_code in (400, 422), answer.text
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


async def test_an_error_in_one_item_of_a_chain_points_at_it(client: httpx.AsyncClient) -> None:
    inputs = [FLAT, FLAT, [0.5, *FLAT[1:]]]
    parameters = {"lossless": True, "chain": True}
    pointer, _ = await refusal(client, "/compress", model="variational-0", inputs=inputs, parameters=parameters)
    assert pointer == "/inputs/2"


async def test_nan_is_missing_in_impute_and_refused_elsewhere(client: httpx.AsyncClient) -> None:
    filled = []
    for model, shape in (("vanilla-0", (2, 16)), ("recurrent-0", (2, 6))):
        array = np.full(shape, 0.5)
        array[1, 2] = np.nan
        as_npy: dict[str, Any] = {"content": npy(array), "headers": {"content-type": "application/x-npy"}}
        as_nan: dict[str, Any] = {"content": json.dumps({"model": model, "inputs": array.tolist()})}
        as_null: dict[str, Any] = {"content": as_nan["content"].replace("NaN", "null")}
        both: dict[str, Any] = {"content": as_nan["content"].replace("NaN, 0.5", "NaN, null")}
        for sent in (as_npy, as_nan, as_null, both):
            url = f"?model={model}" if "headers" in sent else ""
            answer = await client.post(f"/impute{url}", **sent)
            assert answer.status_code == 200, answer.text
            filled.append(answer.json()["outputs"])
            for task in ("encode", "denoise", "compress"):
                refused = await client.post(f"/{task}{url}", **sent)
                assert refused.status_code == 422
                assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/inputs/1"]
        assert filled[-4] == filled[-3] == filled[-2]


NOISE = {"type": "masking", "level": 0.25}
NOISE_QUERIES = [
    {"noise": json.dumps(NOISE)},
    {"noise_type": "masking", "noise_level": "0.25"},
]


@pytest.mark.parametrize("query", NOISE_QUERIES)
@pytest.mark.parametrize("form", ["png", "npy", "multipart"])
async def test_noise_is_reached_from_a_query(client: httpx.AsyncClient, query: dict[str, str], form: str) -> None:
    image = np.rint(images(1)[0] * 255).astype(np.uint8)
    bodies: dict[str, dict[str, Any]] = {
        "png": {"content": png(image / np.float32(255)), "headers": {"content-type": "image/png"}},
        "npy": {"content": npy(image[None]), "headers": {"content-type": "application/x-npy"}},
        "multipart": {"files": [("files", ("a.png", png(image / np.float32(255)), "image/png"))]},
    }
    answer = await client.post("/denoise", params={"model": "vanilla-0", "seed": "3", **query}, **bodies[form])
    assert answer.status_code == 200, answer.text
    parameters = {"noise": NOISE, "seed": 3}
    inputs = [(image / 255).tolist()]
    expected = await client.post("/denoise", json={"model": "vanilla-0", "inputs": inputs, "parameters": parameters})
    for name, value in expected.json()["outputs"][0].items():
        np.testing.assert_allclose(answer.json()["outputs"][0][name], value, atol=1e-5)


@pytest.mark.parametrize(
    ("query", "pointer", "detail"),
    [
        ("noise=x", "/parameters/noise", "invalid JSON"),
        ("noise=%7B%22type%22%3A%22rain%22%2C%22level%22%3A1%7D", "/parameters/noise/type", "'rain' is refused"),
        ("noise=%7B%22type%22%3A%22masking%22%2C%22level%22%3Atrue%7D", "/parameters/noise/level", "True is refused"),
        ("noise_type=masking", "/parameters/noise/level", "required"),
        ("noise_type=masking&noise_level=2", "/parameters/noise/level", "'2' is refused"),
        ("noise_colour=2", "/parameters/noise_colour", "unknown field"),
        (
            "noise_type=masking&noise=%7B%22type%22%3A%22masking%22%2C%22level%22%3A1%7D",
            "/parameters/noise",
            "given twice",
        ),
        (
            "noise=%7B%22type%22%3A%22masking%22%2C%22level%22%3A1%7D&noise_level=1",
            "/parameters/noise",
            "exclude each other",
        ),
        ("seed=1&seed=2", "/parameters/seed", "given twice"),
        ("fit=around", "/parameters/fit", "'around' is refused"),
        ("model=vanilla-0&model=paper", "/model", "given twice"),
    ],
)
async def test_an_error_in_a_query_names_the_parameter(
    client: httpx.AsyncClient, query: str, pointer: str, detail: str
) -> None:
    model = "" if "model" in query else "&model=vanilla-0"
    headers = {"content-type": "image/png"}
    answer = await client.post(f"/denoise?{query}{model}", content=png(images(1)[0]), headers=headers)
    assert answer.status_code == 422, answer.text
    fault = answer.json()["errors"][0]
    assert fault["pointer"] == pointer
    assert detail.lower() in fault["detail"].lower()


def black_on_white() -> bytes:
    image = Image.new("L", (40, 40), 255)
    image.paste(0, (15, 10, 25, 30))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


async def test_paper_that_seems_to_be_ink_is_warned_of_in_the_answer(client: httpx.AsyncClient) -> None:
    picture = base64.b64encode(black_on_white()).decode()
    body = {"model": "paper", "inputs": [FLAT, picture, PICTURE, picture]}
    answer = (await client.post("/encode", json=body)).json()
    assert len(answer["outputs"]) == 4
    assert [each["pointer"] for each in answer["warnings"]] == ["/inputs/1", "/inputs/3"]
    assert all("set the parameter invert to true" in each["detail"] for each in answer["warnings"])
    inverted = {"model": "paper", "inputs": [picture], "parameters": {"invert": True, "centre": True}}
    assert "warnings" not in (await client.post("/encode", json=inverted)).json()
    assert "warnings" not in (await client.post("/encode", json={**body, "model": "vanilla-0"})).json()


@pytest.mark.parametrize("accept", ["image/png", "application/x-npy"])
async def test_an_answer_that_is_not_json_warns_in_a_header(client: httpx.AsyncClient, accept: str) -> None:
    headers = {"content-type": "image/png", "accept": accept}
    answer = await client.post("/reconstruct?model=paper", content=black_on_white(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, accept)
    (warning,) = json.loads(answer.headers["x-warnings"])
    assert warning["pointer"] == "/inputs/0"
    assert "set the parameter invert to true" in warning["detail"]
    inverted = await client.post("/reconstruct?model=paper&invert=true", content=black_on_white(), headers=headers)
    assert inverted.status_code == 200
    assert "x-warnings" not in inverted.headers
    many = {"model": "paper", "inputs": [base64.b64encode(black_on_white()).decode()] * 20}
    answer = await client.post("/reconstruct", json=many, headers={"accept": accept})
    assert len(json.loads(answer.headers["x-warnings"])) == 8
    assert "x-warnings" not in (await client.post("/reconstruct", json=many)).headers


async def test_a_model_shows_its_paper(client: httpx.AsyncClient) -> None:
    cards = [(await client.get(f"/models/{name}")).json()["item"] for name in ("paper", "vanilla-0")]
    names = ("bandwidths", "multiple", "columns", "time", "key")
    others = {"modality": "image", "shape": [1, 4, 4], **dict.fromkeys(names)}
    assert cards[0] == {**others, "paper": "black", "ink_box": 3}
    assert cards[1] == {**others, "paper": None, "ink_box": None}


async def test_png_for_json_is_refused_where_the_answer_is_an_array(client: httpx.AsyncClient) -> None:
    body = {"model": "vanilla-0", "inputs": [FLAT], "parameters": {"format": "png"}}
    answer = await client.post("/reconstruct", json=body, headers={"accept": "application/x-npy"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/parameters/format"

"""Numbers over HTTP: in every memory layout, of every size, in units of their own; all that is answered is finite."""

import base64
import io
import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from app.settings import Settings
from models.checkpoint import write_checkpoint
from tests.app.items import npy
from tests.conftest import served
from tests.models.tiny import CASES, build, write

pytestmark = pytest.mark.anyio

MEAN, DEVIATION = 1e6, 0.01
NOISE = {"type": "gaussian", "level": 0.3}
IMAGES = ["convolutional-0", "convolutional-1", "vanilla-0", "variational-0", "deep_belief-0", "adversarial-1"]
VECTORS = ["vector-variational-2", "vector-vanilla-0", "vector-variational-0", "vector-adversarial-0"]
SERIES = ["recurrent-0", "recurrent-1"]
TASKS: list[tuple[str, dict[str, Any]]] = [
    ("/encode", {}),
    ("/reconstruct", {}),
    ("/denoise", {}),
    ("/denoise", {"noise": NOISE}),
    ("/denoise", {"noise": {"type": "salt_and_pepper", "level": 0.5}}),
    ("/interpolate", {}),
    ("/interpolate", {"method": "slerp"}),
    ("/detect-anomalies", {"score": "mse"}),
    ("/detect-anomalies", {"score": "mae"}),
    ("/detect-anomalies", {"score": "reconstruction_probability"}),
    ("/impute", {"iterations": 2}),
    ("/compress", {}),
    ("/project", {}),
]
NPY, PNG = "application/x-npy", "image/png"


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Serves images, vectors, normalised series, and a series in a unit of its own."""
    root = tmp_path_factory.mktemp("weights")
    for name in [*IMAGES, *SERIES]:
        spec, config = CASES[name]
        write(spec, config, root / spec.id / name)
    codecs: list[tuple[str, str, dict[str, Any]]] = [
        *((name, name.removeprefix("vector-"), {"modality": "vector"}) for name in VECTORS),
        (
            "own-unit",
            "recurrent-0",
            {"modality": "series", "max_length": 12, "means": [MEAN], "deviations": [DEVIATION]},
        ),
    ]
    for name, case, codec in codecs:
        spec, config = CASES[case]
        model = build(spec, config)
        write_checkpoint(
            root / spec.id / name,
            model,
            model.calibration,
            family_id=spec.id,
            config=config,
            codec={"shape": list(model.input_shape), **codec},
            licence="Apache-2.0",
            dtype=next(model.parameters()).dtype,
        )
    async with served(Settings(weights_dir=root, max_items=50)) as client:
        yield client


async def shape_of(client: httpx.AsyncClient, model: str) -> list[int]:
    shape: list[int] = (await client.get(f"/models/{model}")).json()["item"]["shape"]
    return shape


async def ask(client: httpx.AsyncClient, task: str, model: str, inputs: Any, **parameters: Any) -> Any:
    answer = await client.post(task, json={"model": model, "inputs": inputs, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


def numbers_in(value: Any) -> Iterator[float]:
    """Yield all numbers of an answer; a null among them is NaN."""
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(member)
    elif not isinstance(value, str):
        yield np.nan if value is None else float(value)


def query(parameters: dict[str, Any], model: str) -> dict[str, Any]:
    return {"model": model, **{name: str(value) for name, value in parameters.items()}}


@pytest.mark.parametrize(
    "model", ["convolutional-0", "convolutional-1", "vector-variational-2", "recurrent-1", "own-unit"]
)
@pytest.mark.parametrize("accept", ["application/json", NPY, PNG])
async def test_the_memory_layout_of_an_array_makes_no_difference(
    client: httpx.AsyncClient, model: str, accept: str
) -> None:
    array = np.random.default_rng(0).random((2, *await shape_of(client, model)))
    if model == "own-unit":
        array = MEAN + DEVIATION * array
    for task, parameters in TASKS:
        if "noise" in parameters or "score" in parameters:
            continue
        given_array = array.copy()
        if task == "/impute":
            given_array[:, 0, 0] = np.nan
        answers = [
            await client.post(
                task,
                params=query(parameters, model),
                content=npy(order(given_array)),
                headers={"content-type": NPY, "accept": accept},
            )
            for order in (np.ascontiguousarray, np.asfortranarray)
        ]
        status, other_status = (answer.status_code for answer in answers)
        assert status == other_status, answers[1].text
        assert status == 200 or (status == 406 and accept != "application/json")
        assert status == 406 or answers[0].content == answers[1].content, task


@pytest.mark.parametrize("task", [*TASKS[:9], *TASKS[10:]], ids=lambda task: f"{task[0]}-{len(task[1])}")
async def test_a_picture_is_answered_as_its_numbers(
    client: httpx.AsyncClient, task: tuple[str, dict[str, Any]]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    files = [png_of(image) for image in pixels]
    path, parameters = task
    numbers = (pixels.transpose(0, 3, 1, 2) / 255).tolist()
    expected = await ask(client, path, "convolutional-1", numbers, **parameters)
    assert await ask(client, path, "convolutional-1", files, **parameters) == expected


def png_of(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    magnitude=st.floats(1e15, 3.4028e38),
    signs=st.lists(st.sampled_from([-1, 0, 1]), min_size=7, max_size=7),
    model=st.sampled_from([*SERIES, *VECTORS]),
)
async def test_the_largest_numbers_are_answered_with_numbers_or_refused(
    client: httpx.AsyncClient, magnitude: float, signs: list[int], model: str
) -> None:
    shape = await shape_of(client, model)
    item = magnitude / 3 * np.resize(signs, shape)
    await assert_all_finite(client, model, np.stack([item, -item]))


async def assert_all_finite(client: httpx.AsyncClient, model: str, items: NDArray[np.float64]) -> None:
    for task, parameters in TASKS:
        body = {"model": model, "inputs": items.tolist(), "parameters": parameters}
        answer = await client.post(task, json=body)
        assert answer.status_code in (200, 422), (task, answer.text)
        if answer.status_code == 200:
            assert np.isfinite(list(numbers_in(answer.json()))).all(), (task, answer.text)
        elif "score is" not in answer.text:
            assert "too large" in answer.text, answer.text
        if task != "/compress":
            array = await client.post(task, json=body, headers={"accept": NPY})
            assert array.status_code == answer.status_code, (task, array.text)
            if array.status_code == 200:
                assert np.isfinite(np.load(io.BytesIO(array.content))).all(), task


@pytest.mark.parametrize("model", ["vector-variational-2", "vector-vanilla-0"])
@pytest.mark.parametrize("value", [1e-320, 1e-200, 1e-163])
async def test_items_of_tiny_numbers_have_numbers_for_verdicts(
    client: httpx.AsyncClient, model: str, value: float
) -> None:
    flat = [value * (-1) ** i for i in range(math.prod(await shape_of(client, model)))]
    for kind in ("gaussian", "masking", "salt_and_pepper"):
        answer = await ask(client, "/denoise", model, [flat], noise={"type": kind, "level": 1.0})
        assert np.isfinite(list(numbers_in(answer["outputs"]))).all()
    answer = await ask(client, "/compress", model, [flat])
    assert np.isfinite(list(numbers_in(answer["outputs"]))).all()


@pytest.mark.parametrize("accept", ["image/png, application/json;q=0.5", "image/avif,image/png,*/*;q=0.8"])
async def test_a_model_without_images_answers_in_what_else_is_accepted(client: httpx.AsyncClient, accept: str) -> None:
    body = {"model": "recurrent-0", "inputs": [[0.5] * 7]}
    answer = await client.post("/reconstruct", json=body, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    answer = await client.post("/reconstruct", json=body, headers={"accept": PNG})
    assert answer.status_code == 406


@pytest.mark.parametrize("value", [2e19, -1e25, 3e38])
async def test_errors_of_large_numbers_are_right(client: httpx.AsyncClient, value: float) -> None:
    series = [0.0] * 7
    series[3] = value
    (scored,) = (await ask(client, "/detect-anomalies", "recurrent-0", [series], score="mse"))["outputs"]
    (reconstructed,) = (await ask(client, "/reconstruct", "recurrent-0", [series]))["outputs"]
    expected = (value / 2) ** 2 / 7  # the deviation is 2
    for number in (scored["score"], scored["top"][0]["contribution"], reconstructed["mse"]):
        assert number == pytest.approx(expected)
    assert scored["contributions"][3] == pytest.approx(expected)
    assert reconstructed["mae"] == pytest.approx(abs(value) / 2 / 7)
    noise = {"type": "masking", "level": 0.0}
    (denoised,) = (await ask(client, "/denoise", "recurrent-0", [series], noise=noise))["outputs"]
    assert denoised["psnr_after"] == pytest.approx(10 * np.log10(7), abs=1e-3)


async def test_a_series_in_a_unit_of_its_own_keeps_its_precision(client: httpx.AsyncClient) -> None:
    normalised = np.random.default_rng(0).standard_normal(7).round(3)
    series = (MEAN + DEVIATION * normalised).tolist()
    observed = [None if i == 2 else value for i, value in enumerate(series)]
    (imputed,) = (await ask(client, "/impute", "own-unit", [observed]))["outputs"]
    np.testing.assert_allclose(np.delete(imputed["imputed"], 2), np.delete(series, 2), rtol=0, atol=1e-9)
    plain = build(*CASES["recurrent-0"])
    (output,) = (await ask(client, "/reconstruct", "own-unit", [series]))["outputs"]
    with torch.inference_mode():
        (expected,) = plain.reconstructions_of([torch.from_numpy((np.array(series) - MEAN) / DEVIATION)[:, None]])
    exact = MEAN + DEVIATION * expected[:, 0].double().numpy()
    np.testing.assert_allclose(output["reconstruction"], exact, rtol=0, atol=1e-8)
    array = await client.post("/reconstruct", json={"model": "own-unit", "inputs": [series]}, headers={"accept": NPY})
    np.testing.assert_allclose(np.load(io.BytesIO(array.content))[0], exact, rtol=0, atol=1e-8)
    outlier = [0.0, *series[1:]]
    (noisy,) = (await ask(client, "/denoise", "own-unit", [outlier], noise={"type": "gaussian", "level": 0}))["outputs"]
    np.testing.assert_allclose(noisy["noisy"], outlier, rtol=0, atol=1e-9)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999"])
async def test_a_threshold_that_is_not_finite_is_refused(client: httpx.AsyncClient, value: str) -> None:
    array = npy(np.zeros((1, 7)))
    parameters = {"model": "recurrent-0", "threshold": value}
    answer = await client.post("/detect-anomalies", params=parameters, content=array, headers={"content-type": NPY})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/parameters/threshold"


@pytest.mark.parametrize("value", ["1e999", "-1e999", "Infinity", "NaN"])
async def test_a_json_threshold_that_is_not_finite_is_refused(client: httpx.AsyncClient, value: str) -> None:
    body = json.dumps({"model": "recurrent-0", "inputs": [[0.0] * 7], "parameters": {"threshold": "VALUE"}})
    content = body.replace('"VALUE"', value)
    answer = await client.post("/detect-anomalies", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/parameters/threshold"


@pytest.mark.parametrize("model", [*IMAGES, *VECTORS, *SERIES])
async def test_the_ratio_counts_8_bits_for_pixels_and_32_for_other_numbers(
    client: httpx.AsyncClient, model: str
) -> None:
    items = np.full((1, *await shape_of(client, model)), 0.5).tolist()
    (output,) = (await ask(client, "/compress", model, items))["outputs"]
    assert output["ratio"] * output["bits_per_element"] == pytest.approx(8 if model in IMAGES else 32)


@pytest.mark.parametrize("model", ["recurrent-0", "recurrent-1", "vector-vanilla-0", "vector-variational-2"])
@pytest.mark.parametrize("value", [0.0, 3.0, -50.0])
async def test_noise_of_a_flat_item_without_limits_is_not_clipped(
    client: httpx.AsyncClient, model: str, value: float
) -> None:
    flat = np.full((50, *await shape_of(client, model)), value)
    outputs = (await ask(client, "/denoise", model, flat.tolist(), noise=NOISE))["outputs"]
    noise = np.array([output["noisy"] for output in outputs]) - value
    assert noise.std() == pytest.approx(0.3 * (2 if model in SERIES else 1), rel=0.15)  # 2 is the series' deviation


@pytest.mark.parametrize(
    ("task", "model", "field", "parameters"),
    [
        ("/denoise", "vanilla-0", "noisy", {"noise": NOISE, "seed": 2}),
        ("/denoise", "recurrent-0", "noisy", {"noise": NOISE, "seed": 2**53 - 1}),
        ("/encode", "variational-0", "latent", {"sample": True, "seed": 5}),
        ("/reconstruct", "variational-0", "reconstruction", {"seed": 5}),
    ],
)
async def test_each_item_of_a_request_has_its_own_draw(
    client: httpx.AsyncClient, task: str, model: str, field: str, parameters: dict[str, Any]
) -> None:
    shape = await shape_of(client, model)
    items = np.random.default_rng(0).random((4, *shape))
    items[1:] = items[0]
    three = [np.array(o[field]) for o in (await ask(client, task, model, items[:3].tolist(), **parameters))["outputs"]]
    assert len({array.tobytes() for array in three}) == 3
    for n in (1, 2, 4):
        again = (await ask(client, task, model, items[:n].tolist(), **parameters))["outputs"]
        for one, other in zip(three, again, strict=False):
            np.testing.assert_allclose(other[field], one, rtol=0, atol=1e-6)
    following = (await ask(client, task, model, items[:1].tolist(), **{**parameters, "seed": parameters["seed"] - 1}))[
        "outputs"
    ]
    assert all(not np.allclose(following[0][field], array) for array in three)

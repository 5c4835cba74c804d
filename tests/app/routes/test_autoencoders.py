"""Every task over HTTP for every family, on tiny checkpoints with random weights. New families join by themselves."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.settings import Settings
from models.family import FamilyConfig, FamilySpec
from models.tasks import Task
from tests.conftest import served
from tests.models.tiny import CASES, TINY_TASKS, write

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Serves every tiny configuration of every family, named by its case."""
    root = tmp_path_factory.mktemp("weights")
    for name, (spec, config) in CASES.items():
        write(spec, config, root / spec.id / name)
    async with served(Settings(weights_dir=root, max_items=50)) as client:
        yield client


def name_of(spec: FamilySpec[Any], config: FamilyConfig) -> str:
    return next(name for name, case in CASES.items() if case == (spec, config))


async def item_shape(client: httpx.AsyncClient, name: str) -> tuple[list[int], list[int], str]:
    card = (await client.get(f"/models/{name}")).json()
    return card["item"]["shape"], card["latent_shape"], card["item"]["modality"]


def items(shape: list[int], modality: str, n: int) -> Any:
    values = np.random.default_rng(0).random((n, *shape))
    return (values[..., 0] if modality == "series" and shape[-1] == 1 else values).tolist()


async def post(client: httpx.AsyncClient, task: str, **body: Any) -> Any:
    answer = await client.post("/" + task.replace("_", "-"), json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
async def test_every_task_answers(
    client: httpx.AsyncClient, spec: FamilySpec[Any], config: FamilyConfig, task: Task
) -> None:
    name = name_of(spec, config)
    shape, latent_shape, modality = await item_shape(client, name)
    two = items(shape, modality, 2)
    body: dict[str, Any] = {"inputs": two}
    n_outputs = 2
    if task.name == "sample":
        body, n_outputs = {"parameters": {"n": 3, "seed": 5}}, 3
    elif task.name == "decode":
        body = {"inputs": np.zeros((2, *latent_shape)).tolist()}
    elif task.name == "interpolate":
        n_outputs = 1
    elif task.name == "impute":
        flat = np.ravel(two[0]).tolist()
        gappy: Any = np.array([None, *flat[1:]], dtype=object).reshape(np.shape(two[0])).tolist()
        body, n_outputs = {"inputs": [gappy]}, 1
    elif task.name == "decompress":
        packed = await post(client, "compress", model=name, inputs=two)
        body = {"inputs": [output["stream"] for output in packed["outputs"]]}
    answer = await post(client, task.name, model=name, **body)
    assert answer["model"] == name
    assert len(answer["outputs"]) == n_outputs
    assert answer["usage"] == {"items": n_outputs}
    assert set(answer["outputs"][0]) >= EXPECTED[task.name]
    check = CHECKS.get(task.name)
    if check:
        check(answer, two)


EXPECTED = {
    "encode": {"latent"},
    "decode": {"reconstruction"},
    "reconstruct": {"reconstruction", "mse", "mae"},
    "denoise": {"denoised"},
    "sample": {"sample", "latent", "seed"},
    "interpolate": {"frames", "latents"},
    "detect_anomalies": {"score", "threshold", "is_anomaly", "percentile", "p_value", "contributions", "top"},
    "impute": {"imputed"},
    "compress": {"stream", "bytes", "bits_per_element", "ratio", "mse", "psnr"},
    "decompress": {"items"},
    "project": {"x", "y"},
    "classify": {"labels"},
}


def check_reconstruction(answer: Any, sent: Any) -> None:
    for output, item in zip(answer["outputs"], sent, strict=True):
        assert np.shape(output["reconstruction"]) == np.shape(item)


def check_imputed(answer: Any, sent: Any) -> None:
    got = np.ravel(answer["outputs"][0]["imputed"])
    np.testing.assert_allclose(got[1:], np.ravel(sent[0])[1:], rtol=0, atol=1e-6)
    assert np.isfinite(got).all()


def check_anomalies(answer: Any, sent: Any) -> None:
    for output, item in zip(answer["outputs"], sent, strict=True):
        assert np.shape(output["contributions"]) == np.shape(item)
        assert np.sum(output["contributions"]) == pytest.approx(output["score"], rel=1e-4)
        assert 0 < output["p_value"] <= 1


def check_labels(answer: Any, sent: Any) -> None:
    for output in answer["outputs"]:
        scores = [label["score"] for label in output["labels"]]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-5)


def check_samples(answer: Any, sent: Any) -> None:
    assert {output["seed"] for output in answer["outputs"]} == {5}
    assert answer["outputs"][0]["sample"] != answer["outputs"][1]["sample"]


def check_frames(answer: Any, sent: Any) -> None:
    assert len(answer["outputs"][0]["frames"]) == len(answer["outputs"][0]["latents"]) == 8


def check_projection(answer: Any, sent: Any) -> None:
    assert sum(answer["explained_variance"]) == pytest.approx(1, abs=1e-6)  # two items span one direction
    assert all(math.isfinite(output["x"]) for output in answer["outputs"])


CHECKS = {
    "reconstruct": check_reconstruction,
    "impute": check_imputed,
    "detect_anomalies": check_anomalies,
    "classify": check_labels,
    "sample": check_samples,
    "interpolate": check_frames,
    "project": check_projection,
}


async def test_a_series_keeps_its_unit_and_length(client: httpx.AsyncClient) -> None:
    long, short = [2.0] * 12, [2.0] * 3
    outputs = (await post(client, "reconstruct", model="recurrent-0", inputs=[long, short]))["outputs"]
    assert [len(output["reconstruction"]) for output in outputs] == [12, 3]
    (alone,) = (await post(client, "reconstruct", model="recurrent-0", inputs=short))["outputs"]
    np.testing.assert_allclose(outputs[1]["reconstruction"], alone["reconstruction"], rtol=0, atol=1e-5)
    decoded = await post(client, "decode", model="recurrent-0", inputs=[[0, 0, 0]], parameters={"length": 5})
    assert len(decoded["outputs"][0]["reconstruction"]) == 5


async def test_lossless_streams_come_back_bit_for_bit(client: httpx.AsyncClient) -> None:
    binary = (np.random.default_rng(1).random((20, 16)) < 0.3).astype(float).tolist()
    for model in ("variational-0", "variational-1"):
        for parameters, n in (({"lossless": True, "chain": True}, 1), ({"lossless": True}, 20)):
            packed = await post(client, "compress", model=model, inputs=binary, parameters=parameters)
            assert len(packed["outputs"]) == n
            assert {output["mse"] for output in packed["outputs"]} == {0.0}
            streams = [output["stream"] for output in packed["outputs"]]
            unpacked = await post(client, "decompress", model=model, inputs=streams)
            got = [np.ravel(item).tolist() for output in unpacked["outputs"] for item in output["items"]]
            assert got == binary


REFUSALS = [
    ("encode", {"model": "recurrent-0", "inputs": [[1.0, None, 2.0]]}, "the series holds null"),
    ("encode", {"model": "recurrent-0", "inputs": [[1.0] * 13]}, "1 to 12 numbers"),
    ("impute", {"model": "recurrent-0", "inputs": [[None, None]]}, "every element is null"),
    ("impute", {"model": "vanilla-0", "inputs": [[None] * 16]}, "every element is null"),
    ("impute", {"model": "vanilla-0", "inputs": [[2.0] + [None] * 15]}, "lies outside"),
    ("decode", {"model": "vanilla-0", "inputs": [[0.0] * 4]}, "expected numbers of shape"),
    ("decode", {"model": "vanilla-0", "inputs": [[0.0] * 3], "parameters": {"length": 4}}, "length is 4"),
    ("interpolate", {"model": "vanilla-0", "inputs": [[0.0] * 16] * 2, "parameters": {"steps": 0}}, "0 is refused"),
    ("interpolate", {"model": "vanilla-0", "inputs": [[0.0] * 16] * 2, "parameters": {"steps": 10_000}}, "10000 is"),
    ("interpolate", {"model": "vanilla-0", "inputs": [[0.0] * 16] * 3}, "exactly 2"),
    ("sample", {"model": "vanilla-0", "parameters": {"n": 51}}, "51 items"),
    ("sample", {"model": "vanilla-0", "parameters": {"sampler": "prior"}}, "this model has gmm"),
    ("sample", {"model": "vanilla-0", "parameters": {"label": 7}}, "has no labels"),
    ("sample", {"model": "vanilla-0", "inputs": [[0.0] * 16]}, "unknown field"),
    ("encode", {"model": "vanilla-0", "inputs": [[0.0] * 16], "parameters": {"sample": True}}, "deterministic"),
    ("compress", {"model": "vanilla-0", "inputs": [[0.0] * 16], "parameters": {"bits": 17}}, "17 is refused"),
    ("compress", {"model": "vanilla-0", "inputs": [[0.0] * 16], "parameters": {"lossless": True}}, "no lossless"),
    ("compress", {"model": "variational-0", "inputs": [[0.5] * 16], "parameters": {"lossless": True}}, "neither 0"),
    ("decompress", {"model": "vanilla-0", "inputs": ["AAAA"]}, "no stream of this server"),
    ("decompress", {"model": "vanilla-0", "inputs": ["?"]}, "string in base64"),
    ("decompress", {"model": "vanilla-0", "inputs": [7]}, "string in base64"),
    ("project", {"model": "vanilla-0", "inputs": [[0.0] * 16], "parameters": {"method": "latent"}}, "width 2"),
    ("detect_anomalies", {"model": "vanilla-0", "inputs": [[0.0] * 16], "parameters": {"score": "x"}}, "has mse, mae"),
    (
        "detect_anomalies",
        {"model": "vanilla-0", "inputs": [[0.0] * 16], "parameters": {"threshold": 1.0, "percentile": 5.0}},
        "exclude each other",
    ),
    ("classify", {"model": "vanilla-0", "inputs": [[0.0] * 16]}, "does not serve classify"),
    ("denoise", {"model": "vanilla-0", "inputs": [[0.0] * 16], "parameters": {"noise": {"type": "rain"}}}, "refused"),
]


@pytest.mark.parametrize(("task", "body", "detail"), REFUSALS, ids=[f"{r[0]}-{r[2]}" for r in REFUSALS])
async def test_bad_input_is_refused_by_name(
    client: httpx.AsyncClient, task: str, body: dict[str, Any], detail: str
) -> None:
    answer = await client.post("/" + task.replace("_", "-"), json=body)
    assert answer.status_code == 422, answer.text
    assert detail in answer.text


async def test_streams_have_no_more_items_together_than_a_request_takes(client: httpx.AsyncClient) -> None:
    asked = {"model": "vanilla-0", "inputs": [[0.5] * 16] * 26, "parameters": {"chain": True}}
    (output,) = (await post(client, "compress", **asked))["outputs"]
    assert len((await post(client, "decompress", model="vanilla-0", inputs=[output["stream"]]))["outputs"]) == 1
    answer = await client.post("/decompress", json={"model": "vanilla-0", "inputs": [output["stream"]] * 2})
    assert (answer.status_code, "52 items; a request takes 1 to 50" in answer.text) == (422, True)


async def test_a_stream_of_another_model_is_refused(client: httpx.AsyncClient) -> None:
    packed = await post(client, "compress", model="vanilla-0", inputs=[[0.0] * 16])
    body = {"model": "denoising-0", "inputs": [packed["outputs"][0]["stream"]]}
    answer = await client.post("/decompress", json=body)
    assert (answer.status_code, "made by another model" in answer.text) == (422, True)


async def test_a_seed_repeats_a_sample_whatever_else_is_asked(client: httpx.AsyncClient, tmp_path: Path) -> None:
    one = await post(client, "sample", model="variational-0", parameters={"n": 1, "seed": 3})
    many = await post(client, "sample", model="variational-0", parameters={"n": 40, "seed": 3})
    drawn = await post(client, "sample", model="variational-0", parameters={})
    again = await post(client, "sample", model="variational-0", parameters={"seed": drawn["outputs"][0]["seed"]})
    assert one["outputs"][0] == many["outputs"][0]
    assert drawn["outputs"] == again["outputs"]

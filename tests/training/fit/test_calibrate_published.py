"""`manifold calibrate` of published autoencoders of pictures, and the anomalies that they then find over HTTP."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file, save_file

from app.settings import Settings
from models.checkpoint import load_model, read_checkpoint
from models.errors import CheckpointError
from tests.conftest import served
from tests.models.autoencoders.diffusers_reference import publish
from tests.models.autoencoders.test_kl import ODD as ODD_KL
from tests.models.autoencoders.test_tiny import ODD as ODD_TINY
from training.fit.calibrate_command import calibrate

CLASSES = {"AutoencoderKL": ODD_KL["narrow"], "AutoencoderTiny": ODD_TINY["narrow"]}
N_PICTURES = 19


@pytest.fixture(params=CLASSES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    family = {"AutoencoderKL": "kl", "AutoencoderTiny": "tiny"}[request.param]
    folder = tmp_path / "weights/autoencoders" / family / "mine"
    publish(folder, request.param, **CLASSES[request.param])
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Smooth pictures of several sizes, and noise among them that is known to be anomalous."""
    data = tmp_path / "pictures"
    (data / "broken").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in range(N_PICTURES):
        height, width = 8 + 4 * (number % 3), 8 + 4 * (number % 2)
        level = int(draw.integers(80, 120))
        Image.new("RGB", (width, height), (level, level, level)).save(data / f"{number}.png")
    Image.fromarray(draw.integers(0, 256, (12, 8, 3), dtype=np.uint8)).save(data / "broken/noise.png")
    return data


def run(folder: Path, data: Path, *options: str) -> Result:
    given = [folder.name, str(data), "--checkpoints", str(folder.parent), "--label", "broken", *options]
    return CliRunner().invoke(calibrate, given)


def report_of(folder: Path, data: Path) -> Any:
    result = run(folder, data, "--false-alarms", "0.05", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def mse_of(folder: Path, path: Path) -> float:
    """The mean squared error of the reconstruction by the library's own networks."""
    from tests.models.autoencoders.diffusers_reference import reference

    pixels = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1)[None].float() / 255
    model = reference(folder)
    encoded = model.encode(pixels * 2 - 1)
    latents = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
    decoded = ((model.decode(latents).sample + 1) / 2).clamp(0, 1)
    return float((decoded - pixels).square().mean())


def test_the_scores_are_the_errors_of_the_reconstructions(folder: Path, pictures: Path) -> None:
    report = report_of(folder, pictures)
    expected = sorted(mse_of(folder, path) for path in pictures.glob("*.png"))
    scores = load_file(folder / "calibration.safetensors")["scores.mse"]
    np.testing.assert_allclose(scores, expected, rtol=1e-3)
    assert (report["score"], report["n_scores"], report["threshold_before"]) == ("mse", N_PICTURES, None)
    assert report["threshold"] == pytest.approx(expected[-1], rel=1e-3)
    again = report_of(folder, pictures)
    assert again["threshold_before"] == pytest.approx(report["threshold"])
    assert again["flagged_before"] == 0.0


@pytest.mark.anyio
async def test_a_calibrated_autoencoder_finds_anomalies_over_http(folder: Path, pictures: Path) -> None:
    settings = Settings(weights_dir=folder.parents[2])
    noise = (pictures / "broken/noise.png").read_bytes()
    async with served(settings) as client:
        headers = {"content-type": "image/png"}
        refused = await client.post("/detect-anomalies?model=mine", content=noise, headers=headers)
        assert refused.status_code == 422
        assert "detect" in refused.text
    report = report_of(folder, pictures)
    async with served(settings) as client:
        assert "detect_anomalies" in (await client.get("/models/mine")).json()["tasks"]
        answer = await client.post("/detect-anomalies?model=mine", content=noise, headers=headers)
        assert answer.status_code == 200, answer.text
        (output,) = answer.json()["outputs"]
        assert output["score"] == pytest.approx(mse_of(folder, pictures / "broken/noise.png"), rel=1e-3)
        assert output["threshold"] == pytest.approx(report["threshold"])
        assert np.shape(output["contributions"]) == (3, 12, 8)
        assert np.sum(output["contributions"]) == pytest.approx(output["score"], rel=1e-3)
        assert output["is_anomaly"] == (output["score"] > output["threshold"])
        several = [np.full((3, 8, 8), 0.4).tolist(), np.full((3, 16, 8), 0.4).tolist()]
        body = {"model": "mine", "inputs": several, "parameters": {"score": "mae", "percentile": 50}}
        outputs = (await client.post("/detect-anomalies", json=body)).json()["outputs"]
        assert [np.shape(each["contributions"]) for each in outputs] == [(3, 8, 8), (3, 16, 8)]


def test_too_few_pictures_promise_no_rate(folder: Path, pictures: Path) -> None:
    result = run(folder, pictures, "--false-alarms", "0.01")
    assert result.exit_code == 1
    assert "cannot be promised from 19 held-out scores; 0.05 is the least" in result.output
    assert not (folder / "calibration.safetensors").exists()


def test_what_is_printed_names_the_model(folder: Path, pictures: Path) -> None:
    result = run(folder, pictures, "--false-alarms", "0.05")
    assert result.exit_code == 0, result.output
    assert "19 new scores; the threshold is " in result.output
    assert "and was" not in result.output
    assert "a running server takes it by POST /models/mine/unload and /load" in result.output


def test_a_damaged_calibration_is_an_error_that_names_it(folder: Path, pictures: Path) -> None:
    report_of(folder, pictures)
    path = folder / "calibration.safetensors"
    tensors = load_file(path)
    save_file({name: tensor for name, tensor in tensors.items() if name != "scores.mae"}, path)
    with pytest.raises(CheckpointError, match=r"mine/calibration.safetensors has no list of the scores mae"):
        load_model(read_checkpoint(folder))
    path.write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"mine/calibration.safetensors is not a whole safetensors file"):
        load_model(read_checkpoint(folder))

"""The tasks of sounds beside their coding: classes, noise, anomalies and the map."""

from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.autoencoders.encodec import FAMILY
from models.autoencoders.encodec.model import Encodec
from models.checkpoint import load_model, read_checkpoint
from models.codecs.npy import parse_npy
from tests.app.sounds import MONO, N_NORMAL, RATE, STEREO, answer, file_of, normal_sounds, post, read, tone

pytestmark = pytest.mark.anyio
HOP = 8 * 5 * 4 * 2
"""Samples of a frame."""


def network(root: Path, name: str = MONO) -> Encodec:
    return cast("Encodec", load_model(read_checkpoint(root / FAMILY.id / name)))


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * RATE)).astype(np.float32)


async def test_a_sound_is_classified_as_the_model_does(client: httpx.AsyncClient, root: Path) -> None:
    sounds = [tone(0.3), tone(0.2, hertz=100)]
    outputs = (await answer(client, "/classify", MONO, [sound.tolist() for sound in sounds]))["outputs"]
    model = network(root)
    for sound, output in zip(sounds, outputs, strict=True):
        with torch.inference_mode():
            (logits,) = model.class_logits_of([torch.from_numpy(sound)[None]])
        wanted = dict(zip("abc", logits.softmax(0).tolist(), strict=True))
        assert {each["label"]: each["score"] for each in output["labels"]} == pytest.approx(wanted, abs=1e-5)
        assert output["labels"] == sorted(output["labels"], key=lambda each: -each["score"])
    data = file_of(sounds[0], "FLAC")
    headers, query = {"content-type": "audio/flac"}, {"model": MONO, "top_k": "1", "function_to_apply": "none"}
    sent = await client.post("/classify", content=data, headers=headers, params=query)
    assert sent.status_code == 200, sent.text
    (best,) = sent.json()["outputs"][0]["labels"]
    assert best["label"] == outputs[0]["labels"][0]["label"]


async def test_noise_is_added_in_the_ratio_that_is_asked_for(client: httpx.AsyncClient) -> None:
    sounds = [tone(0.5), tone(0.3, hertz=300)]
    inputs = [sound.tolist() for sound in sounds]
    plain = await answer(client, "/denoise", MONO, inputs, bandwidth=0.4)
    wanted = await answer(client, "/reconstruct", MONO, inputs, bandwidth=0.4)
    for denoised, reconstructed in zip(plain["outputs"], wanted["outputs"], strict=True):
        assert denoised.keys() == {"denoised"}
        np.testing.assert_allclose(denoised["denoised"], reconstructed["reconstruction"], atol=1e-5)
    given = await answer(client, "/denoise", MONO, inputs, bandwidth=0.4, snr_db=12, seed=3)
    for sound, output in zip(sounds, given["outputs"], strict=True):
        ratios = [
            10 * np.log10(np.square(sound, dtype=float).sum() / np.square(np.subtract(output[name], sound)).sum())
            for name in ("noisy", "denoised")
        ]
        assert [output["snr_before"], output["snr_after"]] == pytest.approx(ratios, abs=1e-3)
        assert ratios[0] == pytest.approx(12, abs=1e-3)
        again = await answer(client, "/reconstruct", MONO, output["noisy"], bandwidth=0.4)
        np.testing.assert_allclose(again["outputs"][0]["reconstruction"], output["denoised"], atol=1e-4)
    assert (await answer(client, "/denoise", MONO, inputs, bandwidth=0.4, snr_db=12, seed=3)) == given
    other = await answer(client, "/denoise", MONO, inputs, bandwidth=0.4, snr_db=12, seed=4)
    assert other["outputs"][0]["noisy"] != given["outputs"][0]["noisy"]


async def test_a_denoised_sound_is_answered_as_a_file(client: httpx.AsyncClient) -> None:
    data = file_of(tone(0.4), subtype="FLOAT")
    headers = {"content-type": "audio/wav", "accept": "audio/wav"}
    sent = await client.post("/denoise", content=data, headers=headers, params={"model": MONO, "snr_db": "5"})
    assert sent.status_code == 200, sent.text
    found, rate = read(sent.content)
    wanted = await answer(client, "/denoise", MONO, tone(0.4).tolist(), snr_db=5)
    assert rate == RATE
    np.testing.assert_allclose(found, np.clip(wanted["outputs"][0]["denoised"], -1, 1), atol=1e-4)


async def test_an_unusual_sound_is_an_anomaly_and_its_loudest_error_is_found(client: httpx.AsyncClient) -> None:
    normal = [sound.tolist() for sound in normal_sounds()]
    outputs = (await answer(client, "/detect-anomalies", MONO, normal))["outputs"]
    assert sum(output["is_anomaly"] for output in outputs) == 2  # above 90 of 100, interpolated
    assert len({output["threshold"] for output in outputs}) == 1
    for output, sound in zip(outputs, normal, strict=True):
        assert output["frame_s"] == HOP / RATE
        assert len(output["contributions"]) == -(-len(sound) // HOP)
        assert sum(output["contributions"]) == pytest.approx(output["score"], rel=1e-4)
        n_above = sum(other["score"] >= output["score"] for other in outputs)
        assert output["p_value"] == pytest.approx((1 + n_above) / (1 + N_NORMAL), abs=1 / N_NORMAL)
    click = tone(0.4)
    click[1600:1640] += noise(0.005) * 20
    (found,) = (await answer(client, "/detect-anomalies", MONO, click.tolist(), score="mse", n_top=2))["outputs"]
    assert found["is_anomaly"]
    assert found["p_value"] == 1 / (1 + N_NORMAL)
    assert len(found["top"]) == 2
    best = found["top"][0]
    assert (best["start_s"], best["end_s"]) == pytest.approx((0.2, 0.24))
    assert best["contribution"] == pytest.approx(found["contributions"][5])
    reconstruction = (await answer(client, "/reconstruct", MONO, click.tolist()))["outputs"][0]
    assert found["score"] == pytest.approx(reconstruction["mse"], rel=1e-3)


async def test_thresholds_are_those_of_the_request(client: httpx.AsyncClient) -> None:
    sound = tone(0.3).tolist()
    scored = (await answer(client, "/detect-anomalies", MONO, sound, threshold=0))["outputs"][0]
    assert scored["is_anomaly"]
    assert scored["threshold"] == 0
    (lax,) = (await answer(client, "/detect-anomalies", MONO, sound, false_alarm_rate=0.05))["outputs"]
    (strict,) = (await answer(client, "/detect-anomalies", MONO, sound, percentile=10))["outputs"]
    assert lax["threshold"] > strict["threshold"]
    headers = {"accept": "application/x-npy"}
    body = {"model": MONO, "inputs": [sound], "parameters": {"score": "mae"}}
    array = parse_npy((await client.post("/detect-anomalies", json=body, headers=headers)).content)
    (by_mae,) = (await answer(client, "/detect-anomalies", MONO, sound, score="mae"))["outputs"]
    assert array == pytest.approx([by_mae["score"]])


async def test_sounds_are_placed_in_a_plane_by_their_latents(client: httpx.AsyncClient, root: Path) -> None:
    sounds = [tone(0.2 + 0.1 * i, hertz=200 * (1 + i)) for i in range(5)]
    given = await answer(client, "/project", MONO, [sound.tolist() for sound in [*sounds, sounds[0]]])
    assert given["outputs"][0] == given["outputs"][5]
    with torch.inference_mode():
        latents = network(root).latents_of([torch.from_numpy(sound)[None] for sound in [*sounds, sounds[0]]])
    centred = latents.double().numpy() - latents.double().numpy().mean(0)
    _, deviations, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.array([[output["x"], output["y"]] for output in given["outputs"]])
    np.testing.assert_allclose(np.linalg.norm(points, axis=0), deviations[:2], rtol=1e-3)
    shares = np.square(deviations[:2]) / np.square(deviations).sum()
    assert given["explained_variance"] == pytest.approx(shares.tolist(), rel=1e-3)
    stereo = await answer(
        client, "/project", STEREO, [tone(0.2, n_channels=2).tolist(), tone(1.5, n_channels=2).tolist()]
    )
    assert len(stereo["outputs"]) == 2


@pytest.mark.parametrize(
    ("path", "name", "parameters", "status", "detail"),
    [
        ("/classify", STEREO, {}, 422, "stereo does not serve classify"),
        ("/detect-anomalies", STEREO, {}, 422, "stereo does not serve detect_anomalies"),
        ("/detect-anomalies", MONO, {"score": "nll"}, 422, "score is 'nll'; this model has spectral, mse, mae"),
        (
            "/detect-anomalies",
            MONO,
            {"percentile": 5, "threshold": 1},
            422,
            "threshold and percentile exclude each other",
        ),
        ("/detect-anomalies", MONO, {"false_alarm_rate": 0.01}, 422, "a rate of 0.01 cannot be promised"),
        ("/detect-anomalies", MONO, {"bandwidth": 0.2}, 422, "bandwidth"),
        ("/denoise", MONO, {"bandwidth": 3}, 422, "bandwidth is 3 kbit/s; this model has 0.2, 0.4"),
        ("/denoise", MONO, {"seed": 3}, 422, "nothing is drawn without snr_db"),
        ("/denoise", MONO, {"snr_db": 101}, 422, "snr_db"),
        ("/denoise", MONO, {"noise": {"type": "gaussian", "level": 0.1}}, 422, "noise"),
        ("/project", MONO, {"method": "latent"}, 422, "method latent needs a latent of width 2; this model's is 12"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_done_is_refused(
    client: httpx.AsyncClient, path: str, name: str, parameters: dict[str, Any], status: int, detail: str
) -> None:
    sound = tone(0.1, n_channels=1 if name == MONO else 2).tolist()
    response = await post(client, path, name, [sound], **parameters)
    assert response.status_code == status
    assert detail in response.text


async def test_silence_has_no_ratio_to_noise(client: httpx.AsyncClient) -> None:
    response = await post(client, "/denoise", MONO, [[0.0] * 800], snr_db=10)
    assert response.status_code == 422
    assert "the sound is silent; no noise has a ratio to it" in response.text

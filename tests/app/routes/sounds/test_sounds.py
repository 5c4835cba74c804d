"""Sounds over HTTP: numbers and files in, numbers and files out."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.autoencoders.encodec import FAMILY
from models.checkpoint import load_model, read_checkpoint
from models.codecs.npy import parse_npy, to_npy
from models.tasks import RECONSTRUCT_SOUND
from models.tasks.audio import ReconstructSoundRequest
from tests.app.sounds import MONO, RATE, STEREO, answer, file_of, post, read, tone
from tests.conftest import TINY

pytestmark = pytest.mark.anyio


def expected(root: Path, name: str, sound: NDArray[Any], bandwidth: float) -> NDArray[np.float32]:
    """The reconstruction that the model itself makes of `[T]` or `[T, C]`."""
    model = load_model(read_checkpoint(root / FAMILY.id / name))
    tensor = torch.from_numpy(np.atleast_2d(sound.T).astype(np.float32))
    (result,) = model.run(RECONSTRUCT_SOUND, [ReconstructSoundRequest(sound=tensor, bandwidth=bandwidth)])
    array: NDArray[np.float32] = result.sound.numpy()
    return array[0] if sound.ndim == 1 else array.T


@pytest.mark.parametrize(("name", "n_channels"), [(MONO, 1), (STEREO, 2)])
async def test_numbers_are_reconstructed_as_the_model_does(
    client: httpx.AsyncClient, root: Path, name: str, n_channels: int
) -> None:
    sounds = [tone(0.5, n_channels=n_channels), tone(1.1, n_channels=n_channels, hertz=300)]
    given = await answer(client, "/reconstruct", name, [sound.tolist() for sound in sounds], bandwidth=0.4)
    assert given["usage"] == {"items": 2}
    for sound, output in zip(sounds, given["outputs"], strict=True):
        wanted = expected(root, name, sound, 0.4)
        np.testing.assert_allclose(output["reconstruction"], wanted, atol=1e-4)
        assert output["mse"] == pytest.approx(((wanted - sound) ** 2).mean(), rel=1e-3)
        assert output["mae"] == pytest.approx(np.abs(wanted - sound).mean(), rel=1e-3)
    single = await answer(client, "/reconstruct", name, sounds[0].tolist(), bandwidth=0.4)
    np.testing.assert_allclose(single["outputs"][0]["reconstruction"], given["outputs"][0]["reconstruction"], atol=1e-5)


@pytest.mark.parametrize(("name", "n_channels"), [(MONO, 1), (STEREO, 2)])
async def test_codes_and_streams_decode_to_the_reconstruction(
    client: httpx.AsyncClient, name: str, n_channels: int
) -> None:
    sounds = [tone(0.3, n_channels=n_channels).tolist(), tone(1.3, n_channels=n_channels, hertz=200).tolist()]
    wanted = (await answer(client, "/reconstruct", name, sounds, bandwidth=0.4))["outputs"]
    encoded = (await answer(client, "/encode", name, sounds, bandwidth=0.4))["outputs"]
    assert [len(each["codes"]) for each in encoded] == ([1, 1] if n_channels == 1 else [1, 2])
    assert all(("scales" in each) == (n_channels == 2) for each in encoded)
    decoded = (await answer(client, "/decode", name, encoded))["outputs"]
    compressed = (await answer(client, "/compress", name, sounds, bandwidth=0.4))["outputs"]
    streams = [each["stream"] for each in compressed]
    restored = (await answer(client, "/decompress", name, streams))["outputs"]
    for i, sound in enumerate(sounds):
        np.testing.assert_allclose(decoded[i]["reconstruction"], wanted[i]["reconstruction"], atol=1e-4)
        np.testing.assert_allclose(restored[i]["items"][0], wanted[i]["reconstruction"], atol=1e-4)
        assert compressed[i]["bytes"] == len(base64.b64decode(streams[i]))
        assert compressed[i]["kbit_per_s"] == pytest.approx(8 * compressed[i]["bytes"] / (len(sound) / RATE) / 1000)
    least = (await answer(client, "/encode", name, sounds))["outputs"]
    assert [len(each["codes"][0]) for each in (least[1], encoded[1])] == [2, 4]
    foreign = await post(client, "/decompress", STEREO if name == MONO else MONO, streams[:1])
    assert foreign.status_code == 422
    assert "made by another model" in foreign.text


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "FLOAT", 1e-6),
        ("WAV", "PCM_U8", 1e-2),
        ("FLAC", "PCM_24", 1e-6),
        ("OGG", "VORBIS", 0.05),
        ("OGG", "OPUS", 0.1),
    ],
)
async def test_a_file_is_read_as_the_numbers_in_it(
    client: httpx.AsyncClient, kind: str, subtype: str, tolerance: float
) -> None:
    sound = tone()
    data = file_of(sound, kind, subtype=subtype)
    encoded = base64.b64encode(data).decode()
    media_type = f"audio/{kind.lower()}"
    query = {"model": MONO, "bandwidth": "0.4"}
    by_body = await client.post("/encode", content=data, params=query, headers={"content-type": media_type})
    by_text = await answer(client, "/encode", MONO, [encoded], bandwidth=0.4)
    by_url = await answer(client, "/encode", MONO, [f"data:{media_type};base64,{encoded}"], bandwidth=0.4)
    files = [("files", (f"{i}.{kind}", data, media_type)) for i in range(2)]
    by_form = await client.post("/encode", files=files, params=query)
    assert by_body.status_code == by_form.status_code == 200, by_body.text + by_form.text
    assert by_body.json()["outputs"] == by_text["outputs"] == by_url["outputs"]
    assert by_form.json()["outputs"] == 2 * by_text["outputs"]
    read_sound, _ = read(data)
    assert np.abs(read_sound[: len(sound)] - sound).max() < tolerance
    numbers = (await answer(client, "/encode", MONO, read_sound.tolist(), bandwidth=0.4))["outputs"]
    assert numbers == by_text["outputs"]


@pytest.mark.parametrize("rate", [8000, 44100, 11025])
async def test_sampling_rates_and_channels_become_those_of_the_model(client: httpx.AsyncClient, rate: int) -> None:
    data = file_of(tone(1.0, rate), rate=rate, subtype="FLOAT")
    encoded = (await answer(client, "/encode", MONO, base64.b64encode(data).decode(), bandwidth=0.4))["outputs"]
    assert abs(encoded[0]["length"] - RATE) <= 1
    two = file_of(tone(1.0, rate, n_channels=2), rate=rate, subtype="FLOAT")
    as_mono = (await answer(client, "/encode", MONO, base64.b64encode(two).decode(), bandwidth=0.4))["outputs"]
    mixed = file_of(tone(1.0, rate, n_channels=2).mean(1), rate=rate, subtype="FLOAT")
    wanted = (await answer(client, "/encode", MONO, base64.b64encode(mixed).decode(), bandwidth=0.4))["outputs"]
    assert as_mono == wanted
    as_stereo = (await answer(client, "/encode", STEREO, base64.b64encode(data).decode()))["outputs"]
    assert abs(as_stereo[0]["length"] - RATE) <= 1


@pytest.mark.parametrize(("name", "n_channels"), [(MONO, 1), (STEREO, 2)])
@pytest.mark.parametrize("kind", ["wav", "flac"])
async def test_a_sound_is_answered_as_a_file(client: httpx.AsyncClient, name: str, n_channels: int, kind: str) -> None:
    sound = tone(0.5, n_channels=n_channels).tolist()
    numbers = (await answer(client, "/reconstruct", name, sound))["outputs"][0]["reconstruction"]
    body = {"model": name, "inputs": sound}
    response = await client.post("/reconstruct", json=body, headers={"accept": f"audio/{kind}"})
    assert (response.status_code, response.headers["content-type"]) == (200, f"audio/{kind}"), response.text
    for data in (
        response.content,
        base64.b64decode(
            (await answer(client, "/reconstruct", name, sound, format=kind))["outputs"][0]["reconstruction"].partition(
                f"data:audio/{kind};base64,"
            )[2]
        ),
    ):
        found, rate = read(data)
        assert rate == RATE
        np.testing.assert_allclose(found, np.clip(numbers, -1, 1), atol=1e-4)
    encoded = (await answer(client, "/encode", name, sound))["outputs"]
    streams = [each["stream"] for each in (await answer(client, "/compress", name, sound))["outputs"]]
    for path, inputs in (("/decode", encoded), ("/decompress", streams)):
        made = await client.post(path, json={"model": name, "inputs": inputs}, headers={"accept": f"audio/{kind}"})
        assert made.status_code == 200, made.text
        np.testing.assert_allclose(read(made.content)[0], found, atol=1e-4)


async def test_arrays_in_and_out(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    mono = np.stack([tone(0.5), tone(0.5, hertz=300)])
    stereo = np.stack([tone(0.5, n_channels=2), tone(0.5, n_channels=2, hertz=300)])
    for name, batch in ((MONO, mono), (STEREO, stereo)):
        sent = await client.post("/reconstruct", content=to_npy(batch), params={"model": name}, headers=headers)
        assert sent.status_code == 200, sent.text
        wanted = (await answer(client, "/reconstruct", name, batch.tolist()))["outputs"]
        np.testing.assert_allclose(parse_npy(sent.content), [each["reconstruction"] for each in wanted], atol=1e-5)
        single = await client.post("/reconstruct", content=to_npy(batch[0]), params={"model": name}, headers=headers)
        np.testing.assert_allclose(parse_npy(single.content)[0], parse_npy(sent.content)[0], atol=1e-5)


async def test_the_model_of_a_file_of_sound_is_one_of_sounds(client: httpx.AsyncClient) -> None:
    data = file_of(tone(0.2))
    chosen = await client.post("/encode", content=data, headers={"content-type": "audio/wav"})
    assert (chosen.status_code, chosen.headers["x-model"]) == (200, MONO)
    in_json = await client.post("/encode", json={"inputs": [base64.b64encode(data).decode()]})
    assert in_json.headers["x-model"] == MONO
    assert (await client.get("/info")).json()["default_models"]["encode"]["sound"] == MONO
    sound = {"content-type": "audio/wav"}
    of_images = await client.post("/encode", content=data, params={"model": TINY}, headers=sound)
    assert of_images.status_code == 400
    picture = await client.post("/impute", content=data, headers={"content-type": "audio/wav"})
    assert picture.status_code == 415


async def test_the_card_tells_what_sounds_the_model_takes(client: httpx.AsyncClient) -> None:
    card = (await client.get(f"/models/{STEREO}")).json()
    assert card["item"]["modality"] == "audio"
    assert card["item"]["shape"] == [RATE, 2]
    assert card["item"]["bandwidths"] == [0.2, 0.4]
    assert card["limits"] == {"max_items": 20, "max_audio_seconds": 3}
    coding = ["encode", "decode", "reconstruct", "compress", "decompress"]
    assert card["tasks"] == [*coding, "denoise", "project"]
    assert card["scores"] == []
    calibrated = (await client.get(f"/models/{MONO}")).json()
    assert calibrated["tasks"] == [*coding, "denoise", "detect_anomalies", "project", "classify"]
    assert calibrated["scores"] == ["spectral", "mse", "mae"]
    assert calibrated["labels"] == ["a", "b", "c"]


async def test_lines_are_answered_one_by_one(client: httpx.AsyncClient) -> None:
    encoded = base64.b64encode(file_of(tone(0.2), subtype="FLOAT")).decode()
    lines = f'"{encoded}"\n{tone(0.2).tolist()}\n"AAAA"\n'
    headers = {"content-type": "application/x-ndjson"}
    response = await client.post("/encode", content=lines, params={"model": MONO}, headers=headers)
    assert response.status_code == 200, response.text
    first, second, third = map(json.loads, response.text.splitlines()[:3])
    assert first == second
    assert "neither WAV, FLAC nor Ogg" in str(third)


async def test_the_protocol_of_tensors_takes_and_offers_sounds(client: httpx.AsyncClient) -> None:
    metadata = (await client.get(f"/v2/models/{STEREO}")).json()
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, -1, 2]}]
    assert [tensor["name"] for tensor in metadata["outputs"]] == ["reconstruction"]
    sound = tone(0.1, n_channels=2)
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, *sound.shape], "data": sound.ravel().tolist()}
    response = await client.post(f"/v2/models/{STEREO}/infer", json={"inputs": [tensor]})
    assert response.status_code == 200, response.text
    wanted = (await answer(client, "/reconstruct", STEREO, sound.tolist()))["outputs"][0]["reconstruction"]
    np.testing.assert_allclose(response.json()["outputs"][0]["data"], np.ravel(wanted), atol=1e-5)

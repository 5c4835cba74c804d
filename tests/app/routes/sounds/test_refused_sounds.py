"""Sounds and codes that are refused: the error names the item, what is wrong and the limit."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.http import content
from app.registry.memory import MIN_REQUEST_BYTES
from app.routes import native, request_body
from app.settings import Settings
from models.codecs.npy import to_npy
from tests.app.sounds import MONO, RATE, STEREO, answer, file_of, post, tone
from tests.conftest import TINY, served

pytestmark = pytest.mark.anyio


async def test_a_file_has_one_sound(client: httpx.AsyncClient) -> None:
    body = {"model": MONO, "inputs": [tone(0.1).tolist()] * 2}
    response = await client.post("/reconstruct", json=body, headers={"accept": "audio/wav"})
    assert response.status_code == 422
    assert "there are 2 sounds, and a file has one; send one, or accept application/json" in response.text


def long_flac() -> bytes:
    """A minute of silence, which takes few bytes."""
    return file_of(np.zeros(60 * RATE, np.float32), "FLAC")


def endless_wav() -> bytes:
    """A file whose header promises more samples than it has."""
    data = bytearray(file_of(tone(0.5), "WAV", subtype="PCM_16"))
    data[40:44] = (2**31 - 2).to_bytes(4, "little")
    return bytes(data)


def unfinished_flac() -> bytes:
    """A file whose header has no number of samples, as programs write it that do not know the end."""
    data = bytearray(file_of(tone(0.5), "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


def cut_flac() -> bytes:
    """The first half of a file of noise."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)
    data = file_of(noise, "FLAC")
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "the bytes are neither WAV, FLAC nor Ogg"),
        (b"fLaC" + bytes(80), "the bytes are no readable file of sound"),
        (b"OggS" + bytes(80), "the bytes are no readable file of sound"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(80), "the bytes are no readable file of sound"),
        (unfinished_flac(), "the header does not tell the length, as in a stream; send a finished file"),
        (cut_flac(), "the bytes are no readable file of sound"),
        (long_flac(), r"the sound has at least 60.00 s; 3 s are left of the limit (max_audio_seconds)"),
        (file_of(np.zeros((0,), np.float32)), "the sound has no samples"),
        (file_of(tone(0.1), rate=500), "the sampling rate is 500 Hz; it must be 1000 to 768000"),
        (file_of(np.zeros((100, 17), np.float32)), "the sound has 17 channels; it must have 1 to 16"),
        (file_of(np.full(100, np.nan, np.float32), subtype="FLOAT"), "the sound holds a number that is not finite"),
        (file_of(np.full(100, 99.0, np.float32), subtype="FLOAT"), "the value 99 at [0, 0] lies outside [-16, 16]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_file_that_is_refused_is_named(client: httpx.AsyncClient, data: bytes, detail: str) -> None:
    inputs = [tone(0.05).tolist(), base64.b64encode(data).decode()]
    response = await post(client, "/encode", MONO, inputs)
    assert response.status_code in (400, 422), response.text
    (error,) = response.json()["errors"]
    assert error["pointer"] == "/inputs/1"
    assert detail in error["detail"]
    assert (await post(client, "/encode", MONO, tone(0.05).tolist())).status_code == 200


async def test_a_wave_file_that_promises_too_much_is_read_as_far_as_there_is_sound(client: httpx.AsyncClient) -> None:
    (output,) = (await answer(client, "/encode", MONO, base64.b64encode(endless_wav()).decode()))["outputs"]
    assert output["length"] == RATE // 2


async def test_channels_that_the_model_has_not_are_refused(client: httpx.AsyncClient) -> None:
    six = base64.b64encode(file_of(tone(0.1, n_channels=6))).decode()
    response = await post(client, "/encode", STEREO, six)
    assert response.status_code == 422
    assert "the sound has 6 channels; the model takes 2, or 1" in response.text


@pytest.mark.parametrize(
    ("inputs", "parameters", "detail"),
    [
        ([[0.5, "a"]], {}, "the sound holds a string; expected a sound: a list of numbers, 8000 for each second"),
        ([[]], {}, "the shape is [0]; expected a sound"),
        ([[17.0]], {}, "the value 17 at [0, 0] lies outside [-16, 16]"),
        ([[0.0] * 25_000], {}, "the sounds have 3.12 s together; a request takes 3 s (max_audio_seconds)"),
        ([[0.0] * 13_000] * 2, {}, "the sounds have 3.25 s together; a request takes 3 s"),
        ([[0.0]] * 21, {}, "21 items; a request takes 1 to 20"),
        ([[0.0]], {"bandwidth": 6}, "bandwidth is 6 kbit/s; this model has 0.2, 0.4"),
        ([[0.0]], {"bits": 8}, "bits"),
        (["no base64!"], {}, "the string is neither base64 nor a data: URL of a file of sound"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_inputs_and_parameters_are_checked(
    client: httpx.AsyncClient, inputs: Any, parameters: dict[str, Any], detail: str
) -> None:
    response = await post(client, "/encode", MONO, inputs, **parameters)
    assert response.status_code in (400, 422), response.text
    assert detail in response.text


async def test_a_column_of_numbers_may_be_one_sound_or_many_and_is_refused(client: httpx.AsyncClient) -> None:
    headers, sound = {"content-type": "application/x-npy"}, tone(0.1)
    column = await client.post("/reconstruct", content=to_npy(sound[:, None]), params={"model": MONO}, headers=headers)
    assert column.status_code == 422
    assert "the shape is [800, 1], which may be one sound or 800 of one sample; send [1, 800]" in column.text
    for array in (sound[:1, None], sound[None], sound[None, :, None]):
        answered = await client.post("/reconstruct", content=to_npy(array), params={"model": MONO}, headers=headers)
        assert answered.status_code == 200, answered.text
        assert answered.json()["usage"] == {"items": 1}
        assert len(answered.json()["outputs"][0]["reconstruction"]) == array.size


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"length": 0}, "length is 0; it must be a whole number from 1 to 24000"),
        ({"length": 10**30}, "it must be a whole number from 1 to 24000"),
        ({"length": 400}, "chunks of [10] frames; a sound of 400 samples has [2]"),
        ({"codes": [[[0.5]]]}, "codes must be whole numbers"),
        ({"codes": [[[1, 2], [3]]]}, "codes must be a list of chunks"),
        ({"codes": []}, "codes must be a list of chunks"),
        ({"codes": [[[-1]]]}, "codes must be whole numbers from 0"),
        ({"scales": ["1"]}, "scales must be a list of numbers"),
        ({"scales": [1.0]}, "there are 1 scales; a sound of 3200 samples has 0"),
        ({"more": 1}, 'the item must be an object of "codes", "length"'),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_codes_are_checked(client: httpx.AsyncClient, change: dict[str, Any], detail: str) -> None:
    (codes,) = (await answer(client, "/encode", MONO, tone(0.4).tolist()))["outputs"]
    response = await post(client, "/decode", MONO, [codes | change])
    assert response.status_code == 422, response.text
    assert detail in response.json()["errors"][0]["detail"]


async def test_a_stream_that_declares_hours_is_refused_before_it_is_decoded(client: httpx.AsyncClient) -> None:
    (output,) = (await answer(client, "/compress", MONO, tone(0.4).tolist()))["outputs"]
    stream = bytearray(base64.b64decode(output["stream"]))
    stream[17:19] = bytes((0xFF, 0xFF, 0x7F))  # the varint of the samples
    response = await post(client, "/decompress", MONO, base64.b64encode(stream).decode())
    assert response.status_code == 422
    assert "together; a request takes 3 s (max_audio_seconds)" in response.text


@pytest.mark.parametrize(
    ("name", "form", "detail"),
    [
        (MONO, "png", "png is only for models whose items are images"),
        (TINY, "wav", "wav is only for models whose items are sounds"),
        (TINY, "flac", "flac is only for models whose items are sounds"),
        (MONO, "mp3", "format"),
    ],
)
async def test_a_format_is_for_the_items_that_have_it(
    client: httpx.AsyncClient, name: str, form: str, detail: str
) -> None:
    inputs = tone(0.05).tolist() if name == MONO else [[0.5] * 16]
    response = await post(client, "/reconstruct", name, inputs, format=form)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"] == "/parameters/format"
    assert detail in str(error)


async def test_a_sound_whose_pass_takes_more_memory_than_there_is_is_refused(root: Path) -> None:
    """Silence takes few bytes in a file. A sample takes 52 bytes in the answer, and 128 in a pass of 30 s."""
    limit = 2 * MIN_REQUEST_BYTES
    n_samples = limit // 40
    settings = Settings(weights_dir=root, models=(MONO,), memory_limit=limit, max_audio_seconds=n_samples // RATE + 1)
    silence = file_of(np.zeros(n_samples, np.float32), "FLAC")
    async with served(settings) as client:
        headers = {"content-type": "audio/flac"}
        assert (await client.post("/encode", content=file_of(tone(), "FLAC"), headers=headers)).status_code == 200
        response = await client.post("/encode", content=silence, headers=headers)
        assert response.status_code == 413, response.text
        assert "the request needs about" in response.text


def forget_the_libraries() -> None:
    """Let the server look for the libraries again."""
    content.reads_sounds.cache_clear()
    native._offered_types.cache_clear()
    request_body._accepted_types.cache_clear()


@pytest.fixture
def without_libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in ("app.http.content", "app.routes.native", "app.schemas.shared.items"):
        monkeypatch.setattr(f"{module}.has_sound_files", lambda: False)
    forget_the_libraries()
    yield
    forget_the_libraries()


@pytest.mark.usefixtures("without_libraries")
async def test_without_the_libraries_numbers_are_taken_and_files_are_refused(root: Path) -> None:
    data, numbers = file_of(tone(0.1)), tone(0.1).tolist()
    async with served(Settings(weights_dir=root)) as client:
        assert (await post(client, "/reconstruct", MONO, numbers)).status_code == 200
        refused = await post(client, "/encode", MONO, base64.b64encode(data).decode())
        assert refused.status_code == 422
        assert "pip install -c constraints.txt -e '.[audio]'" in refused.text
        body = await client.post("/encode", content=data, headers={"content-type": "audio/wav"})
        assert body.status_code == 415
        assert "sounds are read on Linux, by soundfile and soxr" in body.text
        written = await post(client, "/reconstruct", MONO, numbers, format="wav")
        assert written.status_code == 422
        assert "files of sound are written by soundfile" in written.text
        accept = {"accept": "audio/wav"}
        offered = await client.post("/reconstruct", json={"model": MONO, "inputs": numbers}, headers=accept)
        assert offered.status_code == 406

"""Models of sounds with random weights, sounds as numbers and as files, and requests about them."""

import io
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.autoencoders.encodec import FAMILY
from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.model import Encodec
from models.checkpoint import CALIBRATION_FILE, load_model, read_checkpoint
from models.checkpoint.card import write_card
from models.checkpoint.hugging_face import write_published
from tests.conftest import write_tiny
from training.calibrate import calibrate_sounds

RATE = 8000
MONO, STEREO = "mono", "stereo"
N_NORMAL = 19
"""Number of sounds that `MONO` is calibrated on."""
SIZES: dict[str, Any] = {"sampling_rate": RATE, "ratios": (8, 5, 4, 2), "bandwidths": (0.2, 0.4)}
"""What the models differ in from the tiny configurations: a frame is 40 ms long."""


def write(root: Path, name: str, number: int) -> None:
    torch.manual_seed(number)
    config = EncodecConfig.from_dict({**FAMILY.tiny[number].to_dict(), **SIZES})
    write_published(root / FAMILY.id / name, FAMILY.new_model(config), FAMILY, config, extra={}, dtype=torch.float32)


def normal_sounds(n: int = N_NORMAL) -> list[NDArray[np.float32]]:
    """Return the tones that `MONO` is calibrated on."""
    return [tone(0.1 + 0.005 * i, hertz=200 + 20 * i) for i in range(n)]


def calibrate(folder: Path) -> None:
    """Give a model of sounds the scores of `normal_sounds`, of which a tenth is above the threshold."""
    model = cast("Encodec", load_model(read_checkpoint(folder)))
    sounds = [torch.from_numpy(np.atleast_2d(sound)) for sound in normal_sounds()]
    calibration = calibrate_sounds(model, sounds, percentile=90.0)
    (folder / CALIBRATION_FILE).write_bytes(calibration.to_bytes())
    write_card(folder, licence="Apache-2.0", metrics={})


def write_models(root: Path) -> None:
    """Write two models of sounds, `MONO`, which has classes and is calibrated, and `STEREO`; and one of pictures."""
    write(root, MONO, 0)
    calibrate(root / FAMILY.id / MONO)
    write(root, STEREO, 1)
    write_tiny(root)


def tone(seconds: float = 1.0, rate: int = RATE, *, n_channels: int = 1, hertz: float = 440) -> NDArray[np.float32]:
    """A sine of half the full scale, `[T]` or `[T, C]`."""
    sound = (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
    return sound if n_channels == 1 else np.stack([sound * (1 - 0.3 * i) for i in range(n_channels)], 1)


def file_of(sound: NDArray[Any], kind: str = "WAV", rate: int = RATE, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    pytest.importorskip("soundfile").write(file, sound, rate, format=kind, subtype=subtype)
    return file.getvalue()


def read(data: bytes) -> tuple[NDArray[np.float32], int]:
    sound, rate = pytest.importorskip("soundfile").read(io.BytesIO(data), dtype="float32")
    return sound, rate


async def post(client: httpx.AsyncClient, path: str, name: str, inputs: Any, **parameters: Any) -> httpx.Response:
    return await client.post(path, json={"model": name, "inputs": inputs, "parameters": parameters})


async def answer(client: httpx.AsyncClient, path: str, name: str, inputs: Any, **parameters: Any) -> Any:
    response = await post(client, path, name, inputs, **parameters)
    assert response.status_code == 200, response.text
    return response.json()

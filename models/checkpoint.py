"""A folder of `config.json` and `model.safetensors` to a module and back. Strict in both directions.

`config.json` holds everything but the weights: family, hyperparameters, the codec of its items, the digests of the
other files, the licence and the measured metrics. A key too many, too few or of another shape is an error. A third
file, `calibration.safetensors`, holds what was measured of the trained model: see `models.calibration`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from models.calibration import Calibration
from models.catalogue import family
from models.codecs import Codec, build_codec
from models.errors import CatalogueError, CheckpointError, ConfigError
from models.family import DIGEST_BYTES, FamilyConfig, FamilySpec, Model
from models.tasks import Task

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CALIBRATION_FILE = "calibration.safetensors"
FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that `config.json` says. `name` is the folder's, and the model's public id."""

    name: str
    folder: Path
    spec: FamilySpec[Any]
    config: FamilyConfig
    codec: Codec
    modality: str
    sha256: str
    calibration_sha256: str
    licence: str
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the model can be asked."""
        return self.spec.tasks(self.config)


def find_checkpoints(root: Path) -> list[Path]:
    """The checkpoint folders below `root`: `<kind>/<family>/<name>`, sorted by name.

    Raises:
        CheckpointError: two folders have the same name.
    """
    folders = sorted((path.parent for path in root.glob(f"*/*/*/{CONFIG_FILE}")), key=lambda folder: folder.name)
    for one, other in pairwise(folders):
        if one.name == other.name:
            raise CheckpointError(f"two checkpoints are named {one.name}: in {one.parent.name} and {other.parent.name}")
    return folders


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and check `config.json`; the weights are not touched.

    Raises:
        CheckpointError: the file is missing, is not JSON, or says something its family refuses.
    """
    place = f"{folder.name}/{CONFIG_FILE}"
    try:
        content = json.loads((folder / CONFIG_FILE).read_text())
        if content["format"] != FORMAT:
            raise CheckpointError(f"{place}: format is {content['format']!r}; this version reads {FORMAT}")
        spec = family(content["family"])
        return Checkpoint(
            name=folder.name,
            folder=folder,
            spec=spec,
            config=spec.config.from_dict(content["config"]),
            codec=build_codec(content["codec"]),
            modality=content["codec"]["modality"],
            sha256=content["sha256"],
            calibration_sha256=content["calibration_sha256"],
            licence=content["licence"],
            metrics=content["metrics"],
        )
    except FileNotFoundError:
        raise CheckpointError(f"{place} is missing") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{place} is not readable as a checkpoint's JSON: {error}") from error
    except KeyError as error:
        raise CheckpointError(f"{place} lacks the key {error}") from None
    except (CatalogueError, ConfigError) as error:
        raise CheckpointError(f"{place}: {error}") from error


def load_model(checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Model:
    """Build the module and fill it with the checkpoint's weights, cast to `dtype`, in eval mode.

    Raises:
        CheckpointError: the weights are missing, damaged, not those the digest names, or do not fit the module.
    """
    weights = _parse(checkpoint, _read(checkpoint, WEIGHTS_FILE, checkpoint.sha256))
    calibration = Calibration.from_bytes(_read(checkpoint, CALIBRATION_FILE, checkpoint.calibration_sha256))
    with torch.device("meta"):
        model: Model = checkpoint.spec.build(checkpoint.config)
    _check_keys(checkpoint.name, expected=model.state_dict(), found=weights)
    cast = {key: w.to(device, dtype if w.is_floating_point() else w.dtype) for key, w in weights.items()}
    model.load_state_dict(cast, assign=True)
    if (shape := checkpoint.codec.shape) != model.input_shape:
        raise CheckpointError(f"{checkpoint.name}: codec.shape is {shape}, the model takes {model.input_shape}")
    model.calibration = calibration
    digests = f"{checkpoint.sha256}/{checkpoint.calibration_sha256}"
    model.digest = hashlib.sha256(digests.encode()).digest()[:DIGEST_BYTES]
    return model.eval().requires_grad_(False)


def write_checkpoint(
    folder: Path,
    model: Model,
    calibration: Calibration,
    *,
    family_id: str,
    config: FamilyConfig,
    codec: Mapping[str, Any],
    licence: str,
    dtype: torch.dtype,
) -> Checkpoint:
    """Write all files, the weights cast to `dtype`; metrics start empty. Returns what was written, read back."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({key: w.detach().to("cpu", dtype).contiguous() for key, w in model.state_dict().items()})
    calibrated = calibration.to_bytes()
    (folder / WEIGHTS_FILE).write_bytes(weights)
    (folder / CALIBRATION_FILE).write_bytes(calibrated)
    content = {
        "format": FORMAT,
        "family": family_id,
        "config": config.to_dict(),
        "codec": dict(codec),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "calibration_sha256": hashlib.sha256(calibrated).hexdigest(),
        "licence": licence,
        "metrics": {},
    }
    (folder / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n")
    return read_checkpoint(folder)


def write_metrics(folder: Path, metrics: Mapping[str, float]) -> None:
    """Replace the measured metrics in `config.json`."""
    file = folder / CONFIG_FILE
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "metrics": dict(metrics)}, indent=2) + "\n")


def _read(checkpoint: Checkpoint, name: str, sha256: str) -> bytes:
    place = f"{checkpoint.name}/{name}"
    try:
        data = (checkpoint.folder / name).read_bytes()
    except OSError:
        raise CheckpointError(f"{place} is missing or not readable") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise CheckpointError(f"{place} has the SHA-256 {digest}; {CONFIG_FILE} says {sha256}")
    return data


def _parse(checkpoint: Checkpoint, data: bytes) -> dict[str, Tensor]:
    try:
        return load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{checkpoint.name}/{WEIGHTS_FILE} is not a safetensors file: {error}") from error


def _check_keys(name: str, *, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    problems = [f"missing {sorted(missing)}"] if (missing := expected.keys() - found.keys()) else []
    problems += [f"unexpected {sorted(extra)}"] if (extra := found.keys() - expected.keys()) else []
    problems += [
        f"{key} has the shape {list(found[key].shape)} where the model has {list(expected[key].shape)}"
        for key in sorted(expected.keys() & found.keys())
        if found[key].shape != expected[key].shape
    ]
    if problems:
        raise CheckpointError(f"{name}/{WEIGHTS_FILE} does not fit the model: {'; '.join(problems)}")

"""The project's own format, which the autoencoders have: `config.json`, `model.safetensors`, `calibration.safetensors`.

`config.json` has the family, the hyperparameters, the codec of the items, the digests of the other files, the licence
and the measured metrics. The third file has the calibration of the model; see `models.autoencoding.calibration`. Models
of sentences have `tokenizer.json` as well.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from typing_extensions import override

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.stream import DIGEST_BYTES
from models.autoencoding.encoding import reconstruct
from models.autoencoding.windows import Windows
from models.catalogue import family
from models.checkpoint.card import check_sha256, read_declarations
from models.checkpoint.common import (
    CALIBRATION_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    build_model,
    check_digest,
)
from models.checkpoint.safetensors_files import parse_tensors
from models.codecs import ItemCodec, TableSeriesCodec, build_codec, read_sentence_codec
from models.errors import CheckpointError
from models.family import FamilyConfig, Model
from models.json_files import read_json, shorten
from models.regular_files import copied
from models.tasks import RECONSTRUCT

FORMAT = 2
"""Version of the format."""
REQUIRED_KEYS = ("config", "codec", "sha256", "calibration_sha256", "licence", "metrics")
"""Keys that `config.json` must have beside `format` and `family`."""


@dataclass(frozen=True, kw_only=True)
class NativeCheckpoint(Checkpoint):
    """A folder in the project's own format.

    Attributes:
        sha256: the SHA-256 of the weights.
        calibration_sha256: the SHA-256 of the calibration.
        item_codec: the codec of the items.
    """

    sha256: str
    calibration_sha256: str
    item_codec: ItemCodec

    @property
    @override
    def codec(self) -> ItemCodec:
        return self.item_codec

    @override
    def load(self, *, device: str) -> Autoencoder:
        with self._tensors(CALIBRATION_FILE, self.calibration_sha256) as tensors:
            calibration = Calibration.from_tensors({key: tensor.clone() for key, tensor in tensors.items()})
        with self._tensors(WEIGHTS_FILE, self.sha256) as tensors:
            model = build_model(self, tensors, f"{self.name}/{WEIGHTS_FILE}", device=device)
        if not isinstance(model, Autoencoder):
            raise CheckpointError(f"{self.name}: {self.spec.id} is no family of autoencoders, and has another format")
        if (shape := self.item_shape) != model.input_shape:
            raise CheckpointError(f"{self.name}: codec.shape is {shape}, the model takes {model.input_shape}")
        model.value_range, model.stored_bits = self.item_codec.value_range, self.item_codec.stored_bits
        if isinstance(self.item_codec, TableSeriesCodec):
            self._use_windows(model, self.item_codec.stride)
        model.calibration = calibration
        if calibration.detector is not None:
            model.use_detector(calibration.detector)
        model.least_scores = calibration.least_scores
        digests = f"{self.sha256}/{self.calibration_sha256}"
        model.digest = hashlib.sha256(digests.encode()).digest()[:DIGEST_BYTES]
        return model

    def _use_windows(self, model: Autoencoder, stride: int) -> None:
        """Let a model split longer series into windows.

        Raises:
            CheckpointError: the family reconstructs items in a way of its own, which knows no windows.
        """
        if self.spec.tasks(self.config).get(RECONSTRUCT) is not reconstruct:
            raise CheckpointError(f"{self.name}: {self.spec.id} is no family whose models can take longer series")
        model.windows = Windows(self.item_shape[0], stride)

    @contextmanager
    def _tensors(self, file: str, sha256: str) -> Iterator[dict[str, Tensor]]:
        """Read a file of tensors into memory that nobody can change; they must be used within the context.

        Raises:
            CheckpointError: the file is missing or damaged, or has another digest.
        """
        place = f"{self.name}/{file}"
        with copied(self.folder / file, place) as copy:
            check_digest(place, copy.data, sha256, CONFIG_FILE)
            yield parse_tensors(copy, place)


def read_native(folder: Path, name: str, content: Mapping[str, Any]) -> NativeCheckpoint:
    """Return the checkpoint of a folder whose `config.json` has this content.

    Raises:
        CheckpointError: the checkpoint has another version of the format.
        KeyError: a key is missing.
        CatalogueError: the family is unknown.
        ConfigError: the family or the codec refuses a value.
    """
    place = f"{name}/{CONFIG_FILE}"
    if content["format"] != FORMAT:
        raise CheckpointError(f"{place}: format is {shorten(content['format'])}; this version reads {FORMAT}")
    if missing := [key for key in REQUIRED_KEYS if key not in content]:
        raise KeyError(missing[0])
    spec = family(content["family"])
    codec = _read_codec(folder, name, content["codec"])
    return NativeCheckpoint(
        name=name,
        folder=folder,
        spec=spec,
        config=spec.config.from_dict(content["config"]),
        item_codec=codec,
        item_shape=codec.shape,
        modality=content["codec"]["modality"],
        sha256=check_sha256(place, "sha256", content["sha256"]),
        calibration_sha256=check_sha256(place, "calibration_sha256", content["calibration_sha256"]),
        **read_declarations(name, CONFIG_FILE, content),
    )


def _read_codec(folder: Path, name: str, spec: Any) -> ItemCodec:
    """Return the codec that `config.json` describes, which of sentences has a tokenizer beside it.

    Raises:
        ConfigError: the codec refuses a value.
        CheckpointError: the tokenizer is missing or damaged, or has another digest.
    """
    if isinstance(spec, Mapping) and spec.get("modality") == "sentence":
        return read_sentence_codec(folder, name, spec)
    return build_codec(spec)


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
) -> NativeCheckpoint:
    """Write a checkpoint without metrics, and return it.

    Args:
        folder: the folder, which is created if it is missing; its name becomes the checkpoint's name.
        model: the trained model.
        calibration: the measurements of the trained model.
        family_id: the id of the model's family.
        config: the model's hyperparameters.
        codec: the description of the items' codec; see `models.codecs.build_codec`.
        licence: the licence.
        dtype: the type in which weights that are floating-point numbers are stored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = {key: w.to("cpu", dtype if w.is_floating_point() else w.dtype) for key, w in model.state_dict().items()}
    weights = save({key: w.contiguous() for key, w in stored.items()})
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
    return read_native(folder, folder.name, content)


def write_metrics(
    folder: Path, metrics: Mapping[str, float], *, default_for: Sequence[str] = (), known_failings: str | None = None
) -> None:
    """Replace the metrics in the `config.json` of a checkpoint's folder, and the fields of `read_declarations`."""
    content = read_json(folder, folder.name, CONFIG_FILE) | {"metrics": dict(metrics)}
    content |= {"default_for": list(default_for), "known_failings": known_failings}
    (folder / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n")

"""Folders in the format of Hugging Face whose models take sounds: `config.json` and `model.safetensors`.

With `calibration.safetensors`, which has the anomaly scores of normal sounds, a model finds anomalies. `config.json`
alone says what the sounds are like; `preprocessor_config.json`, which repeats some of it, is not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast, get_type_hints

from typing_extensions import override

from models.autoencoding.calibration import Calibration
from models.catalogue import families
from models.checkpoint.calibration_file import read_calibration
from models.checkpoint.card import CARD_FILE, read_declarations, read_digests
from models.checkpoint.common import (
    CALIBRATION_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    build_without_weights,
    digest_of,
)
from models.checkpoint.hugging_face import build_published, read_config
from models.codecs.audio import AudioCodec
from models.errors import CheckpointError, ConfigError
from models.family import FamilySpec, Model
from models.json_files import read_json
from models.published import PublishedFormat, Values
from models.tasks import DETECT_SOUND_ANOMALIES, Task

MODALITY = "audio"


class SoundConfig(Protocol):
    """What the hyperparameters of a model of sounds say about the sounds.

    Attributes:
        sampling_rate: samples of a second.
        n_channels: channels of a sound.
        bandwidths: the bandwidths that a sound can be encoded at, in kbit/s, ascending.
    """

    sampling_rate: int
    n_channels: int
    bandwidths: tuple[float, ...]

    @property
    def hop(self) -> int:
        """The number of samples of a frame."""


class SoundModel(Protocol):
    """A model whose streams no other model reads.

    Attributes:
        digest: bytes that distinguish the checkpoint from all others.
        scores: names of the anomaly scores.
        calibration: measurements of normal sounds; None if the checkpoint has none.
    """

    digest: bytes
    scores: tuple[str, ...]
    calibration: Calibration | None


@dataclass(frozen=True, kw_only=True)
class AudioCheckpoint(Checkpoint):
    """A folder in the format of Hugging Face whose model takes sounds.

    Attributes:
        published: the family's published format.
        values: the content of `config.json`.
        digests: the known SHA-256 digests of files by name.
        is_calibrated: whether the folder has a calibration.
    """

    published: PublishedFormat[Any]
    values: Values
    digests: Mapping[str, str] = field(default_factory=dict)
    is_calibrated: bool = False

    @cached_property
    @override
    def tasks(self) -> tuple[Task, ...]:
        served = tuple(self.spec.tasks(self.config))
        return tuple(task for task in served if self.is_calibrated or task is not DETECT_SOUND_ANOMALIES)

    @cached_property
    @override
    def codec(self) -> AudioCodec:
        config = cast("SoundConfig", self.config)
        return AudioCodec(config.n_channels, config.sampling_rate, config.bandwidths, config.hop)

    @override
    def load(self, *, device: str) -> Model:
        model, unused = build_published(
            self,
            self.published,
            self.values,
            folder=self.folder,
            name=self.name,
            digests=self.digests,
            device=device,
        )
        self.unused[:] = unused
        of_sounds = cast("SoundModel", model)
        of_sounds.digest = digest_of(model)
        if self.is_calibrated:
            of_sounds.calibration = read_calibration(self.folder, self.name, self.digests, of_sounds.scores)
        return model


def is_of_sounds(content: Values) -> bool:
    """Return whether a family of models of sounds declares the `model_type` of a `config.json`."""
    return content.get("model_type") in [published.model_type for _, published in _families()]


def read_audio(folder: Path, name: str, content: Values) -> AudioCheckpoint:
    """Return the checkpoint of a folder whose `config.json` has this content.

    Raises:
        CheckpointError: the family refuses a hyperparameter, or a file is damaged.
    """
    place = f"{name}/{CONFIG_FILE}"
    spec, published = next(each for each in _families() if each[1].model_type == content["model_type"])
    values = {key: value for key, value in content.items() if value is not None}
    try:
        published.check_types(values, get_type_hints(spec.config))
        config, missing_heads = read_config(published, values, folder, name)
    except ConfigError as error:
        raise CheckpointError(f"{place}: {published.blame_key(error)}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}") from None
    build_without_weights(spec, config, place)
    card = read_json(folder, name, CARD_FILE) if (folder / CARD_FILE).exists() else {}
    digests = read_digests(name, card)
    return AudioCheckpoint(
        name=name,
        folder=folder,
        spec=spec,
        config=config,
        modality=MODALITY,
        item_shape=(config.sampling_rate, config.n_channels),
        sha256=digests.get(WEIGHTS_FILE),
        **read_declarations(name, CARD_FILE, card),
        published=published,
        values=values,
        digests=digests,
        missing_heads=missing_heads,
        is_calibrated=CALIBRATION_FILE in digests or (folder / CALIBRATION_FILE).exists(),
    )


def _families() -> list[tuple[FamilySpec[Any], PublishedFormat[Any]]]:
    """Return the families of models of sounds that others publish, with their formats."""
    return [(spec, spec.published) for spec in families().values() if spec.published and spec.modality == MODALITY]

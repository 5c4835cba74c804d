"""Folders in the format of Hugging Face whose models take sounds: `config.json` and `model.safetensors`.

`config.json` alone says what the sounds are like; `preprocessor_config.json`, which repeats some of it, is not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast, get_type_hints

from typing_extensions import override

from models.catalogue import families
from models.checkpoint.card import CARD_FILE, read_declarations, read_digests
from models.checkpoint.common import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, build_without_weights, digest_of
from models.checkpoint.hugging_face import build_published, read_config
from models.codecs.audio import AudioCodec
from models.errors import CheckpointError, ConfigError
from models.family import FamilySpec, Model
from models.json_files import read_json
from models.published import PublishedFormat, Values

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


class SoundModel(Protocol):
    """A model whose streams no other model reads.

    Attributes:
        digest: bytes that distinguish the checkpoint from all others.
    """

    digest: bytes


@dataclass(frozen=True, kw_only=True)
class AudioCheckpoint(Checkpoint):
    """A folder in the format of Hugging Face whose model takes sounds.

    Attributes:
        published: the family's published format.
        values: the content of `config.json`.
        digests: the known SHA-256 digests of files by name.
    """

    published: PublishedFormat[Any]
    values: Values
    digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    @override
    def codec(self) -> AudioCodec:
        config = cast("SoundConfig", self.config)
        return AudioCodec(config.n_channels, config.sampling_rate, config.bandwidths)

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
        cast("SoundModel", model).digest = digest_of(model)
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
        config, _ = read_config(published, values, folder, name)
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
    )


def _families() -> list[tuple[FamilySpec[Any], PublishedFormat[Any]]]:
    """Return the families of models of sounds that others publish, with their formats."""
    return [(spec, spec.published) for spec in families().values() if spec.published and spec.modality == MODALITY]

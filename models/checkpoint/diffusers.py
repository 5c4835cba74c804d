"""The format of the library diffusers: `config.json` with a `_class_name`, and `diffusion_pytorch_model.safetensors`.

A folder may also have the card of a checkpoint of Manifold (`manifold.json`), and the anomaly scores of normal pictures
that `manifold calibrate` measured (`calibration.safetensors`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_type_hints

from typing_extensions import override

from models.autoencoding.picture_tasks import CALIBRATED_TASKS
from models.autoencoding.pictures import CALIBRATED_SCORES, PictureAutoencoder
from models.catalogue import families
from models.checkpoint.calibration_file import read_calibration
from models.checkpoint.card import CARD_FILE, read_declarations, read_digests
from models.checkpoint.common import (
    CALIBRATION_FILE,
    CONFIG_FILE,
    Checkpoint,
    build_model,
    build_without_weights,
    digest_of,
)
from models.checkpoint.safetensors_files import open_tensors
from models.codecs.picture import ANY_SIDE, PictureCodec
from models.errors import CheckpointError, ConfigError
from models.family import FamilySpec, Model
from models.json_files import read_json, shorten
from models.published import PublishedFormat, Values
from models.tasks import Task

TYPE_KEY = "_class_name"
"""The key of `config.json` that names the class of the library, and so the family."""
WEIGHTS_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
"""The files of the weights, of which the first that is there is read."""


@dataclass(frozen=True, kw_only=True)
class DiffusersCheckpoint(Checkpoint):
    """A folder in the format of the library diffusers, with an autoencoder of pictures.

    Attributes:
        published: the family's published format.
        picture_codec: the codec of the pictures.
        is_calibrated: whether the folder has the anomaly scores of normal pictures.
        digests: the known SHA-256 digests of files by name.
    """

    published: PublishedFormat[Any]
    picture_codec: PictureCodec
    is_calibrated: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    @override
    def tasks(self) -> tuple[Task, ...]:
        tasks = tuple(self.spec.tasks(self.config))
        return (*tasks, *CALIBRATED_TASKS) if self.is_calibrated else tasks

    @property
    @override
    def codec(self) -> PictureCodec:
        return self.picture_codec

    @override
    def load(self, *, device: str) -> Model:
        with open_tensors(self.folder, self.name, self.digests, WEIGHTS_FILES) as tensors:
            try:
                stored = self.published.rename(tensors)
                weights, _ = self.published.read_weights(stored, self.config)
            except CheckpointError as error:
                raise CheckpointError(f"{self.name}: {error}") from None
            links = self.published.links(self.config)
            stored_names = {link.name: " with ".join(link.stored_in(stored)) for link in links}
            place = f"{self.name}/{WEIGHTS_FILES[0]}"
            model = cast(
                "PictureAutoencoder", build_model(self, weights, place, device=device, stored_names=stored_names)
            )
        model.digest = digest_of(model)
        if self.is_calibrated:
            model.use_calibration(read_calibration(self.folder, self.name, self.digests, CALIBRATED_SCORES))
            model.task_functions = {**model.task_functions, **CALIBRATED_TASKS}
        return model


def read_diffusers(folder: Path, name: str, content: Values) -> DiffusersCheckpoint:
    """Return the checkpoint of a folder.

    Args:
        folder: the folder.
        name: the checkpoint's name.
        content: the content of `config.json`.

    Raises:
        CheckpointError: no family reads such a model, the family refuses a hyperparameter, or the card is damaged.
    """
    place = f"{name}/{CONFIG_FILE}"
    spec, published = _find_family(place, content)
    given = {key: value for key, value in content.items() if value is not None}
    try:
        published.check_types(given, get_type_hints(spec.config))
        config = published.read_config(given, ())
        config.check_sizes()
    except ConfigError as error:
        raise CheckpointError(f"{place}: {published.blame_key(error)}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}") from None
    card = read_json(folder, name, CARD_FILE) if (folder / CARD_FILE).exists() else {}
    digests = read_digests(name, card)
    model = cast("PictureAutoencoder", build_without_weights(spec, config, place))
    n_channels = model.input_shape[0]
    return DiffusersCheckpoint(
        name=name,
        folder=folder,
        spec=spec,
        config=config,
        modality="image",
        item_shape=(n_channels, ANY_SIDE, ANY_SIDE),
        sha256=next((digests[file] for file in WEIGHTS_FILES if file in digests), None),
        **read_declarations(name, CARD_FILE, card),
        published=published,
        picture_codec=PictureCodec.of(n_channels, multiple=model.scale, max_pixels=model.max_pixels),
        is_calibrated=(folder / CALIBRATION_FILE).exists(),
        digests=digests,
        overflows_in_float16=getattr(config, "force_upcast", False),
    )


def _find_family(place: str, content: Values) -> tuple[FamilySpec[Any], PublishedFormat[Any]]:
    """Return the family that reads the `_class_name` of `config.json`, with its format.

    Raises:
        CheckpointError: there is none; the error names the classes that are known.
    """
    known = {
        spec.published.model_type: (spec, spec.published)
        for spec in families().values()
        if spec.published and spec.published.type_key == TYPE_KEY
    }
    class_name = content[TYPE_KEY]
    if not isinstance(class_name, str) or class_name not in known:
        raise CheckpointError(f"{place}: {TYPE_KEY} is {shorten(class_name)}; known are {', '.join(sorted(known))}")
    return known[class_name]

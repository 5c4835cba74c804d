"""The format of Hugging Face: `config.json`, `model.safetensors` or its shards, and the files of a tokenizer.

A folder may also have the settings of a sentence encoder (`modules.json`), and the card of a checkpoint of Manifold
(`manifold.json`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_type_hints

import torch
from safetensors.torch import save_file
from typing_extensions import override

from models.catalogue import families
from models.checkpoint.card import CARD_FILE, read_declarations, read_digests
from models.checkpoint.common import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, build_model, build_without_weights
from models.checkpoint.safetensors_files import open_tensors, read_parameter_names
from models.checkpoint.sentence_modules import load_layers
from models.checkpoint.sentence_transformers import SentenceSettings, read_sentence_settings
from models.codecs.text import TextCodec, read_text_codec
from models.errors import CheckpointError, ConfigError
from models.family import FamilyConfig, FamilySpec, Model
from models.generation.settings import merge_settings
from models.json_files import read_json, shorten
from models.published import PublishedFormat, Values
from models.published_tokenizer import TokenizerDefaults
from models.text.label_activation import SENTENCE_FILE
from models.text.text_model import TextModel

GENERATION_FILE = "generation_config.json"
COMPUTED_DTYPE = "float32"
"""The type in which other libraries shall compute, whatever type the weights are stored in."""
ADAPTER_FILE = "adapter_config.json"
"""The file of an adapter of the library peft, which changes the weights of another checkpoint."""
METADATA = {"format": "pt"}
"""Metadata without which `transformers` refuses a file of weights."""


@dataclass(frozen=True, kw_only=True)
class PublishedCheckpoint(Checkpoint):
    """A folder in the format of Hugging Face.

    Attributes:
        published: the family's published format.
        tokenizer: the family's tokenizers.
        values: the content of `config.json`, with the settings of `generation_config.json`.
        generation_keys: the keys of `generation_config.json`.
        sentences: the settings of a sentence encoder.
        embedding_width: the number of elements of a text's vector.
        path: the folder of the Transformer below the checkpoint's, with a slash at its end; empty if it is the same.
        digests: the known SHA-256 digests of files by name.
    """

    codec_task_names = TextCodec.task_names

    published: PublishedFormat[Any]
    tokenizer: TokenizerDefaults
    values: Values
    generation_keys: frozenset[str]
    sentences: SentenceSettings
    embedding_width: int
    path: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def codec(self) -> TextCodec:
        """Read the tokenizer at the first use, and return its codec.

        Raises:
            CheckpointError: the tokenizer is missing or damaged.
        """
        (max_tokens,) = self.item_shape
        folder, name, lowercase = self.folder / self.path, self._transformer_name, self.sentences.lowercase
        codec = read_text_codec(
            folder,
            name,
            self.tokenizer,
            max_tokens=max_tokens,
            lowercase=lowercase,
            config=self.values,
            others=[tokenizer for _, _, tokenizer in _known_types().values()],
        )
        codec.prompts, codec.preferred_length = self.sentences.prompts, self.sentences.preferred_length
        return codec

    @property
    def _transformer_name(self) -> str:
        """The name of the Transformer's folder, for errors."""
        return f"{self.name}/{self.path}".rstrip("/")

    @override
    def load(self, *, device: str) -> Model:
        folder, name = self.folder / self.path, self._transformer_name
        digests = {file.removeprefix(self.path): digest for file, digest in self.digests.items()}
        built, unused = build_published(
            self, self.published, self.values, folder=folder, name=name, digests=digests, device=device
        )
        model = cast("TextModel", built)
        self.unused[:] = unused
        self.codec.limit_ids(self.name, model.vocab_size)
        try:
            model.prepare(self.codec.special, self.values)
        except CheckpointError as error:
            place = _place_of(error, self.generation_keys) if error.key else ""
            raise CheckpointError(f"{name}{place}: {error}") from None
        if self.sentences.embedding is not None:
            model.embedding = self.sentences.embedding
        model.vector_steps = load_layers(self.sentences.layers, self.folder, self.name, self.digests)
        return model


def build_published(
    checkpoint: Checkpoint,
    published: PublishedFormat[Any],
    values: Values,
    *,
    folder: Path,
    name: str,
    digests: Mapping[str, str],
    device: str,
) -> tuple[Model, list[str]]:
    """Build a model with published weights, and return the names of those that it does not use as well.

    Args:
        checkpoint: the checkpoint.
        published: the family's published format.
        values: the content of `config.json`.
        folder: the folder with the weights.
        name: the name of this folder, for errors.
        digests: the known SHA-256 digests of its files by name.
        device: the device of the model.

    Raises:
        CheckpointError: the weights are missing or damaged, have another digest, or do not fit the model.
    """
    with open_tensors(folder, name, digests) as tensors:
        try:
            stored = published.rename(tensors)
            config = published.fit(checkpoint.config, stored)
            is_known = published.declared_heads(values) is not None
            weights, unused = published.read_weights(stored, config, strict=is_known)
        except CheckpointError as error:
            raise CheckpointError(f"{name}: {error}") from None
        stored_names = {link.name: " with ".join(link.stored_in(stored)) for link in published.links(config)}
        fitted, place = replace(checkpoint, config=config), f"{name}/{WEIGHTS_FILE}"
        return build_model(fitted, weights, place, device=device, stored_names=stored_names), unused


def read_published(folder: Path, name: str, content: Values, path: str = "") -> PublishedCheckpoint:
    """Return the checkpoint of a folder.

    Args:
        folder: the folder.
        name: the checkpoint's name.
        content: the content of `config.json`.
        path: the folder of this file below the checkpoint's, with a slash at its end; empty if it is the same.

    Raises:
        CheckpointError: no family reads such a model, the family refuses a hyperparameter, or a file is damaged.
    """
    place = f"{name}/{path}".rstrip("/")
    spec, published, tokenizer = _find_family(f"{place}/{CONFIG_FILE}", content)
    values, generation_keys = _read_values(folder, name, path, content)
    given = {key: value for key, value in values.items() if value is not None}
    try:
        published.check_types(given, get_type_hints(spec.config))
        config, missing_heads = read_config(published, given, folder / path, place)
    except ConfigError as error:
        raise CheckpointError(f"{place}/{CONFIG_FILE}: {published.blame_key(error)}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{place}{_place_of(error, generation_keys)}: {error}") from None
    sentences = read_sentence_settings(folder, name, path)
    card = read_json(folder, name, CARD_FILE) if (folder / CARD_FILE).exists() else {}
    digests = read_digests(name, card)
    model = cast("TextModel", build_without_weights(spec, config, f"{place}/{CONFIG_FILE}"))
    n_positions = model.n_positions
    return PublishedCheckpoint(
        name=name,
        folder=folder,
        spec=spec,
        config=config,
        modality="text",
        item_shape=(min(n_positions, sentences.max_tokens or n_positions),),
        sha256=digests.get(WEIGHTS_FILE),
        **read_declarations(name, CARD_FILE, card),
        published=published,
        tokenizer=tokenizer,
        values=values,
        generation_keys=generation_keys,
        sentences=sentences,
        missing_heads=missing_heads,
        embedding_width=sentences.embedding_width(name, config.width, model.vocab_size),
        path=path,
        digests=digests,
    )


def write_published(
    folder: Path, model: Model, spec: FamilySpec[Any], config: FamilyConfig, *, extra: Values, dtype: torch.dtype
) -> None:
    """Write `config.json` and the weights of a model in the format of Hugging Face.

    Args:
        folder: the folder, which is created if it is missing.
        model: the model.
        spec: the model's family.
        config: the model's hyperparameters.
        extra: further values of `config.json`.
        dtype: the type in which the weights are stored.

    Raises:
        CheckpointError: the family has no published format.
    """
    if spec.published is None:
        raise CheckpointError(f"{spec.id} has no published format")
    folder.mkdir(parents=True, exist_ok=True)
    state, all_links = model.state_dict(), spec.published.links(config)
    tensors = {name: part for link in all_links for name, part in link.write(state[link.name]).items()}
    stored = {name: tensor.to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / WEIGHTS_FILE, METADATA)
    values = {**spec.published.write_config(config), "dtype": COMPUTED_DTYPE, **extra}
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n")


def read_config(
    published: PublishedFormat[Any], values: Values, folder: Path, place: str
) -> tuple[Any, tuple[str, ...]]:
    """Return the configuration of the family, and the heads that are missing; see `PublishedFormat.find_heads`."""
    published.read_config(values, published.declared_heads(values) or ()).check_sizes()
    heads, missing_heads = published.find_heads(values, read_parameter_names(folder, place))
    config = published.read_config(values, heads)
    config.check_sizes()
    return config, missing_heads


def _known_types() -> dict[str, tuple[FamilySpec[Any], PublishedFormat[Any], TokenizerDefaults]]:
    """Return each known `model_type` with its family, its format and its tokenizers."""
    return {
        model_type: (spec, spec.published, tokenizer)
        for spec in families().values()
        if spec.published and spec.tokenizer
        for model_type, tokenizer in {spec.published.model_type: spec.tokenizer, **spec.variants}.items()
    }


def _find_family(place: str, content: Values) -> tuple[FamilySpec[Any], PublishedFormat[Any], TokenizerDefaults]:
    """Return the family that declares the `model_type` of `config.json`, with its format and its tokenizers.

    Raises:
        CheckpointError: no family declares it; the error names the types that are known.
    """
    known = _known_types()
    model_type = content.get("model_type")
    if not isinstance(model_type, str) or model_type not in known:
        formats = [spec.published for spec in families().values() if spec.published]
        others = {each.model_type for each in formats if each.type_key == "model_type"}
        types = ", ".join(sorted(known.keys() | others))
        raise CheckpointError(f"{place}: model_type is {shorten(model_type)}; known are {types}")
    return known[model_type]


def _read_values(folder: Path, name: str, path: str, config: Values) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the content of `config.json` with that of the files beside it, and the keys of `generation_config.json`.

    `config_sentence_transformers.json` is added as a whole, under its name.

    Raises:
        CheckpointError: a file is damaged, or the folder has an adapter.
    """
    if (folder / path / ADAPTER_FILE).exists():
        remedy = "merge it into the weights with `merge_and_unload` of peft, or remove its files"
        raise CheckpointError(f"{name}/{path}{ADAPTER_FILE}: adapters are not supported; {remedy}")
    settings: dict[str, Any] | None = None
    if (folder / path / GENERATION_FILE).exists():
        settings = read_json(folder / path, f"{name}/{path}".rstrip("/"), GENERATION_FILE)
    values = merge_settings(config, settings)
    if (folder / SENTENCE_FILE).exists():
        values[SENTENCE_FILE] = read_json(folder, name, SENTENCE_FILE)
    return values, frozenset(settings or ())


def _place_of(error: CheckpointError, generation_keys: frozenset[str]) -> str:
    """Return the path below the folder of the file whose key is to blame."""
    if error.key == SENTENCE_FILE:
        return f"/{SENTENCE_FILE}"
    return f"/{GENERATION_FILE if error.key in generation_keys else CONFIG_FILE}"

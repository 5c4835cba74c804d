"""The format of Hugging Face: `config.json`, `model.safetensors` or its shards, tokenizer files.

Beside them may lie what a sentence encoder says of its pooling (`modules.json`), and `manifold.json`: the licence, the
measured metrics and the digests of the files of a checkpoint that is shipped with Manifold.
"""

import hashlib
import json
import mmap
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue import families
from models.checkpoint.common import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    build_model,
    build_without_weights,
    check_digest,
)
from models.checkpoint.sentence_transformers import Sentences, read_sentences
from models.codecs.text import TextCodec, read_text_codec
from models.errors import CheckpointError
from models.family import FamilyConfig, FamilySpec, Model
from models.json_files import read_json
from models.published import Values, of
from models.text.text_model import TextModel

INDEX_FILE = "model.safetensors.index.json"


GENERATION_FILE = "generation_config.json"


GENERATION_KEYS = ("bad_words_ids", "forced_eos_token_id", "eos_token_id", "suppress_tokens")


CARD_FILE = "manifold.json"


METADATA = {"format": "pt"}
"""Which `transformers` insists on."""


PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")


_SHARD = re.compile(r"[\w.-]+\.safetensors")


_BLOB = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class PublishedCheckpoint(Checkpoint):
    """A folder in the format of Hugging Face. `values` is its `config.json`; `digests` those of files, where known."""

    values: Values
    heads: tuple[str, ...]
    sentences: Sentences
    digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def codec(self) -> TextCodec:  # read when first needed, and once
        """The tokenizer.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        return read_text_codec(
            self.folder,
            self.name,
            self.spec.id.split("/")[1],
            max_tokens=self.item_shape[0],
            values=self.values,
            lowercase=self.sentences.lowercase,
        )

    def load(self, *, device: str) -> Model:
        """See `load_model`."""
        published = self.spec.published
        if published is None:
            raise CheckpointError(f"{self.name}: {self.spec.id} has no published format")
        with ExitStack() as opened:
            tensors = self._tensors(opened)
            try:
                weights, unused = published.read(tensors, self.config)
            except CheckpointError as error:
                raise CheckpointError(f"{self.name}: {error}") from None
            names = {link.ours: " with ".join(link.theirs) for link in published.links(self.config)}
            place = f"{self.name}/{WEIGHTS_FILE}"
            model = build_model(self, weights, place, device=device, names=names)
        self.unused[:] = unused
        text_model = cast("TextModel", model)
        self.codec.check_fits(self.name, text_model.vocab_size)
        try:
            text_model.prepare(self.codec.special, self.values)
        except CheckpointError as error:
            raise CheckpointError(f"{self.name}: {error}") from None
        if self.sentences.pooling is not None:
            text_model.pooling, text_model.normalize = self.sentences.pooling, self.sentences.normalize
        return model

    def _tensors(self, opened: ExitStack) -> dict[str, Tensor]:
        """Every parameter of every file, mapped into memory and read when it is used."""
        tensors: dict[str, Tensor] = {}
        for name in self._weight_files():
            place = f"{self.name}/{name}"
            try:
                self._verify(name)
                file = opened.enter_context(safe_open(self.folder / name, "pt"))
                tensors |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 it is no mapping
            except FileNotFoundError:
                raise CheckpointError(f"{place} is missing") from None
            except OSError as error:
                raise CheckpointError(f"{place} is not readable: {error.strerror or error}") from None
            except (SafetensorError, ValueError) as error:
                raise CheckpointError(f"{place} is not a whole safetensors file: {error}") from None
        return tensors

    def _weight_files(self) -> list[str]:
        if (self.folder / WEIGHTS_FILE).exists():
            return [WEIGHTS_FILE]
        if (self.folder / INDEX_FILE).exists():
            index = read_json(self.folder, self.name, INDEX_FILE)
            placed = index.get("weight_map")
            names = list(placed.values()) if isinstance(placed, dict) else []
            if names and all(isinstance(name, str) and _SHARD.fullmatch(name) for name in names):
                return sorted(set(names))
            raise CheckpointError(f"{self.name}/{INDEX_FILE}: weight_map must name safetensors files of the folder")
        pickles = sorted(path.name for path in self.folder.iterdir() if path.suffix in PICKLES)
        if pickles:
            raise CheckpointError(
                f"{self.name} has {', '.join(pickles)} and no {WEIGHTS_FILE}: a pickle can run any code and is never "
                "read; load it where it is trusted and save it with `model.save_pretrained(folder)`"
            )
        raise CheckpointError(f"{self.name}/{WEIGHTS_FILE} is missing")

    def _verify(self, name: str) -> None:
        """Check the file's digest, where there is one: in `manifold.json`, or the name of the hub's blob."""
        path = self.folder / name
        blob = path.resolve().name if path.is_symlink() else ""
        sha256 = self.digests.get(name) or (blob if _BLOB.fullmatch(blob) else None)
        if sha256 is None or not path.exists():
            return
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_digest(f"{self.name}/{name}", data, sha256, CARD_FILE if name in self.digests else "the hub")  # type: ignore[arg-type]


def from_values(folder: Path, name: str, values: Values) -> PublishedCheckpoint:
    """The checkpoint whose `config.json` says `values`.

    Raises:
        CheckpointError: nothing here reads such a model.
        ConfigError: its hyperparameters make no sense.
    """
    spec = _spec(name, values)
    values = {**values, **_generation(folder, name)}
    published = spec.published
    if published is None:
        raise CheckpointError(f"{name}: {spec.id} has no published format")
    try:
        heads = published.heads_of(values, _names(folder))
        config = published.read_config(values, heads)
    except CheckpointError as error:
        raise CheckpointError(f"{name}/{CONFIG_FILE}: {error}") from None
    sentences = read_sentences(folder, name)
    card = read_json(folder, name, CARD_FILE) if (folder / CARD_FILE).exists() else {}
    digests = dict(card.get("sha256", {}))
    config.check_sizes()
    n_positions = cast("TextModel", build_without_weights(spec, config, f"{name}/{CONFIG_FILE}")).n_positions
    return PublishedCheckpoint(
        name=name,
        folder=folder,
        spec=spec,
        config=config,
        modality="text",
        item_shape=(min(n_positions, sentences.max_tokens or n_positions),),
        sha256=digests.get(WEIGHTS_FILE),
        licence=card.get("licence"),
        metrics=card.get("metrics", {}),
        values=values,
        heads=heads,
        sentences=sentences,
        digests=digests,
    )


def write_published(
    folder: Path, model: Model, spec: FamilySpec[Any], config: FamilyConfig, *, extra: Values, dtype: torch.dtype
) -> None:
    """Write `config.json`, with the `extra` values, and the weights cast to `dtype`, as Hugging Face has them.

    Raises:
        CheckpointError: the family has no published format.
    """
    if spec.published is None:
        raise CheckpointError(f"{spec.id} has no published format")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = spec.published.write(model.state_dict(), config)
    save_file({name: t.to("cpu", dtype).contiguous() for name, t in tensors.items()}, folder / WEIGHTS_FILE, METADATA)
    values = spec.published.write_config(config) | {"dtype": str(dtype).removeprefix("torch.")} | dict(extra)
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n")


def write_card(
    folder: Path, *, licence: str, metrics: Mapping[str, float], training: Mapping[str, float] | None = None
) -> None:
    """Write `manifold.json` beside the weights: their digest, the licence, what was measured, what training took."""
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    content = {"licence": licence, "metrics": dict(metrics), "sha256": {WEIGHTS_FILE: digest}}
    if training is not None:
        content["training"] = dict(training)
    (folder / CARD_FILE).write_text(json.dumps(content, indent=2) + "\n")


def read_card(folder: Path) -> dict[str, Any]:
    """What `write_card` wrote.

    Raises:
        CheckpointError: it is missing, or no JSON object.
    """
    return read_json(folder, folder.name, CARD_FILE)


def _generation(folder: Path, name: str) -> dict[str, Any]:
    """What newer folders keep apart: the demands on what is generated, which win over those of `config.json`."""
    if not (folder / GENERATION_FILE).exists():
        return {}
    content = read_json(folder, name, GENERATION_FILE)
    return {key: content[key] for key in GENERATION_KEYS if content.get(key) is not None}


def _spec(name: str, values: Values) -> FamilySpec[Any]:
    known = {spec.published.model_type: spec for spec in families().values() if spec.published}
    kind = of(values, "model_type", None)
    if kind not in known:
        raise CheckpointError(f"{name}/{CONFIG_FILE}: model_type is {kind!r}; known are {', '.join(sorted(known))}")
    return known[kind]


def _names(folder: Path) -> Iterator[str]:
    """Of the parameters, as far as their files can be read; `load` says what is wrong with the others."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt") as file:
                yield from file.keys()
        except (SafetensorError, OSError):
            continue

"""The published names of EnCodec's parameters, in files that transformers writes.

Convolutions with normalised weights are stored as a magnitude and a direction, under the names that PyTorch gives them
since version 2.1, or under the older ones. The family's network has their product.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from models.autoencoders.encodec.config import EncodecConfig
from models.errors import CheckpointError
from models.published import Link, PublishedFormat, Values, links, read_labels, write_labels

KEYS = {
    "sampling_rate": "sampling_rate",
    "n_channels": "audio_channels",
    "normalize": "normalize",
    "chunk_s": "chunk_length_s",
    "overlap": "overlap",
    "latent_width": "hidden_size",
    "n_filters": "num_filters",
    "n_residual_layers": "num_residual_layers",
    "norm": "norm_type",
    "kernel_size": "kernel_size",
    "last_kernel_size": "last_kernel_size",
    "residual_kernel_size": "residual_kernel_size",
    "dilation_growth": "dilation_growth_rate",
    "causal": "use_causal_conv",
    "padding": "pad_mode",
    "compress": "compress",
    "n_lstm_layers": "num_lstm_layers",
    "trim_right_ratio": "trim_right_ratio",
    "codebook_size": "codebook_size",
    "conv_shortcut": "use_conv_shortcut",
    "classifier_kernel": "classifier_kernel",
}
"""The keys of `config.json` of the hyperparameters that are no lists."""
LISTS: Mapping[str, tuple[str, type[int] | type[float], tuple[float, ...]]] = {
    "bandwidths": ("target_bandwidths", float, (1.5, 3.0, 6.0, 12.0, 24.0)),
    "ratios": ("upsampling_ratios", int, (8, 5, 4, 2)),
    "classifier_widths": ("classifier_widths", int, ()),
}
"""The key of `config.json`, the type of an element, and the default, of each hyperparameter that is a list."""
DEFAULTS: dict[str, Any] = {
    "sampling_rate": 24_000,
    "audio_channels": 1,
    "normalize": False,
    "chunk_length_s": 0.0,
    "overlap": 0.0,
    "hidden_size": 128,
    "num_filters": 32,
    "num_residual_layers": 1,
    "norm_type": "weight_norm",
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "dilation_growth_rate": 2,
    "use_causal_conv": True,
    "pad_mode": "reflect",
    "compress": 2,
    "num_lstm_layers": 2,
    "trim_right_ratio": 1.0,
    "codebook_size": 1024,
    "use_conv_shortcut": True,
    "classifier_kernel": 1,
}
"""What transformers takes for a key that is missing."""
CLASSIFIER = "EncodecForAudioClassification"
"""The architecture of models with classes. Transformers has none; it reads these folders without the classifier."""
HEAD = "sequence"
"""The head of these models."""
SPELLINGS = (
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ("weight_g", "weight_v"),
)
"""The names of the magnitude and the direction of a normalised weight, the present ones first."""


@dataclass(frozen=True, slots=True)
class NormalisedWeight(Link):
    """A weight g v / |v|, which is stored as g and v. The norm is over all dimensions of v but the first.

    Source: Salimans, Kingma 2016, Weight Normalization, equation 2.
    """

    @property
    @override
    def names(self) -> tuple[str, ...]:
        """All published names that the parameter is read from."""
        layer = self.published[0].removesuffix(SPELLINGS[0][0])
        return tuple(f"{layer}{name}" for spelling in SPELLINGS for name in spelling)

    @override
    def stored_in(self, names: Container[str]) -> tuple[str, ...]:
        return tuple(name for name in self.names if name in names)

    @override
    def missing_in(self, names: Container[str]) -> tuple[str, ...]:
        spellings = self.names[:2], self.names[2:]
        used = next((both for both in spellings if any(name in names for name in both)), self.published)
        return tuple(name for name in used if name not in names)

    @override
    def read(self, tensors: Mapping[str, Tensor]) -> Tensor:
        stored = self.stored_in(tensors)
        if len(stored) != len(SPELLINGS[0]):
            raise CheckpointError(f"{', '.join(stored)} are the same weight, which is stored twice")
        magnitude, direction = (tensors[name].float() for name in stored)
        expected = [len(direction), *[1] * (direction.dim() - 1)]
        if list(magnitude.shape) != expected:
            raise CheckpointError(
                f"{stored[0]} has the shape {list(magnitude.shape)}; that of {stored[1]} needs {expected}"
            )
        return direction * (magnitude / _norm(direction))

    @override
    def write(self, tensor: Tensor) -> dict[str, Tensor]:
        magnitude, direction = self.published
        return {magnitude: _norm(tensor), direction: tensor.contiguous()}


def _norm(direction: Tensor) -> Tensor:
    """Return the norms of `[n, …]` over all dimensions but the first, `[n, 1, …]`."""
    norms: Tensor = torch.linalg.vector_norm(direction, dim=tuple(range(1, direction.dim())), keepdim=True)
    return norms


def _read_config(values: Values, heads: tuple[str, ...]) -> EncodecConfig:
    given = {**DEFAULTS, **values}
    if "chunk_length_s" in values and "overlap" not in values:
        raise CheckpointError("overlap is missing; it must be there where chunk_length_s is")
    width = given["hidden_size"]
    if given.get("codebook_dim", width) != width:
        raise CheckpointError(f"codebook_dim is {given['codebook_dim']!r}; it must be hidden_size, {width}")
    hyperparameters = {name: given[key] for name, key in KEYS.items()}
    hyperparameters["labels"] = read_labels(values) if HEAD in heads else ()
    floats = {name: float(hyperparameters[name]) for name in ("chunk_s", "overlap", "trim_right_ratio")}
    lists = {name: _read_list(values, name) for name in LISTS}
    without_classifier = {} if HEAD in heads else {"classifier_widths": (), "classifier_kernel": 1}
    return EncodecConfig(**{**hyperparameters, **floats, **lists, **without_classifier})


def _read_list(values: Values, name: str) -> tuple[Any, ...]:
    key, kind, default = LISTS[name]
    elements = values.get(key, default)
    types = (int,) if kind is int else (int, float)
    if not isinstance(elements, list | tuple) or not all(type(each) in types for each in elements):
        described = "whole numbers" if kind is int else "numbers"
        raise CheckpointError(f"{key} is {elements!r}; it must be a list of {described}")
    return tuple(map(kind, elements))


def _write_config(config: EncodecConfig) -> dict[str, Any]:
    values = {key: getattr(config, name) for name, key in KEYS.items()}
    if not config.chunk_s:
        values |= {"chunk_length_s": None, "overlap": None}
    lists = {key: list(getattr(config, name)) for name, (key, _, _) in LISTS.items() if getattr(config, name)}
    if not config.labels:
        del values["classifier_kernel"]
        return {"model_type": "encodec", "architectures": ["EncodecModel"], **values, **lists}
    labels = write_labels(config.labels)
    return {"model_type": "encodec", "architectures": [CLASSIFIER], **values, **lists, **labels}


def _links(config: EncodecConfig) -> Iterator[Link]:
    yield from _encoder_links(config)
    yield from _decoder_links(config)
    for k in range(config.n_codebooks):
        yield Link(f"quantiser.codebooks.{k}", (f"quantizer.layers.{k}.codebook.embed",))
    if config.labels:
        for i in range(len(config.classifier_widths)):
            yield from links(f"classifier.convolutions.{i}", f"classifier.convolutions.{i}")
        yield from links("classifier.output", "classifier.output")


def _encoder_links(config: EncodecConfig) -> Iterator[Link]:
    """Yield the links of the encoder, whose published layers are numbered in order, activations included."""
    layers = "encoder.layers"
    yield from _convolution_links(config, "encoder.first", f"{layers}.0")
    place = 1
    for i in range(len(config.ratios)):
        for j in range(config.n_residual_layers):
            yield from _block_links(config, f"encoder.stages.{i}.blocks.{j}", f"{layers}.{place}")
            place += 1
        yield from _convolution_links(config, f"encoder.stages.{i}.resample", f"{layers}.{place + 1}")
        place += 2
    yield from _lstm_links(config, "encoder.lstm", f"{layers}.{place}")
    yield from _convolution_links(config, "encoder.last", f"{layers}.{place + 2}")


def _decoder_links(config: EncodecConfig) -> Iterator[Link]:
    """Yield the links of the decoder, whose published layers are numbered in order, activations included."""
    layers = "decoder.layers"
    yield from _convolution_links(config, "decoder.first", f"{layers}.0")
    yield from _lstm_links(config, "decoder.lstm", f"{layers}.1")
    place = 2
    for i in range(len(config.ratios)):
        yield from _convolution_links(config, f"decoder.stages.{i}.resample", f"{layers}.{place + 1}")
        place += 2
        for j in range(config.n_residual_layers):
            yield from _block_links(config, f"decoder.stages.{i}.blocks.{j}", f"{layers}.{place}")
            place += 1
    yield from _convolution_links(config, "decoder.last", f"{layers}.{place + 1}")


def _block_links(config: EncodecConfig, ours: str, theirs: str) -> Iterator[Link]:
    yield from _convolution_links(config, f"{ours}.narrow", f"{theirs}.block.1")
    yield from _convolution_links(config, f"{ours}.widen", f"{theirs}.block.3")
    if config.conv_shortcut:
        yield from _convolution_links(config, f"{ours}.shortcut", f"{theirs}.shortcut")


def _convolution_links(config: EncodecConfig, ours: str, theirs: str) -> Iterator[Link]:
    if config.norm != "weight_norm":
        yield from links(f"{ours}.convolution", f"{theirs}.conv")
        yield from links(f"{ours}.norm", f"{theirs}.norm")
        return
    published = tuple(f"{theirs}.conv.{name}" for name in SPELLINGS[0])
    yield NormalisedWeight(f"{ours}.convolution.weight", published)
    yield Link(f"{ours}.convolution.bias", (f"{theirs}.conv.bias",))


def _lstm_links(config: EncodecConfig, ours: str, theirs: str) -> Iterator[Link]:
    for layer in range(config.n_lstm_layers):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            yield Link(f"{ours}.{name}_l{layer}", (f"{theirs}.lstm.{name}_l{layer}",))


PUBLISHED = PublishedFormat(
    model_type="encodec",
    architectures={"EncodecModel": (), CLASSIFIER: (HEAD,)},
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="",
    ignored=r"\.codebook\.(inited|cluster_size|embed_avg)$",
    heads=r"^classifier\.",
    fit=lambda config, tensors: config,
    keys=KEYS,
)

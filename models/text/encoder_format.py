"""The common parts of the published formats of bidirectional encoders.

Published names are those of `transformers`. A `Link` connects one of our parameters with the published ones.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

from models.errors import CheckpointError
from models.published import CLASS_HEADS, Link, Values, differ, links, read_labels, write_labels
from models.text.encoder_config import EncoderConfig
from models.text.label_activation import read_label_activation, write_label_activation

EncoderConfigT = TypeVar("EncoderConfigT", bound=EncoderConfig)

ENCODER_KEYS = {
    "vocab_size": "vocab_size",
    "n_positions": "max_position_embeddings",
    "n_token_types": "type_vocab_size",
    "width": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "inner_width": "intermediate_size",
    "activation": "hidden_act",
    "norm_eps": "layer_norm_eps",
}
"""The keys of `config.json` of the hyperparameters of encoders."""

BUFFERS = r"embeddings\.(position_ids|token_type_ids)$"
"""Pattern of the names of buffers, which hold no parameters."""


@dataclass(frozen=True, kw_only=True)
class BlockNames:
    """Published names of the layers of one block: queries, keys and values apart, and the feed-forward network."""

    qkv: tuple[str, ...]
    out: str
    attention_norm: str
    up: str
    down: str
    feedforward_norm: str


def architectures(name: str, *, has_pooler: bool = True) -> dict[str, tuple[str, ...]]:
    """Return the heads of each published architecture of a family, whose name there is, for example, `Bert`.

    `has_pooler` says whether the base model computes a vector of each text with the layer that classes are made of.
    """
    pooler = ("pooler",) if has_pooler else ()
    return {
        f"{name}Model": pooler,
        f"{name}ForMaskedLM": ("masked",),
        f"{name}ForSequenceClassification": (*pooler, "sequence"),
        f"{name}ForTokenClassification": ("tokens",),
        f"{name}ForQuestionAnswering": ("span",),
    }


def read_encoder(values: Values, heads: tuple[str, ...]) -> dict[str, Any]:
    """Return the arguments of an `EncoderConfig` from the values of `config.json`.

    Raises:
        CheckpointError: the positions are not absolute, the model is a decoder, or the names of its classes are wrong.
        KeyError: a value that has no default here is missing.
    """
    if (position_type := values.get("position_embedding_type", "absolute")) != "absolute":
        raise CheckpointError(f"position_embedding_type is {position_type!r}; only absolute is supported")
    if values.get("is_decoder", False) or values.get("add_cross_attention", False):
        raise CheckpointError("is_decoder is true; only encoders are supported")
    labels = read_labels(values) if CLASS_HEADS & set(heads) else ()
    return {
        "vocab_size": values["vocab_size"],
        "n_positions": values.get("max_position_embeddings", 512),
        "n_token_types": values["type_vocab_size"],
        "width": values.get("hidden_size", 768),
        "n_layers": values.get("num_hidden_layers", 12),
        "n_heads": values.get("num_attention_heads", 12),
        "inner_width": values.get("intermediate_size", 3072),
        "activation": values["hidden_act"],
        "norm_eps": float(values["layer_norm_eps"]),
        "heads": heads,
        "labels": labels,
        **({"label_activation": read_label_activation(values, len(labels))} if "sequence" in heads else {}),
        "untied": "masked" in heads and not values.get("tie_word_embeddings", True),
    }


def write_encoder(config: EncoderConfig) -> dict[str, Any]:
    """Return the values that `read_encoder` reads."""
    values = {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.n_positions,
        **({"type_vocab_size": config.n_token_types} if config.has_token_types else {}),
        "hidden_size": config.width,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.inner_width,
        "hidden_act": config.activation,
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": not config.untied,
    }
    if config.labels:
        values |= {**write_labels(config.labels), **write_label_activation(config.label_activation)}
    return values


def embedding_links(config: EncoderConfig, published: str, decoder: str) -> Iterator[Link]:
    """Link the embeddings before the first block.

    Args:
        config: the configuration.
        published: the published name of their module.
        decoder: the published name of the last layer of the masked language head, whose matrix may be stored instead
            if it is tied.
    """
    is_tied = "masked" in config.heads and not config.untied
    words = f"{published}.word_embeddings.weight"
    yield Link("embeddings.words.weight", (words,), sources=(words, f"{decoder}.weight") if is_tied else ())
    types = (("types", "token_type"),) if config.has_token_types else ()
    for ours, name in (("positions", "position"), *types):
        yield Link(f"embeddings.{ours}.weight", (f"{published}.{name}_embeddings.weight",))
    yield from links("embeddings.norm", f"{published}.LayerNorm")


def block_links(block: str, published: BlockNames) -> Iterator[Link]:
    """Link the layers of our module `block`, which is one block, to those with the published names."""
    yield from links(f"{block}.attention.qkv", *published.qkv)
    yield from links(f"{block}.attention.out", published.out)
    yield from links(f"{block}.attention_residual_norm", published.attention_norm)
    yield from links(f"{block}.feedforward.0", published.up)
    yield from links(f"{block}.feedforward.2", published.down)
    yield from links(f"{block}.feedforward_residual_norm", published.feedforward_norm)


def body_links(config: EncoderConfig, prefix: str, decoder: str) -> Iterator[Link]:
    """Link the embeddings and blocks of BERT, RoBERTa and ELECTRA, whose published names begin with `prefix`.

    `decoder` is the published name of the last layer of the masked language head.
    """
    yield from embedding_links(config, f"{prefix}.embeddings", decoder)
    for index in range(config.n_layers):
        published = f"{prefix}.encoder.layer.{index}"
        names = BlockNames(
            qkv=tuple(f"{published}.attention.self.{name}" for name in ("query", "key", "value")),
            out=f"{published}.attention.output.dense",
            attention_norm=f"{published}.attention.output.LayerNorm",
            up=f"{published}.intermediate.dense",
            down=f"{published}.output.dense",
            feedforward_norm=f"{published}.output.LayerNorm",
        )
        yield from block_links(f"blocks.{index}", names)


def head_links(
    config: EncoderConfig,
    *,
    pooler: str,
    sequence: str,
    dense: str,
    norm: str,
    decoder: str,
    decoder_bias: str = "",
    pair: str = "",
) -> Iterator[Link]:
    """Link the heads that the model has; the arguments are the published names of their layers.

    The heads of tokens and spans have the same published names in all families. `decoder_bias` is the name under which
    the bias of `decoder` is stored where the matrix is tied, if it is another than that of the layer.
    """
    heads = set(config.heads)
    if {"pooler", "pair", "sequence"} & heads:
        yield from links("pooler.dense", pooler)
    if "pair" in heads:
        yield from links("pair_head", pair)
    if "sequence" in heads:
        yield from links("sequence_head", sequence)
    if "tokens" in heads:
        yield from links("token_head", "classifier")
    if "span" in heads:
        yield from links("span_head", "qa_outputs")
    if "masked" in heads:
        yield from links("masked_head.dense", dense)
        yield from links("masked_head.norm", norm)
        bias = f"{decoder}.bias"  # `transformers` adds it where it differs from `decoder_bias`
        names = (bias, decoder_bias) if decoder_bias else (bias,)
        yield Link("masked_head.bias", (names[0] if config.untied else names[-1],), sources=names)
        if config.untied:
            yield Link("masked_head.decoder", (f"{decoder}.weight",))


def untie_decoder(words: str, decoder: str) -> Callable[[EncoderConfigT, Mapping[str, Tensor]], EncoderConfigT]:
    """Return the function `PublishedFormat.fit` of a family: the masked language head is untied if its matrix differs.

    Args:
        words: the published name of the word embeddings.
        decoder: the published name of the matrix of the masked language head.
    """

    def fit(config: EncoderConfigT, tensors: Mapping[str, Tensor]) -> EncoderConfigT:
        is_own = "masked" in config.heads and differ(tensors, (decoder,), (words,))
        return replace(config, untied=True) if is_own else config

    return fit

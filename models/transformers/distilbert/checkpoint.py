"""The published format of DistilBERT: `config.json`, and the names of the weights."""

from collections.abc import Iterator
from typing import Any

from models.errors import CheckpointError
from models.published import Link, PublishedFormat, Values
from models.text.encoder_format import (
    BUFFERS,
    ENCODER_KEYS,
    BlockNames,
    architectures,
    block_links,
    embedding_links,
    head_links,
    read_encoder,
    untie_decoder,
    write_encoder,
)
from models.transformers.distilbert.config import DistilBertConfig

NORM_EPS = 1e-12
"""The constant of all norms, which `config.json` does not hold."""
OWN_NAMES = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
}
"""The keys of `config.json` for which DistilBERT has names of its own, by the names of other encoders."""


def _read_config(values: Values, heads: tuple[str, ...]) -> DistilBertConfig:
    defaults = {"vocab_size": 30522, "n_layers": 6, "activation": "gelu"}
    given = {**defaults, **values, "type_vocab_size": 0, "layer_norm_eps": NORM_EPS}
    for name, own in OWN_NAMES.items():
        if name in values and values[name] != values.get(own):
            raise CheckpointError(f"{name} is {values[name]!r}; DistilBERT has {own} instead")
        if own in given:
            given[name] = given[own]
    return DistilBertConfig(**read_encoder(given, heads))


def _write_config(config: DistilBertConfig) -> dict[str, Any]:
    values = write_encoder(config)
    del values["layer_norm_eps"]
    named = {OWN_NAMES.get(name, name): value for name, value in values.items()}
    return {"model_type": "distilbert", "architectures": [ARCHITECTURES_BY_HEADS[config.heads]], **named}


def _links(config: DistilBertConfig) -> Iterator[Link]:
    yield from embedding_links(config, "distilbert.embeddings", DECODER)
    for index in range(config.n_layers):
        published = f"distilbert.transformer.layer.{index}"
        names = BlockNames(
            qkv=tuple(f"{published}.attention.{name}_lin" for name in ("q", "k", "v")),
            out=f"{published}.attention.out_lin",
            attention_norm=f"{published}.sa_layer_norm",
            up=f"{published}.ffn.lin1",
            down=f"{published}.ffn.lin2",
            feedforward_norm=f"{published}.output_layer_norm",
        )
        yield from block_links(f"blocks.{index}", names)
    yield from head_links(
        config,
        pooler="pre_classifier",
        sequence="classifier",
        dense="vocab_transform",
        norm="vocab_layer_norm",
        decoder=DECODER,
    )


DECODER = "vocab_projector"
ARCHITECTURES = architectures("DistilBert", has_pooler=False)
ARCHITECTURES_BY_HEADS = {heads: name for name, heads in ARCHITECTURES.items()}

PUBLISHED = PublishedFormat(
    model_type="distilbert",
    architectures=ARCHITECTURES,
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="distilbert.",
    ignored=BUFFERS,
    heads=r"^(vocab_transform|vocab_layer_norm|vocab_projector|pre_classifier|classifier|qa_outputs)\.",
    fit=untie_decoder("distilbert.embeddings.word_embeddings.weight", f"{DECODER}.weight"),
    keys={
        ours: OWN_NAMES.get(name, name)
        for ours, name in ENCODER_KEYS.items()
        if ours not in ("n_token_types", "norm_eps")
    },
)

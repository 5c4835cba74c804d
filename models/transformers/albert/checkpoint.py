"""The published format of ALBERT: `config.json`, and the names of the weights."""

from collections.abc import Iterator
from typing import Any

from models.published import Link, PublishedFormat, Values, links
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
from models.transformers.albert.config import AlbertConfig


def _read_config(values: Values, heads: tuple[str, ...]) -> AlbertConfig:
    defaults = {
        "vocab_size": 30000,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu_new",
        "hidden_size": 4096,
        "num_attention_heads": 64,
        "intermediate_size": 16384,
    }
    return AlbertConfig(
        **read_encoder({**defaults, **values}, heads),
        embedding_width=values.get("embedding_size", 128),
        n_groups=values.get("num_hidden_groups", 1),
        blocks_per_group=values.get("inner_group_num", 1),
    )


def _write_config(config: AlbertConfig) -> dict[str, Any]:
    return {
        "model_type": "albert",
        "architectures": [ARCHITECTURES_BY_HEADS[config.heads]],
        "embedding_size": config.embedding_width,
        "num_hidden_groups": config.n_groups,
        "inner_group_num": config.blocks_per_group,
        **write_encoder(config),
    }


def _links(config: AlbertConfig) -> Iterator[Link]:
    yield from embedding_links(config, "albert.embeddings", "predictions.decoder")
    yield from links("widening", "albert.encoder.embedding_hidden_mapping_in")
    for group in range(config.n_groups):
        for index in range(config.blocks_per_group):
            published = f"albert.encoder.albert_layer_groups.{group}.albert_layers.{index}"
            names = BlockNames(
                qkv=tuple(f"{published}.attention.{name}" for name in ("query", "key", "value")),
                out=f"{published}.attention.dense",
                attention_norm=f"{published}.attention.LayerNorm",
                up=f"{published}.ffn",
                down=f"{published}.ffn_output",
                feedforward_norm=f"{published}.full_layer_layer_norm",
            )
            yield from block_links(f"groups.{group}.{index}", names)
    yield from head_links(
        config,
        pooler="albert.pooler",
        pair="sop_classifier.classifier",
        sequence="classifier",
        dense="predictions.dense",
        norm="predictions.LayerNorm",
        decoder="predictions.decoder",
        decoder_bias="predictions.bias",
    )


ARCHITECTURES = architectures("Albert") | {"AlbertForPreTraining": ("pooler", "pair", "masked")}
ARCHITECTURES_BY_HEADS = {heads: name for name, heads in ARCHITECTURES.items()} | {(): "AlbertModel"}

PUBLISHED = PublishedFormat(
    model_type="albert",
    architectures=ARCHITECTURES,
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="albert.",
    ignored=BUFFERS,
    heads=r"^(predictions|sop_classifier|classifier|qa_outputs)\.",
    fit=untie_decoder("albert.embeddings.word_embeddings.weight", "predictions.decoder.weight"),
    keys={
        **ENCODER_KEYS,
        "embedding_width": "embedding_size",
        "n_groups": "num_hidden_groups",
        "blocks_per_group": "inner_group_num",
    },
)

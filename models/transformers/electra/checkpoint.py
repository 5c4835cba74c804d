"""The published format of ELECTRA: `config.json`, and the names of the weights."""

from collections.abc import Iterator
from typing import Any

from models.published import Link, PublishedFormat, Values, links
from models.text.encoder_format import (
    BUFFERS,
    ENCODER_KEYS,
    architectures,
    body_links,
    head_links,
    read_encoder,
    untie_decoder,
    write_encoder,
)
from models.transformers.electra.config import REPLACED_LABELS, ElectraConfig


def _read_config(values: Values, heads: tuple[str, ...]) -> ElectraConfig:
    defaults = {
        "vocab_size": 30522,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    }
    arguments = read_encoder({**defaults, **values}, heads)
    if "replaced" in heads:
        arguments["labels"] = REPLACED_LABELS
    return ElectraConfig(**arguments, embedding_width=values.get("embedding_size", 128))


def _write_config(config: ElectraConfig) -> dict[str, Any]:
    return {
        "model_type": "electra",
        "architectures": [ARCHITECTURES_BY_HEADS[config.heads]],
        "embedding_size": config.embedding_width,
        **write_encoder(config),
    }


def _links(config: ElectraConfig) -> Iterator[Link]:
    yield from body_links(config, "electra", DECODER)
    if config.embedding_width != config.width:
        yield from links("projection", "electra.embeddings_project")
    yield from head_links(
        config,
        pooler="classifier.dense",
        sequence="classifier.out_proj",
        dense="generator_predictions.dense",
        norm="generator_predictions.LayerNorm",
        decoder=DECODER,
    )
    if "replaced" in config.heads:
        yield from links("replaced_head.0", "discriminator_predictions.dense")
        yield from links("replaced_head.2", "discriminator_predictions.dense_prediction")


DECODER = "generator_lm_head"
ARCHITECTURES = architectures("Electra", has_pooler=False) | {"ElectraForPreTraining": ("replaced",)}
ARCHITECTURES_BY_HEADS = {heads: name for name, heads in ARCHITECTURES.items()}

PUBLISHED = PublishedFormat(
    model_type="electra",
    architectures=ARCHITECTURES,
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="electra.",
    ignored=BUFFERS,
    heads=r"^(generator_predictions|generator_lm_head|discriminator_predictions|classifier|qa_outputs)\.",
    fit=untie_decoder("electra.embeddings.word_embeddings.weight", f"{DECODER}.weight"),
    keys={**ENCODER_KEYS, "embedding_width": "embedding_size"},
)

"""The published format of RoBERTa: `config.json`, and the names of the weights."""

from collections.abc import Iterator
from typing import Any

from models.published import Link, PublishedFormat, Values
from models.text.encoder_format import (
    architectures,
    body_links,
    decoder_aliases,
    head_links,
    read_encoder,
    write_encoder,
)
from models.transformers.roberta.config import RobertaConfig


def _read_config(values: Values, heads: tuple[str, ...]) -> RobertaConfig:
    defaults = {"vocab_size": 50265, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    return RobertaConfig(**read_encoder({**defaults, **values}, heads), padding_id=values.get("pad_token_id", 1))


def _write_config(config: RobertaConfig) -> dict[str, Any]:
    return {
        "model_type": "roberta",
        "architectures": [ARCHITECTURES_BY_HEADS[config.heads]],
        "pad_token_id": config.padding_id,
        **write_encoder(config),
    }


def _links(config: RobertaConfig) -> Iterator[Link]:
    yield from body_links("roberta", config.n_layers)
    classifies = "sequence" in config.heads  # then the pooler's layer belongs to the classifier
    yield from head_links(
        config,
        pooler="classifier.dense" if classifies else "roberta.pooler.dense",
        sequence="classifier.out_proj",
        dense="lm_head.dense",
        norm="lm_head.layer_norm",
        decoder="lm_head",
    )


ARCHITECTURES = architectures("Roberta")
ARCHITECTURES_BY_HEADS = {heads: name for name, heads in ARCHITECTURES.items()} | {(): "RobertaModel"}

PUBLISHED = PublishedFormat(
    model_type="roberta",
    architectures=ARCHITECTURES,
    bare="RobertaModel",
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="roberta.",
    ignored=r"embeddings\.(position_ids|token_type_ids)$",
    heads=r"^(lm_head|classifier|qa_outputs)\.",
    aliases=decoder_aliases("lm_head"),
    copies=frozenset({"lm_head.decoder.weight"}),
)

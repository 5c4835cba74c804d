"""The published format of RoBERTa: `config.json`, and the names of the weights."""

from collections.abc import Iterator
from typing import Any

from models.published import Link, PublishedFormat, Values
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
from models.transformers.roberta.config import RobertaConfig

VOCAB_SIZES = {"roberta": 50265, "xlm-roberta": 30522, "camembert": 30522}
"""Defaults of `vocab_size` by `model_type`; `transformers` has no other defaults that differ."""


def _read_config(values: Values, heads: tuple[str, ...]) -> RobertaConfig:
    defaults: dict[str, Any] = {"vocab_size": VOCAB_SIZES[values.get("model_type", "roberta")]}
    defaults |= {"type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    return RobertaConfig(**read_encoder({**defaults, **values}, heads), padding_id=values.get("pad_token_id", 1))


def _write_config(config: RobertaConfig) -> dict[str, Any]:
    return {
        "model_type": "roberta",
        "architectures": [ARCHITECTURES_BY_HEADS[config.heads]],
        "pad_token_id": config.padding_id,
        **write_encoder(config),
    }


def _links(config: RobertaConfig) -> Iterator[Link]:
    yield from body_links(config, "roberta", "lm_head.decoder")
    classifies = "sequence" in config.heads  # then the pooler's layer belongs to the classifier
    yield from head_links(
        config,
        pooler="classifier.dense" if classifies else "roberta.pooler.dense",
        sequence="classifier.out_proj",
        dense="lm_head.dense",
        norm="lm_head.layer_norm",
        decoder="lm_head.decoder",
        decoder_bias="lm_head.bias",
    )


ARCHITECTURES = architectures("Roberta") | architectures("XLMRoberta") | architectures("Camembert")
ARCHITECTURES_BY_HEADS = {heads: name for name, heads in architectures("Roberta").items()} | {(): "RobertaModel"}

PUBLISHED = PublishedFormat(
    model_type="roberta",
    architectures=ARCHITECTURES,
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="roberta.",
    ignored=BUFFERS,
    heads=r"^(lm_head|classifier|qa_outputs)\.",
    fit=untie_decoder("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    keys={**ENCODER_KEYS, "padding_id": "pad_token_id"},
)

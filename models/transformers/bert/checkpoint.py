"""The published format of BERT: `config.json`, and the names of the weights."""

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
from models.transformers.bert.config import BertConfig


def _read_config(values: Values, heads: tuple[str, ...]) -> BertConfig:
    defaults = {"vocab_size": 30522, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    return BertConfig(**read_encoder({**defaults, **values}, heads))


def _write_config(config: BertConfig) -> dict[str, Any]:
    return {"model_type": "bert", "architectures": [ARCHITECTURES_BY_HEADS[config.heads]], **write_encoder(config)}


def _links(config: BertConfig) -> Iterator[Link]:
    yield from body_links(config, "bert", "cls.predictions.decoder")
    yield from head_links(
        config,
        pooler="bert.pooler.dense",
        pair="cls.seq_relationship",
        sequence="classifier",
        dense="cls.predictions.transform.dense",
        norm="cls.predictions.transform.LayerNorm",
        decoder="cls.predictions.decoder",
        decoder_bias="cls.predictions.bias",
    )


ARCHITECTURES = architectures("Bert") | {
    "BertForPreTraining": ("pooler", "pair", "masked"),
    "BertForNextSentencePrediction": ("pooler", "pair"),
}
ARCHITECTURES_BY_HEADS = {heads: name for name, heads in ARCHITECTURES.items()} | {(): "BertModel"}

PUBLISHED = PublishedFormat(
    model_type="bert",
    architectures=ARCHITECTURES,
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="bert.",
    ignored=BUFFERS,
    heads=r"^(cls|classifier|qa_outputs)\.",
    fit=untie_decoder("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    keys=ENCODER_KEYS,
)

"""BERT's published names."""

from collections.abc import Iterator
from typing import Any

from models.published import Link, PublishedFormat, Values, links
from models.published.encoders import (
    architectures,
    bert_body,
    decoder_aliases,
    decoder_links,
    read_encoder,
    token_links,
    write_encoder,
)
from models.transformers.bert.config import BertConfig


def _read_config(values: Values, heads: tuple[str, ...]) -> BertConfig:
    defaults = {"vocab_size": 30522, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    return BertConfig(**read_encoder({**defaults, **values}, heads))


def _write_config(config: BertConfig) -> dict[str, Any]:
    return {"model_type": "bert", "architectures": [ARCHITECTURES_BY_HEADS[config.heads]], **write_encoder(config)}


def _links(config: BertConfig) -> Iterator[Link]:
    heads = set(config.heads)
    yield from bert_body("bert", config.n_layers)
    if {"pooler", "pair", "sequence"} & heads:
        yield from links("pooler.dense", "bert.pooler.dense")
    if "pair" in heads:
        yield from links("pair_head", "cls.seq_relationship")
    if "sequence" in heads:
        yield from links("sequence_head", "classifier")
    yield from token_links(heads)
    if "masked" in heads:
        yield from links("masked_head.dense", "cls.predictions.transform.dense")
        yield from links("masked_head.norm", "cls.predictions.transform.LayerNorm")
        yield from decoder_links("cls.predictions", untied=config.untied)


ARCHITECTURES = architectures("Bert") | {
    "BertForPreTraining": ("pooler", "pair", "masked"),
    "BertForNextSentencePrediction": ("pooler", "pair"),
}
ARCHITECTURES_BY_HEADS = {heads: name for name, heads in ARCHITECTURES.items()}

PUBLISHED = PublishedFormat(
    model_type="bert",
    architectures=ARCHITECTURES,
    bare="BertModel",
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="bert.",
    ignored=r"embeddings\.position_ids$",
    heads=r"^(cls|classifier|qa_outputs)\.",
    aliases=decoder_aliases("cls.predictions"),
    copies=frozenset({"cls.predictions.decoder.weight"}),
)

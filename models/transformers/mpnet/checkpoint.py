"""The published format of MPNet: `config.json`, and the names of the weights."""

from collections.abc import Iterator
from typing import Any

from models.errors import CheckpointError
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
from models.transformers.mpnet.config import N_BUCKETS, PADDING_ID, MpnetConfig

BUCKETS_KEY = "relative_attention_num_buckets"


def _read_config(values: Values, heads: tuple[str, ...]) -> MpnetConfig:
    if (n_buckets := values.get(BUCKETS_KEY, N_BUCKETS)) != N_BUCKETS:
        raise CheckpointError(f"{BUCKETS_KEY} is {n_buckets!r}; only {N_BUCKETS} is supported")
    defaults = {"vocab_size": 30527, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    return MpnetConfig(**read_encoder({**defaults, **values, "type_vocab_size": 0}, heads))


def _write_config(config: MpnetConfig) -> dict[str, Any]:
    return {
        "model_type": "mpnet",
        "architectures": [ARCHITECTURES_BY_HEADS[config.heads]],
        "pad_token_id": PADDING_ID,
        BUCKETS_KEY: N_BUCKETS,
        **write_encoder(config),
    }


def _links(config: MpnetConfig) -> Iterator[Link]:
    yield from embedding_links(config, "mpnet.embeddings", "lm_head.decoder")
    yield from links("distance_bias.buckets", "mpnet.encoder.relative_attention_bias", bias=False)
    for index in range(config.n_layers):
        published = f"mpnet.encoder.layer.{index}"
        names = BlockNames(
            qkv=tuple(f"{published}.attention.attn.{name}" for name in ("q", "k", "v")),
            out=f"{published}.attention.attn.o",
            attention_norm=f"{published}.attention.LayerNorm",
            up=f"{published}.intermediate.dense",
            down=f"{published}.output.dense",
            feedforward_norm=f"{published}.output.LayerNorm",
        )
        yield from block_links(f"blocks.{index}", names)
    classifies = "sequence" in config.heads  # then the pooler's layer belongs to the classifier
    yield from head_links(
        config,
        pooler="classifier.dense" if classifies else "mpnet.pooler.dense",
        sequence="classifier.out_proj",
        dense="lm_head.dense",
        norm="lm_head.layer_norm",
        decoder="lm_head.decoder",
        decoder_bias="lm_head.bias",
    )


ARCHITECTURES = architectures("MPNet")
ARCHITECTURES_BY_HEADS = {heads: name for name, heads in ARCHITECTURES.items()} | {(): "MPNetModel"}

PUBLISHED = PublishedFormat(
    model_type="mpnet",
    architectures=ARCHITECTURES,
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="mpnet.",
    ignored=BUFFERS,
    heads=r"^(lm_head|classifier|qa_outputs)\.",
    fit=untie_decoder("mpnet.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    keys={ours: key for ours, key in ENCODER_KEYS.items() if ours != "n_token_types"},
)

"""GPT-2's published names. Its layers are stored transposed, queries, keys and values side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from models.errors import CheckpointError
from models.published import Link, PublishedFormat, Values, differ, links, read_labels, write_labels
from models.text.label_activation import read_label_activation, write_label_activation
from models.transformers.gpt.config import GptConfig

WORDS, OUTPUT = "transformer.wte.weight", "lm_head.weight"
"""Published names of the word embeddings and of the matrix that logits are computed by."""
KEYS = {
    "vocab_size": "vocab_size",
    "n_positions": "n_positions",
    "width": "n_embd",
    "n_layers": "n_layer",
    "n_heads": "n_head",
    "inner_width": "n_inner",
    "activation": "activation_function",
    "norm_eps": "layer_norm_epsilon",
    "scaled": "scale_attn_weights",
    "scaled_by_layer": "scale_attn_by_inverse_layer_idx",
}
"""The keys of `config.json` of the hyperparameters."""


def _read_config(values: Values, heads: tuple[str, ...]) -> GptConfig:
    if values.get("add_cross_attention", False):
        raise CheckpointError("add_cross_attention is true; only decoders without an encoder are supported")
    width = values.get("n_embd", 768)
    labels = read_labels(values) if "sequence" in heads else ()
    return GptConfig(
        vocab_size=values.get("vocab_size", 50257),
        n_positions=values.get("n_positions", 1024),
        width=width,
        n_layers=values.get("n_layer", 12),
        n_heads=values.get("n_head", 12),
        inner_width=values.get("n_inner", 4 * width),
        activation=values.get("activation_function", "gelu_new"),
        norm_eps=float(values.get("layer_norm_epsilon", 1e-5)),
        scaled=values.get("scale_attn_weights", True),
        scaled_by_layer=values.get("scale_attn_by_inverse_layer_idx", False),
        untied="language" in heads and not values.get("tie_word_embeddings", True),
        continues="language" in heads,
        labels=labels,
        label_activation=read_label_activation(values, len(labels)) if labels else "softmax",
        padding_id=values.get("pad_token_id", -1) if labels else -1,
    )


def _write_config(config: GptConfig) -> dict[str, Any]:
    architecture = {(True, False): "GPT2LMHeadModel", (False, True): "GPT2ForSequenceClassification"}
    values = {
        "model_type": "gpt2",
        "architectures": [architecture.get((config.continues, bool(config.labels)), "GPT2Model")],
        "vocab_size": config.vocab_size,
        "n_positions": config.n_positions,
        "n_embd": config.width,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.inner_width,
        "activation_function": config.activation,
        "layer_norm_epsilon": config.norm_eps,
        "scale_attn_weights": config.scaled,
        "scale_attn_by_inverse_layer_idx": config.scaled_by_layer,
        "tie_word_embeddings": not config.untied,
    }
    if config.labels:
        values |= {**write_labels(config.labels), **write_label_activation(config.label_activation)}
    if config.padding_id >= 0:
        values["pad_token_id"] = config.padding_id
    return values


def _links(config: GptConfig) -> Iterator[Link]:
    is_tied = config.continues and not config.untied
    yield Link("words.weight", (WORDS,), sources=(WORDS, OUTPUT) if is_tied else ())
    yield Link("positions.weight", ("transformer.wpe.weight",))
    for i in range(config.n_layers):
        ours, theirs = f"blocks.{i}", f"transformer.h.{i}"
        yield from links(f"{ours}.attention_input_norm", f"{theirs}.ln_1")
        yield from links(f"{ours}.attention.qkv", f"{theirs}.attn.c_attn", transposed=True)
        yield from links(f"{ours}.attention.out", f"{theirs}.attn.c_proj", transposed=True)
        yield from links(f"{ours}.feedforward_input_norm", f"{theirs}.ln_2")
        yield from links(f"{ours}.feedforward.0", f"{theirs}.mlp.c_fc", transposed=True)
        yield from links(f"{ours}.feedforward.2", f"{theirs}.mlp.c_proj", transposed=True)
    yield from links("norm", "transformer.ln_f")
    if config.untied:
        yield Link("decoder.weight", (OUTPUT,))
    if config.labels:
        yield Link("sequence_head.weight", ("score.weight",))


def _fit(config: GptConfig, tensors: Mapping[str, Tensor]) -> GptConfig:
    is_own = config.continues and differ(tensors, (OUTPUT,), (WORDS,))
    return replace(config, untied=True) if is_own else config


PUBLISHED = PublishedFormat(
    model_type="gpt2",
    architectures={
        "GPT2LMHeadModel": ("language",),
        "GPT2Model": (),
        "GPT2ForSequenceClassification": ("sequence",),
    },
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="transformer.",
    ignored=r"\.attn\.(bias|masked_bias)$",
    heads=r"^(lm_head|score|multiple_choice_head)\.",
    fit=_fit,
    keys=KEYS,
)

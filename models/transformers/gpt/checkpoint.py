"""GPT-2's published names. Its layers are stored transposed, queries, keys and values side by side."""

from collections.abc import Iterator
from typing import Any

from models.errors import CheckpointError
from models.published import Link, PublishedFormat, Values, labels_of, labels_to, links, of
from models.text.encoder_config import PROBLEMS
from models.transformers.gpt.config import GptConfig


def _read_config(values: Values, heads: tuple[str, ...]) -> GptConfig:
    if of(values, "add_cross_attention", False):
        raise CheckpointError("add_cross_attention is true; only decoders without an encoder are supported")
    width = of(values, "n_embd", 768)
    labels = labels_of(values) if "sequence" in heads else ()
    return GptConfig(
        vocab_size=of(values, "vocab_size", 50257),
        n_positions=of(values, "n_positions", 1024),
        width=width,
        n_layers=of(values, "n_layer", 12),
        n_heads=of(values, "n_head", 12),
        inner_width=of(values, "n_inner", 4 * width),
        activation=of(values, "activation_function", "gelu_new"),
        norm_eps=float(of(values, "layer_norm_epsilon", 1e-5)),
        scaled=of(values, "scale_attn_weights", True),
        scaled_by_layer=of(values, "scale_attn_by_inverse_layer_idx", False),
        untied="language" in heads and not of(values, "tie_word_embeddings", True),
        continues="language" in heads,
        labels=labels,
        problem=of(values, "problem_type", "regression" if len(labels) == 1 else PROBLEMS[0]),
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
        values |= {**labels_to(config.labels), "problem_type": config.problem}
    return values


def _links(config: GptConfig) -> Iterator[Link]:
    yield Link("words.weight", ("transformer.wte.weight",))
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
        yield Link("decoder.weight", ("lm_head.weight",))
    if config.labels:
        yield Link("sequence_head.weight", ("score.weight",))


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
    aliases={},
    copies=frozenset({"lm_head.weight"}),
)

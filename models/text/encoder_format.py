"""What the published formats of bidirectional encoders have in common."""

from collections.abc import Iterator
from typing import Any

from models.errors import CheckpointError
from models.published import Link, Values, labels_of, labels_to, links, of
from models.text.encoder_config import PROBLEMS, EncoderConfig


def architectures(name: str) -> dict[str, tuple[str, ...]]:
    """The heads of each architecture of a family with the published name, such as `Bert`."""
    return {
        f"{name}Model": ("pooler",),
        f"{name}ForMaskedLM": ("masked",),
        f"{name}ForSequenceClassification": ("pooler", "sequence"),
        f"{name}ForTokenClassification": ("tokens",),
        f"{name}ForQuestionAnswering": ("span",),
    }


def read_encoder(values: Values, heads: tuple[str, ...]) -> dict[str, Any]:
    """The arguments of an `EncoderConfig`. Values without a default here must be there.

    Raises:
        CheckpointError: a value is missing, or asks for what no family here has.
    """
    if (kind := of(values, "position_embedding_type", "absolute")) != "absolute":
        raise CheckpointError(f"position_embedding_type is {kind!r}; only absolute is supported")
    if of(values, "is_decoder", False) or of(values, "add_cross_attention", False):
        raise CheckpointError("is_decoder is true; only encoders are supported")
    labels = labels_of(values) if {"sequence", "tokens"} & set(heads) else ()
    return {
        "vocab_size": values["vocab_size"],
        "n_positions": of(values, "max_position_embeddings", 512),
        "n_token_types": values["type_vocab_size"],
        "width": of(values, "hidden_size", 768),
        "n_layers": of(values, "num_hidden_layers", 12),
        "n_heads": of(values, "num_attention_heads", 12),
        "inner_width": of(values, "intermediate_size", 3072),
        "activation": values["hidden_act"],
        "norm_eps": float(values["layer_norm_eps"]),
        "heads": heads,
        "labels": labels,
        "problem": of(values, "problem_type", "regression" if labels and len(labels) == 1 else PROBLEMS[0]),
        "untied": "masked" in heads and not of(values, "tie_word_embeddings", True),
    }


def write_encoder(config: EncoderConfig) -> dict[str, Any]:
    """What `read_encoder` reads."""
    values = {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.n_positions,
        "type_vocab_size": config.n_token_types,
        "hidden_size": config.width,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.inner_width,
        "hidden_act": config.activation,
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": not config.untied,
    }
    if config.labels:
        values |= {**labels_to(config.labels), "problem_type": config.problem}
    return values


def bert_body(prefix: str, n_layers: int) -> Iterator[Link]:
    """The embeddings and blocks of BERT and RoBERTa."""
    yield from embedding_links(f"{prefix}.embeddings")
    for i in range(n_layers):
        ours, theirs = f"blocks.{i}", f"{prefix}.encoder.layer.{i}"
        attention = f"{theirs}.attention"
        yield from links(f"{ours}.attention.qkv", *(f"{attention}.self.{name}" for name in ("query", "key", "value")))
        yield from links(f"{ours}.attention.out", f"{attention}.output.dense")
        yield from links(f"{ours}.attention_residual_norm", f"{attention}.output.LayerNorm")
        yield from links(f"{ours}.feedforward.0", f"{theirs}.intermediate.dense")
        yield from links(f"{ours}.feedforward.2", f"{theirs}.output.dense")
        yield from links(f"{ours}.feedforward_residual_norm", f"{theirs}.output.LayerNorm")


def embedding_links(theirs: str) -> Iterator[Link]:
    """Of the embeddings before the first block."""
    for ours, name in (("words", "word"), ("positions", "position"), ("types", "token_type")):
        yield Link(f"embeddings.{ours}.weight", (f"{theirs}.{name}_embeddings.weight",))
    yield from links("embeddings.norm", f"{theirs}.LayerNorm")


def head_links(
    config: EncoderConfig, *, pooler: str, sequence: str, dense: str, norm: str, decoder: str, pair: str = ""
) -> Iterator[Link]:
    """Of the heads the model has, by the published names of their layers. Those of tokens and spans are everybody's."""
    heads = set(config.heads)
    if {"pooler", "pair", "sequence"} & heads:
        yield from links("pooler.dense", pooler)
    if "pair" in heads:
        yield from links("pair_head", pair)
    if "sequence" in heads:
        yield from links("sequence_head", sequence)
    if "tokens" in heads:
        yield from links("token_head", "classifier")
    if "span" in heads:
        yield from links("span_head", "qa_outputs")
    if "masked" in heads:
        yield from links("masked_head.dense", dense)
        yield from links("masked_head.norm", norm)
        yield from decoder_links(decoder, untied=config.untied)


def decoder_links(theirs: str, *, untied: bool) -> Iterator[Link]:
    """Of the end of a masked-word head. The bias has two names; where the matrix is its own, the second counts."""
    yield Link("masked_head.bias", (f"{theirs}.decoder.bias" if untied else f"{theirs}.bias",))
    if untied:
        yield Link("masked_head.decoder", (f"{theirs}.decoder.weight",))


def decoder_aliases(theirs: str) -> dict[str, str]:
    """The two names of that bias, either of which may be left out."""
    one, other = f"{theirs}.bias", f"{theirs}.decoder.bias"
    return {one: other, other: one}

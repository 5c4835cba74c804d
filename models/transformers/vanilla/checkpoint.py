"""The published names of Marian's models, which are vanilla Transformers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models.generation.settings import read_bad_words, read_forced_ids, read_known_ids, refusal
from models.published import Link, PublishedFormat, Values, differ, links
from models.text.sinusoids import sinusoids
from models.transformers.vanilla.config import VanillaTransformerConfig

SHARED, OUTPUT = "model.shared.weight", "lm_head.weight"
"""Published names of the word embeddings that both sides share, and of the matrix that logits are computed by."""
ENCODER, DECODER = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
"""Published names of the word embeddings of each side."""
KEYS = {
    "vocab_size": "vocab_size",
    "target_vocab_size": "decoder_vocab_size",
    "n_positions": "max_position_embeddings",
    "width": "d_model",
    "n_encoder_layers": "encoder_layers",
    "n_decoder_layers": "decoder_layers",
    "n_encoder_heads": "encoder_attention_heads",
    "n_decoder_heads": "decoder_attention_heads",
    "encoder_inner_width": "encoder_ffn_dim",
    "decoder_inner_width": "decoder_ffn_dim",
    "activation": "activation_function",
    "norm_first": "normalize_before",
    "scaled_words": "scale_embedding",
    "shared": "share_encoder_decoder_embeddings",
}
"""The keys of `config.json` of the hyperparameters."""


def _read_config(values: Values, heads: tuple[str, ...]) -> VanillaTransformerConfig:
    vocab_size = values.get("vocab_size", 58101)
    n_target_ids = values.get("decoder_vocab_size", vocab_size)
    start_ids = read_forced_ids(values, "decoder_start_token_id", n_target_ids)
    if isinstance(values.get("decoder_start_token_id"), list):
        raise refusal("decoder_start_token_id", values["decoder_start_token_id"], "it must be one token id")
    bad_words = read_bad_words(values, n_target_ids)
    is_tied = values.get("tie_word_embeddings", True)
    return VanillaTransformerConfig(
        vocab_size=vocab_size,
        target_vocab_size=n_target_ids,
        n_positions=values.get("max_position_embeddings", 1024),
        width=values.get("d_model", 1024),
        n_encoder_layers=values.get("encoder_layers", 12),
        n_decoder_layers=values.get("decoder_layers", 12),
        n_encoder_heads=values.get("encoder_attention_heads", 16),
        n_decoder_heads=values.get("decoder_attention_heads", 16),
        encoder_inner_width=values.get("encoder_ffn_dim", 4096),
        decoder_inner_width=values.get("decoder_ffn_dim", 4096),
        start_id=start_ids[0] if start_ids else values.get("pad_token_id", 58100),
        end_ids=read_known_ids({"eos_token_id": 0, **values}, "eos_token_id", n_target_ids),
        activation=values.get("activation_function", "gelu"),
        positions="sinusoidal" if values.get("static_position_embeddings", True) else "learned",
        norm_first=values.get("normalize_before", False),
        scaled_words=values.get("scale_embedding", False),
        shared=is_tied and values.get("share_encoder_decoder_embeddings", True),
        untied="language" in heads and not is_tied,
        translates="language" in heads,
        suppressed_ids=tuple(word[0] for word in bad_words if len(word) == 1),
        bad_words_ids=tuple(word for word in bad_words if len(word) > 1),
        forced_end_ids=read_forced_ids(values, "forced_eos_token_id", n_target_ids),
    )


def _write_config(config: VanillaTransformerConfig) -> dict[str, Any]:
    return {
        "model_type": "marian",
        "architectures": ["MarianMTModel" if config.translates else "MarianModel"],
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "decoder_vocab_size": config.target_vocab_size,
        "max_position_embeddings": config.n_positions,
        "d_model": config.width,
        "encoder_layers": config.n_encoder_layers,
        "decoder_layers": config.n_decoder_layers,
        "encoder_attention_heads": config.n_encoder_heads,
        "decoder_attention_heads": config.n_decoder_heads,
        "encoder_ffn_dim": config.encoder_inner_width,
        "decoder_ffn_dim": config.decoder_inner_width,
        "decoder_start_token_id": config.start_id,
        "pad_token_id": config.start_id,
        "eos_token_id": config.end_ids[0] if len(config.end_ids) == 1 else list(config.end_ids),
        "activation_function": config.activation,
        "static_position_embeddings": config.positions == "sinusoidal",
        "normalize_before": config.norm_first,
        "scale_embedding": config.scaled_words,
        "share_encoder_decoder_embeddings": config.shared,
        "tie_word_embeddings": not config.untied,
        "bad_words_ids": [*([token_id] for token_id in config.suppressed_ids), *map(list, config.bad_words_ids)],
        "forced_eos_token_id": list(config.forced_end_ids) or None,
    }


def _links(config: VanillaTransformerConfig) -> Iterator[Link]:
    if config.shared:
        for side, own in (("encoder", ENCODER), ("decoder", DECODER)):
            yield Link(f"{side}.words.weight", (SHARED,), sources=_shared_names(config, own))
    sides = (("encoder", config.n_encoder_layers), ("decoder", config.n_decoder_layers))
    sines = partial(sinusoids, config.n_positions, config.width) if config.positions == "sinusoidal" else None
    for side, n_layers in sides:
        theirs = f"model.{side}"
        if not config.shared:
            own = f"{theirs}.embed_tokens.weight"
            tied = (OUTPUT,) if side == "decoder" and config.translates and not config.untied else ()
            yield Link(f"{side}.words.weight", (own,), sources=(own, SHARED, *tied))
        yield Link(f"{side}.positions.weight", (f"{theirs}.embed_positions.weight",), default=sines)
        for i in range(n_layers):
            yield from _block(config, f"{side}.blocks.{i}", f"{theirs}.layers.{i}")
        if config.norm_first:
            yield from links(f"{side}.norm", f"{theirs}.layer_norm")
    if config.untied:
        yield Link("output.weight", (OUTPUT,))
    if config.translates:
        yield Link("bias", ("final_logits_bias",), default=lambda: torch.zeros(1, config.target_vocab_size))


def _block(config: VanillaTransformerConfig, ours: str, theirs: str) -> Iterator[Link]:
    norm = "input_norm" if config.norm_first else "residual_norm"
    own, read = f"{theirs}.self_attn", f"{theirs}.encoder_attn"
    yield from links(f"{ours}.attention.qkv", *(f"{own}.{name}_proj" for name in ("q", "k", "v")))
    yield from links(f"{ours}.attention.out", f"{own}.out_proj")
    yield from links(f"{ours}.attention_{norm}", f"{own}_layer_norm")
    if ours.startswith("decoder."):
        yield from links(f"{ours}.cross_attention.q", f"{read}.q_proj")
        yield from links(f"{ours}.cross_attention.kv", f"{read}.k_proj", f"{read}.v_proj")
        yield from links(f"{ours}.cross_attention.out", f"{read}.out_proj")
        yield from links(f"{ours}.cross_attention_{norm}", f"{read}_layer_norm")
    yield from links(f"{ours}.feedforward.0", f"{theirs}.fc1")
    yield from links(f"{ours}.feedforward.2", f"{theirs}.fc2")
    yield from links(f"{ours}.feedforward_{norm}", f"{theirs}.final_layer_norm")


def _shared_names(config: VanillaTransformerConfig, own: str) -> tuple[str, ...]:
    """Return the names of embeddings that both sides share, in the order in which `transformers` looks them up."""
    return tuple(dict.fromkeys((own, SHARED, *(OUTPUT,) * config.translates, DECODER, ENCODER)))


def _fit(config: VanillaTransformerConfig, tensors: Mapping[str, Tensor]) -> VanillaTransformerConfig:
    encoder, decoder, output = (_shared_names(config, name) for name in (ENCODER, DECODER, OUTPUT))
    is_own = config.translates and differ(tensors, output if config.shared else (OUTPUT,), decoder)
    is_apart = config.shared and differ(tensors, encoder, decoder)
    return (
        replace(config, untied=True, shared=False) if is_own else replace(config, shared=not is_apart and config.shared)
    )


PUBLISHED = PublishedFormat(
    model_type="marian",
    architectures={"MarianMTModel": ("language",), "MarianModel": ()},
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    prefix="model.",
    ignored=r"^$",
    heads=r"^(lm_head\.|final_logits_bias$)",
    fit=_fit,
    keys=KEYS,
)

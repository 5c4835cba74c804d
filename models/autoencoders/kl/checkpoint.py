"""The published format of this family, which is that of `AutoencoderKL` of the library diffusers."""

from collections.abc import Iterator
from typing import Any

from models.autoencoders.kl.config import KlConfig
from models.errors import CheckpointError
from models.published import Link, PublishedFormat, Values, links, refuse_unknown_keys

KEYS = {
    "n_channels": "in_channels",
    "n_latent_channels": "latent_channels",
    "widths": "block_out_channels",
    "n_layers": "layers_per_block",
    "n_groups": "norm_num_groups",
    "activation": "act_fn",
    "has_attention": "mid_block_add_attention",
    "has_quant_conv": "use_quant_conv",
    "has_post_quant_conv": "use_post_quant_conv",
    "scaling_factor": "scaling_factor",
    "shift_factor": "shift_factor",
    "latents_mean": "latents_mean",
    "latents_std": "latents_std",
    "force_upcast": "force_upcast",
}
"""The key of `config.json` of each hyperparameter."""
BLOCK_TYPES = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}
"""Keys of the types of blocks, one for each size, and the only type that is supported."""
OTHER_KEYS = ("out_channels", "sample_size")
"""Keys that say nothing that others do not: `out_channels` is as `in_channels`, and pictures have any size."""
OLD_NAMES = (
    (r"\.attentions\.0\.query\.", ".attentions.0.to_q."),
    (r"\.attentions\.0\.key\.", ".attentions.0.to_k."),
    (r"\.attentions\.0\.value\.", ".attentions.0.to_v."),
    (r"\.attentions\.0\.proj_attn\.", ".attentions.0.to_out.0."),
)
"""Parts of names that files have from before version 0.15 of the library, and the present ones."""


def _read_config(values: Values, heads: tuple[str, ...]) -> KlConfig:
    refuse_unknown_keys(values, (*KEYS.values(), *BLOCK_TYPES, *OTHER_KEYS))
    given: dict[str, Any] = {name: values[key] for name, key in KEYS.items() if key in values}
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    config = KlConfig(**given)
    if values.get("out_channels", 3) != config.n_channels:
        found = values.get("out_channels", 3)
        raise CheckpointError(f"out_channels is {found!r}; it must be in_channels, {config.n_channels}")
    for key, only in BLOCK_TYPES.items():
        if values.get(key, [only]) != [only] * len(config.widths):
            expected = f"a list of {len(config.widths)} times {only!r}, one for each of block_out_channels"
            raise CheckpointError(f"{key} is {values.get(key, [only])!r}; it must be {expected}")
    return config


def _write_config(config: KlConfig) -> dict[str, Any]:
    values = {key: getattr(config, name) for name, key in KEYS.items()}
    values |= {key: list(value) or None for key, value in values.items() if isinstance(value, tuple)}
    types = {key: [only] * len(config.widths) for key, only in BLOCK_TYPES.items()}
    return {**values, **types, "out_channels": config.n_channels}


def _links(config: KlConfig) -> Iterator[Link]:
    n_sizes, widths = len(config.widths), config.widths
    for network, sizes, n_blocks, resize, place_widths in (
        ("encoder", "down_blocks", config.n_layers, "downsamplers", widths),
        ("decoder", "up_blocks", config.n_layers + 1, "upsamplers", widths[::-1]),
    ):
        yield from links(f"{network}.first", f"{network}.conv_in")
        for size in range(n_sizes):
            changes_width = size > 0 and place_widths[size] != place_widths[size - 1]
            for block in range(n_blocks):
                ours, theirs = f"sizes.{size}.blocks.{block}", f"{sizes}.{size}.resnets.{block}"
                has_shortcut = changes_width and block == 0
                yield from _block_links(f"{network}.{ours}", f"{network}.{theirs}", has_shortcut=has_shortcut)
            if size < n_sizes - 1:
                yield from links(f"{network}.sizes.{size}.resize.1", f"{network}.{sizes}.{size}.{resize}.0.conv")
        yield from _middle_links(config, network)
        yield from links(f"{network}.norm", f"{network}.conv_norm_out")
        yield from links(f"{network}.last", f"{network}.conv_out")
    if config.has_quant_conv:
        yield from links("quant_conv", "quant_conv")
    if config.has_post_quant_conv:
        yield from links("post_quant_conv", "post_quant_conv")


def _middle_links(config: KlConfig, network: str) -> Iterator[Link]:
    ours, theirs = f"{network}.middle", f"{network}.mid_block"
    yield from _block_links(f"{ours}.before", f"{theirs}.resnets.0", has_shortcut=False)
    yield from _block_links(f"{ours}.after", f"{theirs}.resnets.1", has_shortcut=False)
    if config.has_attention:
        attention = f"{theirs}.attentions.0"
        yield from links(f"{ours}.attention.norm", f"{attention}.group_norm")
        yield from links(f"{ours}.attention.qkv", *(f"{attention}.{name}" for name in ("to_q", "to_k", "to_v")))
        yield from links(f"{ours}.attention.out", f"{attention}.to_out.0")


def _block_links(ours: str, theirs: str, *, has_shortcut: bool) -> Iterator[Link]:
    for layer in ("norm1", "conv1", "norm2", "conv2"):
        yield from links(f"{ours}.{layer}", f"{theirs}.{layer}")
    if has_shortcut:
        yield from links(f"{ours}.shortcut", f"{theirs}.conv_shortcut")


PUBLISHED = PublishedFormat(
    model_type="AutoencoderKL",
    type_key="_class_name",
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    keys=KEYS,
    renamed=OLD_NAMES,
)

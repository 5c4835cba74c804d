"""The published format of the tiny autoencoder, which is that of `AutoencoderTiny` of the library diffusers."""

from collections.abc import Iterator, Sequence
from typing import Any

from models.autoencoders.tiny.config import TinyConfig
from models.errors import CheckpointError
from models.published import Link, PublishedFormat, Values, links, refuse_unknown_keys

DEFAULT_WIDTHS = [64, 64, 64, 64]
KEYS = {
    "n_channels": "in_channels",
    "n_latent_channels": "latent_channels",
    "n_encoder_blocks": "num_encoder_blocks",
    "n_decoder_blocks": "num_decoder_blocks",
    "activation": "act_fn",
    "scaling_factor": "scaling_factor",
    "shift_factor": "shift_factor",
}
"""The key of `config.json` of each hyperparameter that has one of the same type."""
FIXED = {"upsampling_scaling_factor": 2, "upsample_fn": "nearest"}
"""Keys with the only value that is supported."""
WIDTH_KEYS = ("encoder_block_out_channels", "decoder_block_out_channels")
UNUSED_KEYS = ("block_out_channels", "force_upcast", "latent_magnitude", "latent_shift", "out_channels", "sample_size")
"""Keys that do not change what the networks compute, and `out_channels`, which must be as `in_channels`."""


def _read_config(values: Values, heads: tuple[str, ...]) -> TinyConfig:
    refuse_unknown_keys(values, (*KEYS.values(), *FIXED, *WIDTH_KEYS, *UNUSED_KEYS))
    for key, only in FIXED.items():
        if values.get(key, only) != only:
            raise CheckpointError(f"{key} is {values[key]!r}; it must be {only!r}")
    n_channels = values.get("in_channels", 3)
    if values.get("out_channels", 3) != n_channels:
        raise CheckpointError(
            f"out_channels is {values.get('out_channels', 3)!r}; it must be in_channels, {n_channels}"
        )
    given: dict[str, Any] = {name: values[key] for name, key in KEYS.items() if key in values}
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    config = TinyConfig(
        **given,
        encoder_width=_width(values, WIDTH_KEYS[0]),
        decoder_width=_width(values, WIDTH_KEYS[1]),
    )
    for key, n_blocks in zip(WIDTH_KEYS, (config.n_encoder_blocks, config.n_decoder_blocks), strict=True):
        if len(values.get(key, DEFAULT_WIDTHS)) != len(n_blocks):
            raise CheckpointError(f"{key} is {values.get(key, DEFAULT_WIDTHS)}; it must have {len(n_blocks)} numbers")
    return config


def _width(values: Values, key: str) -> int:
    """Return the width of a network, which is that of all its blocks: its convolutions do not change it."""
    widths = values.get(key, DEFAULT_WIDTHS)
    if not isinstance(widths, list) or {type(width) for width in widths} != {int} or len(set(widths)) != 1:
        raise CheckpointError(f"{key} is {widths!r}; it must be a list of one whole number, repeated for each size")
    return int(widths[0])


def _write_config(config: TinyConfig) -> dict[str, Any]:
    values: dict[str, Any] = {key: getattr(config, name) for name, key in KEYS.items()}
    n_sizes = len(config.n_encoder_blocks)
    values |= dict(zip(WIDTH_KEYS, ([config.encoder_width] * n_sizes, [config.decoder_width] * n_sizes), strict=True))
    return {**FIXED, **values, "out_channels": config.n_channels}


def _links(config: TinyConfig) -> Iterator[Link]:
    yield from _encoder_links(config.n_encoder_blocks)
    ours = theirs = 2  # behind the first convolution and its activation
    yield from links("decoder.0", "decoder.layers.0")
    *others, last = config.n_decoder_blocks
    for n_blocks in others:
        yield from _blocks("decoder", ours, theirs, n_blocks)
        ours, theirs = ours + n_blocks + 1, theirs + n_blocks + 2  # where the doubling is two layers
        yield from links(f"decoder.{ours - 1}.1", f"decoder.layers.{theirs - 1}", bias=False)
    yield from _blocks("decoder", ours, theirs, last)
    yield from links(f"decoder.{ours + last}", f"decoder.layers.{theirs + last}")


def _encoder_links(n_blocks_by_size: Sequence[int]) -> Iterator[Link]:
    """Yield the links of the encoder: for each size a convolution and its blocks, and a last convolution."""
    start = 0
    for size, n_blocks in enumerate(n_blocks_by_size):
        yield from links(f"encoder.{start}", f"encoder.layers.{start}", bias=size == 0)
        yield from _blocks("encoder", start + 1, start + 1, n_blocks)
        start += n_blocks + 1
    yield from links(f"encoder.{start}", f"encoder.layers.{start}")


def _blocks(network: str, ours: int, theirs: int, n_blocks: int) -> Iterator[Link]:
    """Yield the links of blocks, the first of which is the layer `ours` here and `theirs` in the library."""
    for block in range(n_blocks):
        for layer in (0, 2, 4):
            yield from links(
                f"{network}.{ours + block}.conv.{layer}", f"{network}.layers.{theirs + block}.conv.{layer}"
            )


PUBLISHED = PublishedFormat(
    model_type="AutoencoderTiny",
    type_key="_class_name",
    read_config=_read_config,
    write_config=_write_config,
    links=_links,
    keys=KEYS,
)

"""The tasks `compress` and `decompress`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.compression.quantisation import MAX_BITS, MIN_BITS
from models.autoencoding.compression.stream import Mode, Stream, parse_stream
from models.autoencoding.encoding import decode_one_by_one
from models.autoencoding.latents import check_finite
from models.autoencoding.metrics import psnr, value_range
from models.autoencoding.pictures import PictureAutoencoder
from models.errors import InvalidItems, Problem
from models.tasks.autoencoding import CompressRequest, CompressResult, DecompressRequest, DecompressResult


def compress(model: Autoencoder, requests: Sequence[CompressRequest]) -> list[CompressResult]:
    """Compress the items of each request into a stream, of quantised latents or without loss.

    Raises:
        InvalidItems: `bits` is out of range, the items of a stream differ in shape, a latent overflows, or lossless
            coding is requested and the model does not support it or not for these items.
    """
    return [_compress(model, request) for request in requests]


def decompress(model: Autoencoder, requests: Sequence[DecompressRequest]) -> list[DecompressResult]:
    """Decompress streams that the same model has made.

    Raises:
        InvalidItems: a stream is of another model, is damaged, or has more items than the request allows.
    """
    return [DecompressResult(items=tuple(_read_items(model, r.stream, max_items=r.max_items))) for r in requests]


def _compress(model: Autoencoder, request: CompressRequest) -> CompressResult:
    if not MIN_BITS <= request.bits <= MAX_BITS:
        raise InvalidItems(Problem(f"bits is {request.bits}; it must be {MIN_BITS} to {MAX_BITS}", parameter="bits"))
    shapes = {tuple(item.shape) for item in request.items}
    if len(shapes) > 1:
        found = " and ".join(str([*shape]) for shape in sorted(shapes))
        raise InvalidItems(Problem(f"the items of one stream must have one shape; here are {found}", parameter="chain"))
    items = torch.stack(request.items)
    if not request.lossless:
        latents = model.latents_of(request.items)
        check_finite(latents)
        mode, words = Mode.QUANTISED, model.pack_latents(latents, request.bits)
    elif model.lossless_coder is not None:
        mode, words = Mode.LOSSLESS, model.lossless_coder.pack(request.items)
    else:
        raise InvalidItems(Problem("this model has no lossless coding", parameter="lossless"))
    stream = Stream(
        mode=mode,
        bits=request.bits,
        digest=model.digest,
        n_items=len(items),
        shape=tuple(items.shape[1:]),
        words=words,
    ).to_bytes()
    decompressed = torch.stack(_read_items(model, stream, max_items=len(items)))
    mse = (decompressed - items).square().mean().item()
    bits_per_element = 8 * len(stream) / items.numel()
    low, high = value_range(model.value_range, items)
    return CompressResult(
        stream=stream,
        bits_per_element=bits_per_element,
        ratio=model.stored_bits / bits_per_element,
        mse=mse,
        psnr=psnr(mse, high - low),
    )


def _read_items(model: Autoencoder, data: bytes, *, max_items: int) -> list[Tensor]:
    """Return the items of a stream; see `decompress`."""
    stream = parse_stream(data, digest=model.digest)
    if not 1 <= stream.n_items <= max_items:
        raise InvalidItems(Problem(f"the stream has {stream.n_items} items; a request takes 1 to {max_items}"))
    _check_shape(model, stream.shape)
    if stream.mode is Mode.LOSSLESS and model.lossless_coder is not None:
        items = model.lossless_coder.unpack(stream.words, stream.n_items)
        if items is not None:
            return items
    if stream.mode is Mode.QUANTISED and MIN_BITS <= stream.bits <= MAX_BITS:
        latents = model.unpack_latents(stream.words, stream.bits, stream.n_items, stream.shape)
        if latents is not None:
            return decode_one_by_one(model, latents, [stream.shape] * stream.n_items)
    raise InvalidItems(Problem("the stream's payload makes no sense"))


def _check_shape(model: Autoencoder, shape: tuple[int, ...]) -> None:
    """Raise InvalidItems unless the model has items of that shape."""
    if isinstance(model, PictureAutoencoder):
        fits, expected = model.is_picture(shape), model.pictures
    elif model.max_length is None:
        fits, expected = shape == model.input_shape, str(list(model.input_shape))
    else:
        _, n_channels = model.input_shape
        fits = len(shape) == 2 and 1 <= shape[0] <= model.max_length and shape[1] == n_channels
        expected = f"[1 to {model.max_length}, {n_channels}]"
    if not fits:
        raise InvalidItems(Problem(f"the stream's items have the shape {list(shape)}, the model's {expected}"))

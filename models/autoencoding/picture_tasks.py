"""The tasks of autoencoders of pictures of several sizes: those of one size in a batch are computed together."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from models.autoencoding.anomalies import detect_anomalies
from models.autoencoding.coding import compress, decompress
from models.autoencoding.denoising import denoise
from models.autoencoding.encoding import encode, reconstruct
from models.autoencoding.interpolation import interpolate
from models.autoencoding.pictures import PictureAutoencoder
from models.autoencoding.projection import project
from models.errors import InvalidItems, Problem
from models.family import TaskFunction
from models.tasks import (
    COMPRESS,
    DECODE,
    DECOMPRESS,
    DENOISE,
    DETECT_ANOMALIES,
    ENCODE,
    INTERPOLATE,
    PROJECT,
    RECONSTRUCT,
    Task,
)
from models.tasks.autoencoding import (
    DecodeRequest,
    DecodeResult,
    InterpolateRequest,
    ItemRequest,
    ProjectRequest,
)

Shape = tuple[int, ...]


def by_size(answer: Callable[[Any, Sequence[Any]], Sequence[Any]]) -> TaskFunction:
    """Return a function that answers requests about pictures of several sizes by one that takes those of one size.

    The function raises `InvalidItems` if the pictures of a single request differ in size.
    """

    def answer_each_size(model: PictureAutoencoder, requests: Sequence[Any]) -> list[Any]:
        places: dict[Shape, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(shape_of(request), []).append(place)
        results: dict[int, Any] = {}
        for same in places.values():
            results |= zip(same, answer(model, [requests[place] for place in same]), strict=True)
        return [results[place] for place in range(len(requests))]

    return answer_each_size


def shape_of(request: Any) -> Shape:
    """Return the shape of the pictures of a request, or of its latent.

    Raises:
        InvalidItems: its pictures differ in size.
    """
    match request:
        case DecodeRequest(latent=latent):
            tensors = [latent]
        case InterpolateRequest(start=start, end=end):
            tensors = [start, end]
        case ItemRequest(item=item):
            tensors = [item]
        case ProjectRequest(items=items):
            tensors = list(items)
        case _:
            raise NotImplementedError(f"{type(request).__name__} is no request about pictures")
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        sizes = " and ".join(f"{width} x {height}" for _, height, width in sorted(shapes))
        raise InvalidItems(Problem(f"the pictures have {sizes} pixels; here they must have one size"))
    return shapes.pop()


def decode(model: PictureAutoencoder, requests: Sequence[DecodeRequest]) -> list[DecodeResult]:
    """Map latents of one size to pictures.

    Raises:
        InvalidItems: a request asks for a length, which only series have.
    """
    if any(request.length is not None for request in requests):
        raise InvalidItems(Problem("this is for series, and this model's items are pictures", parameter="length"))
    pictures = model.items_of(torch.stack([request.latent for request in requests]), ())
    return [DecodeResult(reconstruction=picture) for picture in pictures]


PICTURE_TASKS: dict[Task, TaskFunction] = {
    ENCODE: by_size(encode),
    DECODE: by_size(decode),
    RECONSTRUCT: by_size(reconstruct),
    INTERPOLATE: by_size(interpolate),
    PROJECT: by_size(project),
    DENOISE: by_size(denoise),
    COMPRESS: compress,
    DECOMPRESS: decompress,
}
"""Tasks that every autoencoder of pictures of several sizes serves."""
CALIBRATED_TASKS: dict[Task, TaskFunction] = {DETECT_ANOMALIES: by_size(detect_anomalies)}
"""Tasks that such an autoencoder serves as well, once it has been calibrated on normal pictures."""

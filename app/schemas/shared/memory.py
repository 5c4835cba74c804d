"""Estimates of the memory that a request needs, in bytes, from its size and before anything of it is allocated.

Each schema says by one of these how much its results and its answer take: from the moment that the engine has the
results until the answer is rendered. They are upper bounds for usual answers, within a factor of two or three of what
was measured; `tests/app/schemas/test_memory.py` measures.
"""

from collections.abc import Callable, Sequence
from typing import Any

from app.registry.model_sizes import ModelSizes
from models.tasks.autoencoding import DecodeRequest, DecompressRequest, InterpolateRequest, ItemsRequest

Estimate = Callable[[Sequence[Any], Any, ModelSizes], int]
"""Estimates the memory of the results and the answer, from the requests, the body and the sizes of the model."""

NUMBER_BYTES = 36
"""A number of an answer: 8 bytes of the result, 8 of a copy in order, and 20 of text. In float32, it is 4, 4 and 14."""
WEIGHT_BYTES = 22
"""A number in float32."""
REQUEST_BYTES = 2048
"""The objects for one item: its request, its result and its output, with their tensors and dictionaries."""
RECORD_BYTES = 512
"""An entry of an answer with a few fields, such as a label with its score: the object, the dictionary and the text."""
TOKEN_BYTES = 512
"""A token of an answer with its name and its place, or a generated token with its progress through the engine."""
WORD_BYTES = 64
"""A token of a sentence that an answer has: 8 characters on average."""
CHARACTER_BYTES = 8
"""A character of a text that an answer repeats: up to 4 bytes in Python's text, and as much in JSON."""


def of_networks(requests: Sequence[Any], sizes: ModelSizes) -> int:
    """Estimate the memory that the networks take while they compute the largest item of some requests.

    It is 0 for models whose items all have one size, since it is small then. Every estimate of an answer comes on top.
    """
    if not sizes.working_bytes:
        return 0
    n_numbers = max((_largest_item(request, sizes) for request in requests), default=0)
    return sizes.working_bytes_of(n_numbers)


def _largest_item(request: Any, sizes: ModelSizes) -> int:
    """Return the numbers of the largest item that a request has, or makes of a latent or a stream."""
    if isinstance(request, DecodeRequest):
        return sizes.item_of(request.latent.numel())
    if isinstance(request, DecompressRequest):
        return request.item_numbers
    if isinstance(request, InterpolateRequest):
        items: Sequence[Any] = (request.start, request.end)
    else:
        items = request.items if isinstance(request, ItemsRequest) else (request.item,)
    n_numbers: int = max(item.numel() for item in items)
    return n_numbers


def of_numbers(count: Callable[[Sequence[Any], Any, ModelSizes], int]) -> Estimate:
    """Return the estimate for an answer with as many numbers as `count` returns."""
    return lambda requests, body, sizes: REQUEST_BYTES * len(requests) + NUMBER_BYTES * count(requests, body, sizes)


def of_items(per_item: int) -> Estimate:
    """Return the estimate for an answer that has so many numbers for each number of each item."""
    return of_numbers(lambda requests, body, sizes: per_item * sum(request.item.numel() for request in requests))


def of_new_items(requests: Sequence[Any], body: Any, sizes: ModelSizes) -> int:
    """Estimate the memory for an answer that has an item and its latent for each request."""
    if sizes.has_several_sizes:
        n_latent: int = sum(request.latent.numel() for request in requests)
        return len(requests) * REQUEST_BYTES + NUMBER_BYTES * (n_latent + sizes.item_of(n_latent))
    length = getattr(body.parameters, "length", None)
    n_numbers = sizes.latent + max(sizes.item, (length or 0) * sizes.step)
    return len(requests) * (REQUEST_BYTES + NUMBER_BYTES * n_numbers)


def of_sentences(requests: Sequence[Any], body: Any, sizes: ModelSizes) -> int:
    """Estimate the memory for an answer with two of the longest sentences for each request."""
    return len(requests) * (REQUEST_BYTES + 2 * WORD_BYTES * sizes.item)


def of_records(per_request: Callable[[Any, Any, ModelSizes], int]) -> Estimate:
    """Return the estimate for an answer with as many entries for each request as `per_request` returns."""
    return lambda requests, body, sizes: sum(
        REQUEST_BYTES + RECORD_BYTES * per_request(request, body, sizes) for request in requests
    )


def of_labels(requests: Sequence[Any], body: Any, sizes: ModelSizes) -> int:
    """Estimate the memory for an answer with the labels of each item."""
    n_labels: int = min(sizes.labels, body.parameters.top_k or sizes.labels)
    return len(requests) * (REQUEST_BYTES + RECORD_BYTES * n_labels)


def of_tokens(requests: Sequence[Any], body: Any, sizes: ModelSizes) -> int:
    """Estimate the memory for an answer with an entry for each token, and a number for each of its labels."""
    n_tokens: int = sum(request.cost for request in requests)
    return REQUEST_BYTES * len(requests) + n_tokens * (TOKEN_BYTES + WEIGHT_BYTES * sizes.labels)


def of_generation(requests: Sequence[Any], body: Any, sizes: ModelSizes) -> int:
    """Estimate the memory for generated texts, with what the model keeps of each token while it generates.

    Of that, only as many sequences count as the model generates at the same time.
    """
    n_bytes = n_rows = longest = 0
    for request in requests:
        n_new = min(request.max_new_tokens or request.default_new_tokens, sizes.item)
        per_token = TOKEN_BYTES + RECORD_BYTES * request.n_alternatives
        n_bytes += REQUEST_BYTES + request.n_rows * n_new * per_token
        n_rows += request.n_rows
        longest = max(longest, min(request.cost + n_new, sizes.item))
    return n_bytes + min(n_rows, sizes.max_rows) * longest * sizes.cache_bytes

"""The task `impute`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.windows import reconstructions
from models.errors import InvalidItems, Problem
from models.ops.cooperation import begin_part
from models.tasks.autoencoding import ImputeRequest, ImputeResult


def impute(model: Autoencoder, requests: Sequence[ImputeRequest]) -> list[ImputeResult]:
    """Fill the gaps of items, which are NaN.

    Each iteration reconstructs the item and takes the values in the gaps from the reconstruction. The first iteration
    starts from the mean of the observed elements or, for series, from straight lines between them.

    Source: Rezende, Mohamed, Wierstra 2014, appendix F, with the mean of the posterior in place of a draw.

    Raises:
        InvalidItems: an item consists of gaps alone.
    """
    missing = [request.item.isnan() for request in requests]
    for gaps in missing:
        if gaps.all():
            raise InvalidItems(Problem("every element is null or NaN; at least one must be observed"))
    is_series = model.max_length is not None or model.windows is not None
    fill = fill_linearly if is_series else fill_with_mean
    items = [fill(request.item, gaps) for request, gaps in zip(requests, missing, strict=True)]
    for iteration in range(max(request.iterations for request in requests)):
        begin_part()
        unfinished = [i for i, request in enumerate(requests) if iteration < request.iterations]
        restored = reconstructions(model, [items[i] for i in unfinished])
        for i, reconstruction in zip(unfinished, restored, strict=True):
            items[i] = torch.where(missing[i], reconstruction, items[i])
    return [ImputeResult(imputed=item) for item in items]


def fill_with_mean(item: Tensor, missing: Tensor) -> Tensor:
    """Set the missing elements to the mean of the observed ones."""
    mean = item[~missing].mean()
    return torch.where(missing, mean, item)


def fill_linearly(series: Tensor, missing: Tensor) -> Tensor:
    """Interpolate the missing elements of a series `[T, C]` linearly between the observed ones, channel by channel.

    Gaps at the ends continue the nearest observed element. A channel without observed elements is zero.
    """
    channels = []
    for values, gaps in zip(series.unbind(1), missing.unbind(1), strict=True):
        observed = (~gaps).nonzero().squeeze(1)
        if len(observed) == 0:
            channels.append(torch.zeros_like(values))
            continue
        time = torch.arange(len(values))
        right = torch.searchsorted(observed, time).clamp(max=len(observed) - 1)
        left = (right - 1).clamp(min=0)
        t0, t1 = observed[left], observed[right]
        share = ((time - t0).to(values.dtype) / (t1 - t0).clamp(min=1)).clamp(0, 1)
        line = torch.lerp(values[t0], values[t1], share)
        channels.append(torch.where(gaps, line, values))
    return torch.stack(channels, 1)

"""Where imputation starts from."""

import torch
from torch import Tensor


def levelled(item: Tensor, missing: Tensor) -> Tensor:
    """`item` with its missing elements set to the mean of the observed ones."""
    return torch.where(missing, item[~missing].mean(), item)


def bridged(series: Tensor, missing: Tensor) -> Tensor:
    """`[T, C]` with gaps bridged by straight lines, and the ends continued; a channel of gaps only is zero."""
    columns = []
    for values, gaps in zip(series.unbind(1), missing.unbind(1), strict=True):
        observed = (~gaps).nonzero().squeeze(1)
        if len(observed) == 0:
            columns.append(torch.zeros_like(values))
            continue
        time = torch.arange(len(values))
        right = torch.searchsorted(observed, time).clamp(max=len(observed) - 1)
        left = (right - 1).clamp(min=0)
        t0, t1 = observed[left], observed[right]
        share = ((time - t0) / (t1 - t0).clamp(min=1)).clamp(0, 1)
        bridge = torch.lerp(values[t0], values[t1], share)
        columns.append(torch.where(gaps, bridge, values))
    return torch.stack(columns, 1)

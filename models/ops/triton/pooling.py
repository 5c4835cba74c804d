"""One vector of each text.

Shapes: `N` tokens of all texts, `B` texts, `D` width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.ops.devices import to_device
from models.ops.segments import Segments
from models.ops.triton.launch import launch, next_power_of_2
from models.tasks.text import Pooling

ELEMENTS_AT_ONCE = 8192
"""Number of elements, of several tokens, that a kernel reads at once."""


def pool(
    x: Tensor, segments: Segments, order: Sequence[int], pooling: Pooling, n_kept: int, *, is_unit: bool
) -> Tensor:
    """Return one vector of each text, `[B, n_kept]` in float32, as `models.ops.pooling.pool` describes, on the GPU."""
    spans = to_device(torch.from_numpy(np.stack([*segments.spans, order]).astype(np.int32)), x.device)
    out = torch.empty((len(order), n_kept), device=x.device)
    n_columns = next_power_of_2(n_kept)
    n_tokens = max(1, ELEMENTS_AT_ONCE // n_columns)
    arguments = x, spans, out, x.stride(0), len(order), n_kept
    launch("pool", (len(order), 1, 1), arguments, (n_columns, n_tokens, pooling, is_unit))
    return out

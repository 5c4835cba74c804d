"""What tests of operations share: the dtypes of the compiled kernels, and how to do without kernels."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.ops import avx512
from models.ops.avx512 import library

CPU = torch.device("cpu")
DTYPES = [dtype for dtype in (torch.float32, torch.bfloat16) if avx512.supports_dtype(dtype, CPU)]
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}
needs_kernels = pytest.mark.skipif(avx512.unavailable_reason() is not None, reason=str(avx512.unavailable_reason()))


def disable_cpu_kernels(patch: pytest.MonkeyPatch) -> None:
    """Let operations choose as on a processor for which there are no compiled kernels."""
    patch.setattr(library, "unavailable_reason", lambda: "disabled by a test")


@contextmanager
def no_cpu_kernels() -> Iterator[None]:
    """Disable the compiled kernels inside."""
    with pytest.MonkeyPatch.context() as patch:
        disable_cpu_kernels(patch)
        yield


def assert_near(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """Compare numbers that were computed in a dtype, relatively and absolutely."""
    assert_close(found.float(), expected.float(), rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])

"""Tensors in the layouts that kernels read."""

from torch import Tensor


def contiguous(x: Tensor) -> Tensor:
    """Return x, contiguous. Torch is called only if needed, because each call releases the interpreter lock."""
    return x if x.is_contiguous() else x.contiguous()


def aligned_heads(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return tensors `[N, H, d]` in which the heads of a token are adjacent, and all of which have the same stride."""
    first = tensors[0]
    is_aligned = all(tensor.stride() == (first.stride(0), first.shape[2], 1) for tensor in tensors)
    return tensors if is_aligned else tuple(tensor.contiguous() for tensor in tensors)

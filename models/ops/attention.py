"""Scaled dot-product attention over texts of mixed length in one row (Vaswani et al. 2017, section 3.2).

Shapes: `N` tokens of all texts, `B` texts, `H` heads, `d` width of a head, `T` tokens of the longest text.
"""

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.ops import avx512, reference, triton
from models.ops.flash import flash_attention, supports_flash
from models.ops.patterns import AttentionContext
from models.ops.segments import Segments

MAX_SHORT_TEXT = 256
"""Maximum number of tokens of a text whose attention the project's GPU kernel computes faster than torch."""


def attention(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float, *, causal: bool = False) -> Tensor:
    """Return softmax(scale q k') v within each text, all `[N, H, d]`.

    If `causal`, each token attends to its text only up to itself.
    """
    if triton.supports_attention(q) and (max(segments.lengths) <= MAX_SHORT_TEXT or not supports_flash(q)):
        return triton.attention(q, k, v, segments, scale, causal=causal)
    if supports_flash(q):
        return flash_attention(q, k, v, segments, segments, scale, causal=causal)
    if avx512.supports_tensor(q):
        return attend_in_context(q, (k, v), context_within_texts(segments, causal=causal), scale)
    return reference.attention(q, k, v, segments, scale, causal=causal)


def biased_attention(q: Tensor, k: Tensor, v: Tensor, segments: Segments, bias: Tensor, scale: float) -> Tensor:
    """Return softmax(scale q k' + bias) v within each text, all `[N, H, d]`.

    `bias`, `[H, T, T]` for the longest text, is added to the scores of each pair of places in a text. Of all
    implementations, only torch's own takes a bias.
    """
    return reference.attention(q, k, v, segments, scale, bias=bias)


def context_within_texts(segments: Segments, *, causal: bool) -> AttentionContext:
    """Return what tokens attend to within their texts, for kernels. It is made once for the segments."""
    return segments.derived(_causal_context if causal else _full_context)


def _full_context(segments: Segments) -> AttentionContext:
    return AttentionContext.within_texts(segments, causal=False)


def _causal_context(segments: Segments) -> AttentionContext:
    return AttentionContext.within_texts(segments, causal=True)


def attend_in_context(q: Tensor, new: tuple[Tensor, Tensor] | None, context: AttentionContext, scale: float) -> Tensor:
    """Return softmax(scale q k') v over what a context describes, `[N, H, d]`, by compiled kernels for CPUs.

    `new` are the keys and values of the tokens themselves, if they bring any. Kernels must support the dtype of q.
    """
    return avx512.attend(q, new, context, scale)


def suffix_attention(q: Tensor, k: Tensor, v: Tensor, queries: Segments, keys: Segments, scale: float) -> Tensor:
    """Return the causal attention of the last tokens of each text, q, to the whole text, k and v: `[N, H, d]`."""
    if supports_flash(q):
        return flash_attention(q, k, v, queries, keys, scale, causal=True)
    return reference.suffix_attention(q, k, v, queries, keys, scale)


def block_attention(q: Tensor, k: Tensor, v: Tensor, block_table: Tensor, scale: float, *, causal: bool) -> Tensor:
    """Return softmax(scale q k') v within each text, `[N, H, d]`, where texts are given by a tensor.

    `block_table` is that of `Segments.block_table`, on the device of q. A recorded CUDA graph reads other texts from it
    in each replay. Blocks of zeros are computed in vain.
    """
    if triton.supports_attention(q):
        return triton.block_attention(q, k, v, block_table, scale, causal=causal)
    return reference.block_attention(q, k, v, block_table, scale, causal=causal)


def fits_block_attention(weight: Tensor, head_width: int) -> bool:
    """Return whether a model with such weights is on a GPU whose kernel supports heads of this width."""
    head_bytes = head_width * weight.element_size()
    return weight.is_cuda and head_bytes <= triton.MAX_HEAD_BYTES


def padded_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Return softmax(scale q k' + bias) v of padded texts, `[B, H, T, d]`, so that gradients are fast.

    On a CPU that takes plain products: the gradient of torch's function takes four times as long.
    """
    if q.is_cuda:
        bias = None if bias is None else bias.to(q.dtype)
        return scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return reference.plain_attention(q, k, v, bias, scale)

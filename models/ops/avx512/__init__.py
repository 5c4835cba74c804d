"""Linear layers and attention on CPUs with AVX-512: each call does at once what takes torch several operations.

`kernels.cpp` is compiled where the package is installed (`hatch_build.py`). Without it, or on another processor, models
use torch's operations instead. A call lets the interpreter lock go and runs on torch's number of threads, or on as many
as `threads` says.

Shapes: `N` rows or tokens, `I` inputs, `O` outputs, `B` texts, `H` heads, `d` width of a head, `T` tokens there is room
for.
"""

import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import Structure, addressof, c_double, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ops.segments import Segments

LIBRARY = Path(__file__).with_name("kernels.so")


Gelu = Literal["none", "tanh"]
"""Exact, or by its tanh; as torch names them."""


_GELUS: dict[Gelu | None, int] = {None: 0, "none": 1, "tanh": 2}


_PANEL, _LINE_BYTES = 64, 4


_STEPS = 127
"""Of a row in int8, from zero to its largest value."""


ZERO = 128
"""What a zero of the input is stored as: products of int8 take it without a sign, and weights with one."""


SMALLEST = 1e-30
"""Width of a step, for a row of zeros has none."""


_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "linear": (c_void_p, c_int64, c_void_p, c_void_p, c_int64),
    "add_norm": (*[c_void_p] * 4, c_int64, c_int64, c_double, c_void_p, c_int64),
    "attend": (*[c_void_p] * 3, *[c_int64] * 4, c_void_p, c_float, c_void_p, c_int64),
    "blocks": (c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_void_p, c_int64),
    "likeliest": (c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_int64),
    "embed": (*[c_void_p] * 4, c_int64, c_void_p, c_int64),
    "pool": (c_void_p, c_int64, c_void_p, c_void_p, *[c_int64] * 4, c_void_p, c_int64),
}


_RESULTS = {"embed": c_int64}


@cache
def unavailable_reason() -> str | None:
    """Why there are no kernels here; None where there are."""
    if not torch.cpu._is_avx512_supported():
        return "the processor has no AVX-512"
    if not LIBRARY.exists():
        return "they were not compiled when this was installed; that takes Linux and g++"
    try:
        _library()
    except OSError as error:
        return str(error)
    return None


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(LIBRARY), mode=os.RTLD_NOW)


@cache
def function(name: str, dtype: torch.dtype) -> Any:
    """For values of this type."""
    function = getattr(_library(), f"{name}_{str(dtype).removeprefix('torch.')}")
    function.argtypes, function.restype = _FUNCTIONS[name], _RESULTS.get(name)
    return function


def supports_dtype(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether there are kernels for values of this type."""
    if device.type != "cpu" or unavailable_reason() is not None:
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.cpu._is_avx512_bf16_supported())


def supports_tensor(x: Tensor) -> bool:
    """Whether there are kernels for such values, and none is to be learnt through them."""
    return supports_dtype(x.dtype, x.device) and not (torch.is_grad_enabled() and x.requires_grad)


def is_fastest_for(weights: torch.dtype, values: torch.dtype) -> bool:
    """Return whether `Weights` of one type are the fastest way to multiply values of another.

    Where the processor has tiles (AMX), torch multiplies bfloat16 faster. It does not multiply int8 faster.
    """
    if not supports_dtype(values, torch.device("cpu")):
        return False
    if weights == torch.int8:
        return torch.cpu._is_vnni_supported()
    has_faster_tiles = weights == torch.bfloat16 and torch.cpu._is_amx_tile_supported()
    return weights == values and not has_faster_tiles


_here = threading.local()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Within it, the calls of this thread run on so many.

    Those that help are the same for all who call, one caller at a time; others work alone meanwhile.
    """
    before = getattr(_here, "n", None)
    _here.n = n
    try:
        yield
    finally:
        _here.n = before


def n_threads() -> int:
    """Of the calls of this thread."""
    return getattr(_here, "n", None) or torch.get_num_threads()


class _Layer(Structure):
    """`Layer` of `linear.hpp`."""

    _fields_ = (
        *((name, c_void_p) for name in ("panels", "firsts", "scales", "bias")),
        *((name, c_int64) for name in ("n_in", "n_out", "activation")),
    )


class Weights:
    """Of a linear layer, in panels of 64 outputs as the kernel reads them, and of the GELU after it, if there is one.

    `firsts` are what the sums of a row begin with: the bias or, with weights in int8, minus what zeros of the input
    give, which have a value there; `scales` and `bias` are of int8 alone.
    """

    def __init__(
        self,
        panels: Tensor,
        firsts: Tensor,
        sizes: torch.Size,
        gelu: Gelu | None,
        scales: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        self.n_out, self.n_in = sizes
        self._parts = (panels, firsts, scales, bias)
        self.layer = _Layer(*map(address, self._parts), self.n_in, self.n_out, _GELUS[gelu])

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None) -> "Weights":
        """`[O, I]` in float32 or bfloat16, and `[O]`."""
        return cls(_panels(weight.detach()), _whole(_bias(bias, len(weight))), weight.shape, gelu)

    @classmethod
    def rounded(cls, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None) -> "Weights":
        """In int8, see `rounded_rows`."""
        steps, scales = rounded_rows(weight)
        firsts = -ZERO * steps.sum(1, dtype=torch.int32)
        return cls(_panels(steps), _whole(firsts), weight.shape, gelu, scales, _bias(bias, len(weight)))

    @property
    def n_bytes(self) -> int:
        """Of all of it."""
        return sum(part.nbytes for part in self._parts if part is not None)


def rounded_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of `[O, I]` in 255 steps between minus and plus the largest of each: int8, and the width of a step `[O]`."""
    weight = weight.detach().float()
    scales = (weight.abs().amax(1) / _STEPS).clamp(min=SMALLEST)
    return (weight / scales[:, None]).round().to(torch.int8), scales


def linear(x: Tensor, weights: Weights) -> Tensor:
    """x W' + b, then GELU where it belongs to the weights: `[N, I]` to `[N, O]` of the same type.

    Rows come one by one to the same result as together. With weights in int8, each row is rounded to 255 steps between
    minus and plus its largest value (Dettmers et al. 2022, section 2.1, "vector-wise quantisation").
    """
    x = contiguous(x)
    out = x.new_empty(len(x), weights.n_out)
    function("linear", x.dtype)(x.data_ptr(), len(x), addressof(weights.layer), out.data_ptr(), n_threads())
    return out


def add_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm(x + added): all `[N, I]`, of the type of the norm's weights."""
    x, added = contiguous(x), contiguous(added)
    out = torch.empty_like(x)
    function("add_norm", x.dtype)(
        x.data_ptr(),
        added.data_ptr(),
        norm.weight.data_ptr(),
        norm.bias.data_ptr(),
        len(x),
        x.shape[1],
        norm.eps,
        out.data_ptr(),
        n_threads(),
    )
    return out


class AttentionContext(Structure):
    """What tokens see, of one layer: `AttentionContext` of `attention.hpp`. What it was made of is to outlive it."""

    _fields_ = (
        ("bounds", c_void_p),
        ("n_texts", c_int64),
        ("causal", c_int64),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("room", c_int64),
        ("lengths", c_void_p),
    )

    @classmethod
    def within_texts(cls, segments: Segments, *, causal: bool) -> "AttentionContext":
        """All of their text or, if causal, what stands no later."""
        return cls(bounds=segments.bounds.data_ptr(), n_texts=len(segments), causal=causal)

    @classmethod
    def of_cache(cls, memory: Tensor, lengths: Tensor) -> "AttentionContext":
        """One token of each text sees the first of those remembered: `lengths[i]`, int64, of text i.

        `memory`, keys and values `[2, ≥ B, H, T, d]`, is a whole tensor of the type of the queries. What the token
        brings becomes the last of those first.
        """
        keys, room = memory.data_ptr(), memory.shape[3]
        return cls(keys=keys, values=keys + memory.nbytes // 2, room=room, lengths=lengths.data_ptr())

    @classmethod
    def of_prompt_parts(cls, segments: Segments, memory: Tensor, lengths: Tensor) -> "AttentionContext":
        """The tokens of each text become the last of those remembered, and see these up to themselves."""
        seen = cls.of_cache(memory, lengths)
        seen.bounds, seen.n_texts, seen.causal = segments.bounds.data_ptr(), len(segments), True
        return seen


def attend(q: Tensor, new: tuple[Tensor, Tensor] | None, seen: AttentionContext, scale: float) -> Tensor:
    """softmax(scale q k') v over what each token sees, `[N, H, d]`; `new` are their own keys and values, if any."""
    q, *written = _alike(q, *(new or ()))
    k, v = written or (None, None)
    out = q.new_empty(q.shape)
    function("attend", q.dtype)(
        q.data_ptr(),
        address(k),
        address(v),
        q.stride(0),
        *q.shape,
        addressof(seen),
        scale,
        out.data_ptr(),
        n_threads(),
    )
    return out


class Norm(Structure):
    """`Norm` of `norm.hpp`: a layer that is to outlive it."""

    _fields_ = (("weight", c_void_p), ("bias", c_void_p), ("eps", c_double))

    @classmethod
    def of(cls, norm: nn.LayerNorm) -> "Norm":
        """Of torch's."""
        return cls(norm.weight.data_ptr(), norm.bias.data_ptr(), norm.eps)


_NORMS = ("attention_norm", "feedforward_norm", "crossing_norm")


class _Block(Structure):
    """`Block` of `block.hpp`."""

    _fields_ = (
        *((name, _Layer) for name in ("qkv", "out", "up", "down", "crossing_q", "crossing_out")),
        *((name, Norm) for name in _NORMS),
        ("n_heads", c_int64),
        ("norm_first", c_int64),
    )


class Block:
    """The weights of a block: those of queries, keys and values in one, of what is seen, and of the network after it.

    Of cross-attention, where there is some, those of queries, and of what is seen. The norms are those of attention, of
    the network and of cross-attention; `norm_first` says whether they stand before or after. `dtype` is of the values.
    """

    def __init__(
        self, layers: Sequence[Weights], norms: Sequence[nn.LayerNorm], n_heads: int, *, norm_first: bool
    ) -> None:
        self._kept = layers, norms
        self.dtype = norms[0].weight.dtype
        its = {name: Norm.of(norm) for name, norm in zip(_NORMS, norms, strict=False)}
        self.block = _Block(*(one.layer for one in layers), n_heads=n_heads, norm_first=norm_first, **its)
        qkv, _, up, *_ = layers
        self.n_space: int = qkv.n_in + max(4 * qkv.n_in, up.n_out)


class Turn(NamedTuple):
    """A block; what its tokens see of their own row, and of another where it crosses; the factors on the scores."""

    block: Block
    seen: AttentionContext
    scale: float
    across: AttentionContext = AttentionContext()
    crossing_scale: float = 1.0


class _Turn(Structure):
    """`Turn` of `block.hpp`."""

    _fields_ = (
        ("block", c_void_p),
        ("seen", AttentionContext),
        ("across", AttentionContext),
        ("scale", c_double),
        ("crossing_scale", c_double),
    )


def blocks(x: Tensor, turns: Sequence[Turn]) -> Tensor:
    """`[N, I]` through blocks, to the same."""
    x = contiguous(x)
    space, out = x.new_empty(len(x) * turns[0].block.n_space), x.new_empty(x.shape)
    its = (_Turn(addressof(t.block.block), t.seen, t.across, t.scale, t.crossing_scale) for t in turns)
    given = (_Turn * len(turns))(*its)
    function("blocks", x.dtype)(
        addressof(given), len(turns), x.data_ptr(), len(x), space.data_ptr(), out.data_ptr(), n_threads()
    )
    return out


def likeliest(scores: Tensor) -> list[tuple[int, float]]:
    """Of each row of `[N, V]` the first of the largest, and its log-probability; NaN where one of them is."""
    scores = contiguous(scores)
    n_rows, n = scores.shape
    places, shares = (c_int64 * n_rows)(), (c_float * n_rows)()
    function("likeliest", scores.dtype)(scores.data_ptr(), n_rows, n, addressof(places), addressof(shares), n_threads())
    return list(zip(places, shares, strict=True))


def _panels(weight: Tensor) -> Tensor:
    """`[O / 64, I / n, 64, n]`, where n weights take four bytes; zeros fill it up."""
    n = _LINE_BYTES // weight.element_size()
    padded = functional.pad(weight, (0, -weight.shape[1] % n, 0, -weight.shape[0] % _PANEL))
    return padded.view(-1, _PANEL, padded.shape[1] // n, n).transpose(1, 2).contiguous()


def _bias(bias: Tensor | None, n_out: int) -> Tensor:
    return torch.zeros(n_out) if bias is None else bias.detach().float().clone()


def _whole(values: Tensor) -> Tensor:
    """For whole panels."""
    return functional.pad(values, (0, -len(values) % _PANEL))


def address(tensor: Tensor | None) -> int | None:
    """Of its values; null where there is none."""
    return None if tensor is None else tensor.data_ptr()


def contiguous(x: Tensor) -> Tensor:
    """Each operation of torch lets the interpreter lock go, even one that does nothing, and waits for it again."""
    return x if x.is_contiguous() else x.contiguous()


def _alike(*tensors: Tensor) -> tuple[Tensor, ...]:
    """With heads side by side, and with one stride from token to token."""
    one = tensors[0]
    is_alike = all(tensor.stride() == (one.stride(0), one.shape[2], 1) for tensor in tensors)
    return tensors if is_alike else tuple(tensor.contiguous() for tensor in tensors)

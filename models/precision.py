"""The precision in which a model computes: how it is chosen, how a model is converted, and what the conversion costs.

Weights are stored in float32, in which calibrations were measured as well. `bfloat16` and `float16` apply to weights
and to all that is computed. `int8` applies to the products of a Transformer's linear layers; all else is in bfloat16
where that was measured to make the products faster, and otherwise in float32. On CPUs, linear layers are packed
(`models/ops/linear.py`), and so are the word embeddings by which tokens are scored, on GPUs as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoding.autoencoder import Autoencoder
from models.errors import CheckpointError, ConfigError
from models.family import Model
from models.generation.generator import Generator
from models.layers.packed_linear import PackedLinear
from models.layers.weight_derived_cache import WeightDerivedCache
from models.ops.linear import can_pack
from models.product_times import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    INT8,
    INT8_OF_BFLOAT16,
    NOT_MEASURED,
    Arithmetic,
    is_faster,
    measure_products,
)
from models.smoothing import smoothing_factors

Precision = Literal["float32", "bfloat16", "float16", "int8"]
"""A precision in which models compute."""

RequestedPrecision = Precision | Literal["auto"]
"""A precision as it is requested in the settings; `auto` means the best one for a model on its device."""

_ARITHMETIC: dict[Precision, Arithmetic] = {"float32": FLOAT32, "bfloat16": BFLOAT16, "float16": FLOAT16}

NO_FACTORS: Mapping[nn.Module, Tensor] = MappingProxyType({})
"""The factors on the inputs of layers that have none."""
N_COMPARED = 16
"""Number of random items whose codes are compared before and after a conversion."""


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """A precision and the reason why it was chosen."""

    precision: Precision
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """A conversion of a model to a precision.

    Attributes:
        precision: the precision in which the model computes now.
        reason: why it was chosen.
        cosine: the least cosine between the code of a random item and its code in float32.
    """

    precision: Precision
    reason: str
    cosine: float


def choose_precision(
    default: RequestedPrecision,
    requested: Precision | None,
    modality: str,
    device: torch.device,
    runtime: str | None = None,
    times: Mapping[Arithmetic, float] = NOT_MEASURED,
    *,
    overflows: bool = False,
) -> PrecisionChoice:
    """Choose the precision of a model by its modality, its device, what is requested for it, and the default of all.

    A model whose networks another library computes, the `runtime`, is in float32 on the CPU, whatever the default.
    `auto` rests on the times that the products of the model take on the device (`measure_products`). A model that
    `overflows` in float16, as its checkpoint says, is in float32 instead.

    Raises:
        ConfigError: the precision does not exist for such a model or on such a device.
    """
    if runtime is not None:
        if device.type != "cpu":
            raise ConfigError(f"the device is {device}; {runtime} computes this model on the CPU")
        if requested not in (None, "float32"):
            raise ConfigError(f"dtype is {requested}; {runtime} computes this model in float32")
        return PrecisionChoice("float32", f"what {runtime} computes it in")
    wanted = requested or default
    is_text, is_cpu = modality == "text", device.type == "cpu"
    if wanted == "int8" and not is_cpu:
        raise ConfigError(f"dtype is int8, which is for CPUs; the device is {device}")
    if unsuited := _why_unsuited(wanted, is_text=is_text, overflows=overflows):
        if requested:
            raise ConfigError(f"dtype is {requested}, which {unsuited}")
        return PrecisionChoice("float32", f"{wanted} {unsuited}")
    if wanted != "auto":
        return PrecisionChoice(wanted, "as set")
    if not is_text:
        return PrecisionChoice("float32", "what it is calibrated in, and its streams are decoded in")
    if is_cpu:
        return PrecisionChoice("float32", f"the exact one; {_faster_than_float32(times)}")
    return PrecisionChoice(_fastest_of_gpu(times), f"the fastest of {device}")


def _why_unsuited(wanted: RequestedPrecision, *, is_text: bool, overflows: bool) -> str:
    """Return what keeps a model from the precision that is wanted, as a predicate of it; nothing if nothing does."""
    if wanted == "int8" and not is_text:
        return "is for Transformers; others take float32, bfloat16 and float16"
    if wanted == "float16" and overflows:
        return "overflows in this model, as force_upcast says in its config.json"
    return ""


def _fastest_of_gpu(times: Mapping[Arithmetic, float]) -> Precision:
    fastest: Precision = "float16" if is_faster(times, FLOAT16, BFLOAT16) else "bfloat16"
    return "float32" if times and not is_faster(times, _ARITHMETIC[fastest], FLOAT32) else fastest


def _faster_than_float32(times: Mapping[Arithmetic, float]) -> str:
    """Return a clause about the other precisions of a CPU."""
    ways = {"bfloat16": (BFLOAT16,), "int8": (INT8, INT8_OF_BFLOAT16)}
    faster = [name for name, own in ways.items() if any(is_faster(times, way, FLOAT32) for way in own)]
    if not faster:
        return "no other is faster here"
    return f"{' and '.join(faster)} {'is' if len(faster) == 1 else 'are'} faster here"


def convert(model: Model, choice: PrecisionChoice) -> Conversion:
    """Convert a model in float32 to a precision. It cannot be trained or converted again.

    Raises:
        CheckpointError: a weight is larger than the precision can represent.
    """
    precision, device = choice.precision, next(chain(model.parameters(), model.buffers())).device
    dtype = _compute_dtype(model, precision, device)
    cosine = 1.0
    with torch.inference_mode():
        if precision == "float32":
            _pack(model, precision, dtype, device)
        else:
            codes = model.random_codes(N_COMPARED)
            if isinstance(model, Autoencoder):
                _ = model.lossless_coder  # made once, of the weights as they are in the file
            _cast(model, precision, dtype, device)
            cosine = float(functional.cosine_similarity(codes, model.random_codes(N_COMPARED), dim=1).min())
    return Conversion(precision=precision, reason=choice.reason, cosine=cosine)


def pack_linears(
    module: nn.Module, dtype: torch.dtype, *, int8: bool = False, factors: Mapping[nn.Module, Tensor] = NO_FACTORS
) -> None:
    """Replace all linear layers in a module by packed ones for inputs of a dtype. A GELU that follows becomes part.

    In int8, some layers may have `factors` on their inputs.
    """
    if isinstance(module, WeightDerivedCache):
        module.clear_derived()
    children = list(module.named_children())
    for (name, child), (next_name, following) in zip(children, [*children[1:], ("", None)], strict=False):
        if not isinstance(child, nn.Linear):
            pack_linears(child, dtype, int8=int8, factors=factors)
            continue
        gelu: Literal["none", "tanh"] | None = None
        if isinstance(module, nn.Sequential) and isinstance(following, nn.GELU):
            gelu = "tanh" if following.approximate == "tanh" else "none"
            setattr(module, next_name, nn.Identity())
        packed = PackedLinear(child.weight, child.bias, gelu, int8=int8, factors=factors.get(child), dtype=dtype)
        setattr(module, name, packed)


def _compute_dtype(model: Model, precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of all values of a model that is not packed yet, except for the weights of products in int8."""
    if precision == "int8":
        return torch.bfloat16 if is_faster(measure_products(model, device), INT8_OF_BFLOAT16, INT8) else torch.float32
    return _ARITHMETIC[precision].inputs


def _cast(model: Model, precision: Precision, dtype: torch.dtype, device: torch.device) -> None:
    """Cast the weights of a model, then pack them. In int8 they are packed first, because it is made of float32."""
    if precision == "int8":
        _pack(model, precision, dtype, device)
    model.to(dtype)
    if broken := sorted(name for name, weight in model.state_dict().items() if not weight.isfinite().all()):
        raise CheckpointError(f"NaN or infinity is in {broken}, cast to {precision}")
    if precision != "int8":
        _pack(model, precision, dtype, device)


def _pack(model: Model, precision: Precision, dtype: torch.dtype, device: torch.device) -> None:
    """Pack the linear layers of a model where that is possible. On GPUs, only the scores of tokens are faster so."""
    reads_weights = isinstance(model, Autoencoder) and model.reads_weights
    if reads_weights or not can_pack(getattr(torch, precision), device):
        return
    is_int8 = precision == "int8"
    factors = smoothing_factors(model, lambda: model.random_codes(N_COMPARED)) if is_int8 else NO_FACTORS
    if isinstance(model, Generator):
        model.pack_output_embeddings(dtype, int8=is_int8)
    if device.type == "cpu":
        pack_linears(model, dtype, int8=is_int8, factors=factors)

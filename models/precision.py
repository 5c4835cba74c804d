"""The type a model computes in: what a device is good at, how a model is turned to it, and how far it then strays.

Weights are read, and calibration was measured, in float32. `bfloat16` and `float16` are of weights and of all that is
computed with them. `int8` is of the products of a Transformer's linear layers; the rest is in bfloat16 where the device
is fast in it, and otherwise in float32. The weights of those layers on a CPU, and of scores of words on a GPU, are laid
out for what computes them (`models/layers/products.py`).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from models.autoencoding.autoencoder import Autoencoder
from models.errors import CheckpointError, ConfigError
from models.family import Model
from models.generation.generator import Generator
from models.layers.packed_linear import pack_linears

Precision = Literal["float32", "bfloat16", "float16", "int8"]
Wanted = Precision | Literal["auto"]
N_COMPARED = 16


@dataclass(frozen=True, slots=True)
class Choice:
    """A precision, and why it is this one."""

    precision: Precision
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lowered:
    """What a model computes in, why, and the least cosine of a random item's code to what it is in float32."""

    precision: Precision
    reason: str
    cosine: float


def choose(general: Wanted, own: Precision | None, modality: str, device: torch.device) -> Choice:
    """What a model of texts, or of items of another modality, is to compute in, by what is set for all and for it.

    Raises:
        ConfigError: there is no such thing there.
    """
    wanted = own or general
    is_text, is_cpu = modality == "text", device.type == "cpu"
    if wanted == "int8" and not is_cpu:
        raise ConfigError(f"dtype is int8, which is for CPUs; the device is {device}")
    if own == "int8" and not is_text:
        raise ConfigError("dtype is int8, which is for Transformers; others take float32, bfloat16 and float16")
    if wanted == "int8" and not is_text:
        return Choice("float32", "int8 is for Transformers")
    if wanted != "auto":
        return Choice(wanted, "as set")
    if not is_text:
        return Choice("float32", "what it is calibrated in, and its streams are decoded in")
    if is_cpu:
        others = "bfloat16 and int8 are faster here" if has_fast_bfloat16(device) else "bfloat16 is slow here"
        return Choice("float32", f"the exact one; {others}")
    fastest: Precision = "bfloat16" if has_fast_bfloat16(device) else "float16"
    return Choice(fastest, f"the fastest of {device}")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are faster than in float32 there, rather than emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.12
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def lower(model: Model, choice: Choice) -> Lowered:
    """Turn a model in float32 to what was chosen, for good.

    Raises:
        CheckpointError: a weight is beyond what the type can hold.
    """
    precision, device = choice.precision, next(model.parameters()).device
    cosine = 1.0
    with torch.inference_mode():
        if precision == "float32":
            _pack_linears(model, precision, device)
        else:
            before = model.random_codes(N_COMPARED)
            _cast(model, precision, device)
            cosine = float(functional.cosine_similarity(before, model.random_codes(N_COMPARED), dim=1).min())
    return Lowered(precision=precision, reason=choice.reason, cosine=cosine)


def _cast(model: Model, precision: Precision, device: torch.device) -> None:
    if precision == "int8":
        _pack_linears(model, precision, device)  # before the weights are rounded to anything else
    model.to(_dtype_of(precision, device))
    if broken := sorted(name for name, weight in model.state_dict().items() if not weight.isfinite().all()):
        raise CheckpointError(f"NaN or infinity is in {broken}, cast to {precision}")
    if precision != "int8":
        _pack_linears(model, precision, device)


def _dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """Of all values; where products are of int8, of the rest."""
    if precision == "int8":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


def _pack_linears(model: Model, precision: Precision, device: torch.device) -> None:
    """Where there are kernels for that; of int8 `choose` has seen to it. On GPUs, it helps scores of words alone."""
    reads_weights = isinstance(model, Autoencoder) and model.reads_weights
    if reads_weights or not _has_kernels(precision, device):
        return
    is_int8, dtype = precision == "int8", _dtype_of(precision, device)
    if isinstance(model, Generator):
        model.pack_output_embeddings(dtype, int8=is_int8)
    if device.type == "cpu":
        pack_linears(model, dtype, int8=is_int8)


def _has_kernels(precision: Precision, device: torch.device) -> bool:
    """Whether products with weights that are laid out can be computed there."""
    if precision == "int8" or device.type == "cuda":
        return True
    if precision == "float16" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return precision == "float32" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

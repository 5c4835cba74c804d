"""How long a device takes for the products of linear layers in each precision, by a short measurement.

The instructions that a processor has do not tell it: some processors with instructions for bfloat16 multiply float32
faster.

Shapes: `I` inputs, `O` outputs.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ops.linear import can_pack, pack_linear

MARGIN = 0.9
"""A product is faster than another if it takes less than this share of its time. Two measurements of the same product
differ by less."""
N_ROWS = {"cpu": 64, "cuda": 2048}
"""Rows of the inputs that are multiplied, by kind of device: the tokens of some short texts, or of a whole batch."""
N_ROUNDS = 5
"""Number of times that each product is measured, in turn. The shortest time counts, when nothing else disturbed it."""
SLOW = 4.0
"""A product that takes more than so many times as long as the fastest is not measured again."""
MAX_SLOWDOWN = 2.0
"""If bfloat16 takes at most so many times as long as float32, int8 with inputs in bfloat16 is measured as well."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A dtype of weights, and the dtype of the inputs that they are multiplied by."""

    weights: torch.dtype
    inputs: torch.dtype


FLOAT32 = Arithmetic(torch.float32, torch.float32)
BFLOAT16 = Arithmetic(torch.bfloat16, torch.bfloat16)
FLOAT16 = Arithmetic(torch.float16, torch.float16)
INT8, INT8_OF_BFLOAT16 = Arithmetic(torch.int8, torch.float32), Arithmetic(torch.int8, torch.bfloat16)
CANDIDATES = {"cpu": (FLOAT32, BFLOAT16, INT8, INT8_OF_BFLOAT16), "cuda": (FLOAT32, BFLOAT16, FLOAT16)}
"""What is measured, by kind of device."""
NOT_MEASURED: Mapping[Arithmetic, float] = MappingProxyType({})
"""The times of a model without linear layers, or of one whose precision does not depend on them."""

_measuring = threading.Lock()  # products that are measured at the same time would disturb each other


def measure_products(model: nn.Module, device: torch.device) -> Mapping[Arithmetic, float]:
    """Return how many seconds the product takes that the linear layers of a model spend most of their time on.

    The product is measured with random numbers, once in a process: models with layers of the same shape get the same
    times. Nothing is returned for a model without linear layers.

    Args:
        model: the model, before its linear layers are packed.
        device: the device whose speed is measured.
    """
    work: Counter[tuple[int, int]] = Counter()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            work[module.out_features, module.in_features] += module.weight.numel()
    if not work:
        return NOT_MEASURED
    (((n_outputs, n_inputs), _),) = work.most_common(1)
    with _measuring:
        return _times_of(n_outputs, n_inputs, device)


def is_faster(times: Mapping[Arithmetic, float], one: Arithmetic, other: Arithmetic) -> bool:
    """Return whether one way to multiply is faster than another by more than measurements differ.

    It is not if one of them was not measured.
    """
    return one in times and other in times and times[one] < MARGIN * times[other]


@cache
def _times_of(n_outputs: int, n_inputs: int, device: torch.device) -> Mapping[Arithmetic, float]:
    times: dict[Arithmetic, float] = {}
    products: dict[Arithmetic, Callable[[], Tensor]] = {}
    with torch.inference_mode():
        weight = torch.randn(n_outputs, n_inputs, device=device) / n_inputs**0.5
        x = torch.randn(N_ROWS[device.type], n_inputs, device=device)
        for way in CANDIDATES[device.type]:
            has_fast_bfloat16 = BFLOAT16 in times and times[BFLOAT16] <= MAX_SLOWDOWN * times[FLOAT32]
            if way == INT8_OF_BFLOAT16 and not (has_fast_bfloat16 and can_pack(torch.bfloat16, device)):
                continue  # oneDNN takes thousands of times as long where the processor lacks instructions
            product = products[way] = _product(weight, x, way)
            times[way] = min(_seconds(product, device), _seconds(product, device))
        for _ in range(N_ROUNDS - 1):
            longest_s = SLOW * min(times.values())
            for way, product in products.items():
                if times[way] <= longest_s:
                    times[way] = min(times[way], _seconds(product, device))
    return times


def _product(weight: Tensor, x: Tensor, way: Arithmetic) -> Callable[[], Tensor]:
    """Return the product of `[O, I]` and `[…, I]`, with weights in the layout that models have them in."""
    inputs = x.to(way.inputs)
    is_int8 = way.weights == torch.int8
    if weight.is_cuda or not can_pack(way.weights, weight.device):  # of GPUs, only the scores of tokens are packed
        return partial(functional.linear, inputs, weight.to(way.weights))
    values = weight if is_int8 else weight.to(way.weights)
    return partial(pack_linear(values, None, int8=is_int8, dtype=way.inputs).linear, inputs)


def _seconds(product: Callable[[], Tensor], device: torch.device) -> float:
    started_at = time.perf_counter()
    product()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started_at

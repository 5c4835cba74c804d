"""Packed linear layers beside plain ones."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from models.ops import avx512, cublas, onednn, reference
from models.ops.avx512 import PanelWeights
from models.ops.cooperation import cooperate
from models.ops.linear import can_pack, pack_linear
from models.ops.linear_weights import Gelu, LinearWeights
from tests.models.ops.kernels import CPU, DTYPES, assert_near, disable_cpu_kernels, needs_kernels

sizes = st.integers(1, 150)
gelus = st.sampled_from([None, "none", "tanh"])
IMPLEMENTATIONS: dict[str, Callable[..., LinearWeights]] = {
    "avx512": avx512.PanelWeights,
    "onednn": onednn.FloatWeights,
    "cublas": cublas.PaddedWeights,
}
CASES = [
    pytest.param(IMPLEMENTATIONS[name], dtype, id=f"{name}-{dtype}", marks=[needs_kernels] * (name == "avx512"))
    for name in IMPLEMENTATIONS
    for dtype in DTYPES or [torch.float32]
]


@pytest.fixture
def three_threads() -> Iterator[None]:
    with cooperate(n_threads=3):
        yield


@pytest.mark.parametrize(("implementation", "dtype"), CASES)
@given(n=st.integers(0, 60), n_in=sizes, n_out=sizes, bias=st.booleans(), gelu=gelus)
@settings(max_examples=60)
def test_packed_layers_equal_plain_ones(
    implementation: Callable[..., LinearWeights],
    dtype: torch.dtype,
    n: int,
    n_in: int,
    n_out: int,
    gelu: Any,
    *,
    bias: bool,
) -> None:
    torch.manual_seed(n)
    layer, x = nn.Linear(n_in, n_out, bias=bias).to(dtype), torch.randn(n, n_in).to(dtype)
    with torch.inference_mode():
        expected = reference.linear(x.float(), layer.weight.float(), layer.bias.float() if bias else None, gelu)
        found = implementation(layer.weight, layer.bias, gelu).linear(x)
    assert found.dtype == dtype
    assert_near(found, expected, dtype)


@pytest.mark.parametrize("gelu", [None, "none", "tanh"])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 5), (0, 5)])
def test_inputs_may_have_any_number_of_dimensions(gelu: Gelu | None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for linear in (nn.Linear(5, 7), nn.Linear(5, 7, bias=False)):
        x = torch.randn(shape)
        with torch.inference_mode():
            expected = linear(x) if gelu is None else nn.GELU(gelu)(linear(x))
            found = onednn.FloatWeights(linear.weight, linear.bias, gelu).linear(x)
            best = pack_linear(linear.weight, linear.bias, gelu, dtype=torch.float32).linear(x)
        assert_close(found, expected)
        assert_close(best, expected, rtol=1e-5, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("n_in", [700, 2100])  # groups of inputs in several blocks
def test_rows_may_be_long(n_in: int) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(n_in, 70), torch.randn(50, n_in)
    with torch.inference_mode():
        assert_close(PanelWeights(layer.weight, layer.bias).linear(x), layer(x), rtol=1e-5, atol=1e-5)


@needs_kernels
@pytest.mark.skipif(not avx512.is_fastest_for(torch.int8, torch.float32), reason="no VNNI, or AMX")
@given(n=st.integers(1, 60), n_in=sizes, n_out=sizes, bias=st.booleans(), gelu=gelus, scaled=st.booleans())
@settings(max_examples=60)
def test_int8_is_at_most_a_step_from_that_of_onednn(
    n: int, n_in: int, n_out: int, gelu: Any, *, bias: bool, scaled: bool
) -> None:
    torch.manual_seed(n)
    layer, x = nn.Linear(n_in, n_out, bias=bias), torch.randn(n, n_in) * 10 + torch.randn(n, 1) * 20
    factors = torch.rand(n_in) + 0.5 if scaled else None
    with torch.inference_mode():
        panels = PanelWeights(layer.weight, layer.bias, gelu, int8=True, factors=factors)
        other = onednn.Int8Weights(layer.weight, layer.bias, gelu, factors=factors, dtype=torch.float32)
        found, expected = panels.linear(x), other.linear(x)
    step = x.abs().amax(1, keepdim=True) / 127 * layer.weight.abs().amax(1)
    assert ((found - expected).abs() <= 1.2 * step + 1e-4).all()
    assert (found - expected).abs().median() < 1e-4
    assert panels.n_bytes >= n_in * n_out


@given(
    n=st.integers(0, 5),
    n_in=st.integers(1, 70),
    n_out=st.integers(1, 40),
    bias=st.booleans(),
    scaled=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=40)
def test_the_error_of_int8_is_bounded_by_its_steps(
    n: int, n_in: int, n_out: int, *, bias: bool, scaled: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    linear = nn.Linear(n_in, n_out, bias=bias)
    x = (torch.randn(2, n, n_in) + torch.randn(2, n, 1)) * torch.rand(2, n, 1) * 100
    x[:, :1] = 0
    factors = torch.rand(n_in) + 0.5 if scaled else torch.ones(n_in)
    with torch.inference_mode():
        weights = onednn.Int8Weights(
            linear.weight, linear.bias, factors=factors if scaled else None, dtype=torch.float32
        )
        exact, rounded = linear(x), weights.linear(x)
        inputs, scaled_weight = x * factors, linear.weight / factors
        low, high = inputs.amin(-1, keepdim=True).clamp(max=0), inputs.amax(-1, keepdim=True).clamp(min=0)
        steps = (high - low) / (weights.max_input - 1)
        of_inputs = 0.5 * steps * scaled_weight.abs().sum(1)
        of_weights = inputs.abs().sum(-1, keepdim=True) * scaled_weight.abs().amax(1) / 254
    assert rounded.dtype == torch.float32
    assert ((rounded - exact).abs() <= 1.01 * (of_inputs + of_weights) + steps * 0.01 + 1e-5).all()


LARGE_STEPS = """
import torch
torch.cpu._is_vnni_supported = lambda: False
from models.ops.onednn import Int8Weights

weight, x = torch.ones(4, 64), torch.ones(3, 64)
print((Int8Weights(weight, None, dtype=torch.float32).linear(x) - 64).abs().max().item())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the environment chooses the instructions of oneDNN for x86")
def test_int8_does_not_exceed_16_bits_on_processors_without_vnni() -> None:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", LARGE_STEPS], capture_output=True, text=True, check=True, env=environment
    )
    assert float(done.stdout) < 1e-3


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("int8", [False, True])
def test_a_row_alone_gives_what_it_gives_among_others(dtype: torch.dtype, *, int8: bool, three_threads: None) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(90, 200), torch.randn(101, 90).to(dtype)
    weights = pack_linear(layer.weight.to(dtype), layer.bias.to(dtype), "none", int8=int8, dtype=dtype)
    assert torch.equal(torch.cat([weights.linear(row[None]) for row in x]), weights.linear(x))


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_nan_and_infinity_stay_in_their_row(dtype: torch.dtype, broken: float, *, int8: bool) -> None:
    layer, x = nn.Linear(40, 30), torch.randn(9, 40).to(dtype)
    x[4, 7] = broken
    found = pack_linear(layer.weight.to(dtype), layer.bias.to(dtype), int8=int8, dtype=dtype).linear(x)
    assert found.isfinite().all(1).tolist() == [row != 4 for row in range(9)]
    assert not found[4].isfinite().any()


@needs_kernels
@pytest.mark.parametrize("gelu", ["none", "tanh"])
def test_gelu_in_float32_is_exact_to_the_sixth_digit(gelu: Gelu) -> None:
    x = torch.linspace(-12, 12, 20_001)[:, None]
    found = PanelWeights(torch.ones(1, 1), None, gelu).linear(x)
    assert (found - functional.gelu(x.double(), approximate=gelu)).abs().max() < 2e-6


@needs_kernels
def test_callers_on_many_threads_get_what_each_gets_alone() -> None:
    layers = [nn.Linear(64 * n, 64 * n) for n in range(1, 9)]
    weights = [PanelWeights(layer.weight, layer.bias) for layer in layers]
    inputs = [torch.randn(20, layer.in_features) for layer in layers]
    expected = [part.linear(x) for x, part in zip(inputs, weights, strict=True)]

    def run(index: int) -> bool:
        with cooperate(n_threads=1 + index % 5):
            found = [weights[index].linear(inputs[index]) for _ in range(300)]
        return all(torch.equal(output, expected[index]) for output in found)

    with ThreadPoolExecutor(len(layers)) as pool:
        assert all(pool.map(run, range(len(layers))))


@needs_kernels
def test_helping_threads_take_their_part_of_the_work() -> None:
    x, layer = torch.randn(400, 2048), nn.Linear(2048, 2048)
    weights = PanelWeights(layer.weight, layer.bias)
    shares = []
    for n in (1, 2):
        with cooperate(n_threads=n):
            thread_s, process_s = time.thread_time(), time.process_time()
            for _ in range(20):
                weights.linear(x)
            shares.append((time.thread_time() - thread_s) / (time.process_time() - process_s))
    assert shares[1] < 0.8 < shares[0]


def test_weights_are_packed_for_onednn_where_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    disable_cpu_kernels(monkeypatch)
    layer = nn.Linear(4, 3)
    assert isinstance(pack_linear(layer.weight, layer.bias, dtype=torch.float32), onednn.FloatWeights)
    assert isinstance(pack_linear(layer.weight, layer.bias, int8=True, dtype=torch.float32), onednn.Int8Weights)


@needs_kernels
def test_weights_are_packed_for_kernels_where_there_are_some() -> None:
    layer = nn.Linear(4, 3)
    assert isinstance(pack_linear(layer.weight, layer.bias, dtype=torch.float32), PanelWeights)


def test_half_precision_is_not_packed_on_a_cpu() -> None:
    assert not can_pack(torch.float16, CPU)
    assert can_pack(torch.float32, CPU)
    assert can_pack(torch.int8, CPU)


def test_int8_takes_a_quarter_of_the_memory() -> None:
    layer = nn.Linear(256, 256)
    small, large = (pack_linear(layer.weight, None, int8=int8, dtype=torch.float32) for int8 in (True, False))
    assert small.n_bytes < 0.3 * large.n_bytes

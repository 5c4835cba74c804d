"""The project's kernels beside torch's operations, which are what runs where there are none."""

import copy
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from models.family import FamilyConfig, FamilySpec
from models.generation.cached_attention import CachedCrossAttention, DecodeAttention, PrefillAttention
from models.generation.kv_cache import CacheShape, KeyValueCache
from models.layers.block import Block, BlockShape
from models.layers.packed_linear import Avx512Linear, OneDnnInt8Linear, OneDnnLinear, pack_linears, product
from models.ops import avx512
from models.ops.avx512 import Weights
from models.ops.blocks import transformer_blocks
from models.ops.segments import Segments
from models.tasks import PROJECT_TEXTS
from models.text.attention_patterns import WithinTexts
from tests.models import tiny
from tests.models.transformers import test_contract as texts

CPU = torch.device("cpu")
TYPES = [dtype for dtype in (torch.float32, torch.bfloat16) if avx512.supports_dtype(dtype, CPU)]
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
TRANSFORMERS = [pytest.param(texts.build, *case, id=name) for name, case in texts.CASES.items()]
needs_kernels = pytest.mark.skipif(avx512.unavailable_reason() is not None, reason=str(avx512.unavailable_reason()))
sizes = st.integers(1, 150)


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avx512, "supports_dtype", lambda *_: False)


@pytest.fixture
def three_threads() -> Iterator[None]:
    with avx512.threads(3):
        yield


def test_they_are_there_where_they_can_be() -> None:
    can_be = shutil.which("g++") is not None and torch.cpu._is_avx512_supported()
    assert (avx512.unavailable_reason() is None) == can_be


def test_where_they_are_not_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = cast("Callable[[], str]", avx512.unavailable_reason.__wrapped__)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: True)
    monkeypatch.setattr(avx512, "LIBRARY", tmp_path / "kernels.so")
    assert "g++" in missing()
    (tmp_path / "kernels.so").write_bytes(b"no library")
    monkeypatch.setattr(avx512, "_library", avx512._library.__wrapped__)
    assert "kernels.so" in missing()
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: False)
    assert "AVX-512" in missing()


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@given(n=st.integers(0, 60), n_in=sizes, n_out=sizes, bias=st.booleans(), gelu=st.sampled_from([None, "none", "tanh"]))
@settings(max_examples=60, deadline=None)
def test_a_linear_layer(dtype: torch.dtype, n: int, n_in: int, n_out: int, gelu: Any, *, bias: bool) -> None:
    torch.manual_seed(n)
    layer, x = nn.Linear(n_in, n_out, bias=bias).to(dtype), torch.randn(n, n_in).to(dtype)
    with torch.inference_mode():
        expected = functional.linear(x.float(), layer.weight.float(), layer.bias.float() if bias else None)
        expected = expected if gelu is None else functional.gelu(expected, approximate=gelu)
        found = avx512.linear(x, Weights.of(layer.weight, layer.bias, gelu))
    assert found.dtype == dtype
    assert_close(found.float(), expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


@needs_kernels
@pytest.mark.parametrize("n_in", [700, 2100])  # lines in several blocks
def test_long_rows(n_in: int) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(n_in, 70), torch.randn(50, n_in)
    with torch.inference_mode():
        assert_close(avx512.linear(x, Weights.of(layer.weight, layer.bias)), layer(x), rtol=1e-5, atol=1e-5)


@needs_kernels
@pytest.mark.skipif(not avx512.is_fastest_for(torch.int8, torch.float32), reason="no VNNI, or AMX")
@given(n=st.integers(1, 60), n_in=sizes, n_out=sizes, bias=st.booleans(), gelu=st.sampled_from([None, "none", "tanh"]))
@settings(max_examples=60, deadline=None)
def test_int8_is_what_onednn_makes_of_it(n: int, n_in: int, n_out: int, gelu: Any, *, bias: bool) -> None:
    torch.manual_seed(n)
    layer, x = nn.Linear(n_in, n_out, bias=bias), torch.randn(n, n_in) * 10
    with torch.inference_mode():
        own, other = (
            Avx512Linear(layer.weight, layer.bias, gelu, int8=True),
            OneDnnInt8Linear(layer.weight, layer.bias, gelu),
        )
        found, expected = own(x), other(x)
    tie = x.abs().amax(1, keepdim=True) / 127 * layer.weight.abs().amax(1)  # one of them is a step apart, at most
    assert ((found - expected).abs() <= 1.2 * tie + 1e-4).all()
    assert (found - expected).abs().median() < 1e-4
    assert own.packed_bytes >= n_in * n_out


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("int8", [False, True])
def test_a_row_alone_gives_what_it_gives_among_others(dtype: torch.dtype, *, int8: bool, three_threads: None) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(90, 200), torch.randn(101, 90).to(dtype)
    made = product(layer.weight.to(dtype), layer.bias.to(dtype), "none", int8=int8, dtype=dtype)
    together = made(x)
    assert torch.equal(torch.cat([made(row[None]) for row in x]), together)


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_no_number_stays_none_and_in_its_row(dtype: torch.dtype, broken: float, *, int8: bool) -> None:
    layer, x = nn.Linear(40, 30), torch.randn(9, 40).to(dtype)
    x[4, 7] = broken
    found = product(layer.weight.to(dtype), layer.bias.to(dtype), int8=int8, dtype=dtype)(x)
    assert found.isfinite().all(1).tolist() == [row != 4 for row in range(9)]
    assert not found[4].isfinite().any()


@needs_kernels
def test_many_threads_that_share_helpers_get_what_each_gets_alone() -> None:
    layers = [nn.Linear(64 * n, 64 * n) for n in range(1, 9)]
    weights = [Weights.of(layer.weight, layer.bias) for layer in layers]
    inputs = [torch.randn(20, layer.in_features) for layer in layers]
    expected = [avx512.linear(x, one) for x, one in zip(inputs, weights, strict=True)]

    def repeated(place: int) -> bool:
        with avx512.threads(1 + place % 5):
            found = [avx512.linear(inputs[place], weights[place]) for _ in range(300)]
        return all(torch.equal(one, expected[place]) for one in found)

    with ThreadPoolExecutor(len(layers)) as pool:
        assert all(pool.map(repeated, range(len(layers))))


@needs_kernels
def test_helpers_work_beside_their_caller() -> None:
    x, layer = torch.randn(400, 2048), nn.Linear(2048, 2048)
    weights = Weights.of(layer.weight, layer.bias)
    shares = []
    for n in (1, 2):
        with avx512.threads(n):
            own, whole = time.thread_time(), time.process_time()
            for _ in range(20):
                avx512.linear(x, weights)
            shares.append((time.thread_time() - own) / (time.process_time() - whole))
    assert shares[1] < 0.8 < shares[0]


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@given(n=st.integers(0, 9), width=sizes, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_norm_of_a_sum(dtype: torch.dtype, n: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    norm = nn.LayerNorm(width, 1e-5)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, added = torch.randn(2, n, width).to(dtype).mul(3).add(1).unbind()
    norm = norm.to(dtype)
    with torch.inference_mode():
        expected = copy.deepcopy(norm).float()(x.float() + added.float())
        found = avx512.add_norm(x, added, norm)
    assert found.dtype == dtype
    assert_close(found.float(), expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


@needs_kernels
@pytest.mark.parametrize("gelu", ["none", "tanh"])
def test_gelu_in_float32(gelu: avx512.Gelu) -> None:
    x = torch.linspace(-12, 12, 20_001)[:, None]
    found = avx512.linear(x, Weights.of(torch.ones(1, 1), None, gelu))
    assert (found - functional.gelu(x.double(), approximate=gelu)).abs().max() < 2e-6


def random_qkv(n: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = torch.randn(n, 3, 2, width).to(dtype).unbind(1)
    return q, k, v


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=5), width=st.integers(1, 70), causal=st.booleans())
@settings(max_examples=60, deadline=None)
def test_attention_within_texts(dtype: torch.dtype, lengths: list[int], width: int, *, causal: bool) -> None:
    torch.manual_seed(0)
    segments = Segments(lengths)
    q, k, v = random_qkv(sum(lengths), width, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(avx512, "supports_dtype", lambda *_: False)
        expected = WithinTexts(segments, causal=causal)(0, q.float(), k.float(), v.float(), width**-0.5)
    found = WithinTexts(segments, causal=causal)(0, q, k, v, width**-0.5)
    assert_close(found.float(), expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])
    alone = [
        WithinTexts(Segments([len(one[0])]), causal=causal)(0, *one, width**-0.5)
        for one in zip(segments.split(q), segments.split(k), segments.split(v), strict=True)
    ]
    assert torch.equal(torch.cat(alone), found)


@needs_kernels
@pytest.mark.parametrize("place", [0, 1, 2])
def test_attention_keeps_what_is_no_number_in_its_text(place: int) -> None:
    segments = Segments([5, 20, 3])
    qkv = random_qkv(28, 8, torch.float32)
    qkv[place][9] = math.nan
    found = WithinTexts(segments)(0, *qkv, 1.0).isfinite().all(-1).all(-1)
    assert found[:5].all()
    assert found[25:].all()
    assert not found[9]


def test_training_does_not_go_through_kernels() -> None:
    q, k, v = (x.requires_grad_() for x in random_qkv(9, 8, torch.float32))
    WithinTexts(Segments([4, 5]))(0, q, k, v, 1.0).sum().backward()  # type: ignore[no-untyped-call]
    assert q.grad is not None


def filled_cache(dtype: torch.dtype, lengths: Sequence[int], width: int, n_heads: int = 2) -> KeyValueCache:
    torch.manual_seed(0)
    cache = KeyValueCache(CacheShape(n_layers=1, n_heads=n_heads, head_width=width, dtype=dtype, device=CPU))
    cache.append(lengths)
    rows = Segments(lengths)
    k, v = torch.randn(2, sum(lengths), n_heads, width).to(dtype)
    cache.write(0, k, v, rows.owners, rows.positions)
    return cache


def require_as_without_kernels(dtype: torch.dtype, run: Callable[[], tuple[Tensor, list[Tensor]]]) -> None:
    """Of what is seen and what is remembered: alike, and the same."""
    found, remembered = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(avx512, "supports_dtype", lambda *_: False)
        expected, expected_remembered = run()
    assert_close(found.float(), expected.float(), rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])
    assert all(torch.equal(*pair) for pair in zip(remembered, expected_remembered, strict=True))


def decoded(dtype: torch.dtype, lengths: list[int], width: int) -> tuple[Tensor, list[Tensor]]:
    """What the next tokens see of rows of these lengths, and all keys after it."""
    cache = filled_cache(dtype, lengths, width)
    q, k, v = random_qkv(len(lengths), width, dtype)
    cache.extend([1] * len(lengths))
    seen = DecodeAttention(cache)(0, q, k, v, width**-0.5)
    keys, _ = cache.keys_values(0)
    return seen, [keys[row, :, : length + 1].float() for row, length in enumerate(lengths)]


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=12), width=st.integers(1, 140))
@settings(max_examples=40, deadline=None)
def test_attention_over_a_cache(dtype: torch.dtype, lengths: list[int], width: int) -> None:
    require_as_without_kernels(dtype, lambda: decoded(dtype, lengths, width))


def read_on(dtype: torch.dtype, parts: list[tuple[int, int]], width: int) -> tuple[Tensor, list[Tensor]]:
    """What so many tokens see that follow so many remembered ones, by rows, and all values after it."""
    starts, lengths = zip(*parts, strict=True)
    cache = filled_cache(dtype, [start for start in starts if start], width)
    q, k, v = random_qkv(sum(lengths), width, dtype)
    seen = PrefillAttention(cache, Segments(lengths), cache.add_parts(lengths))(0, q, k, v, width**-0.5)
    _, values = cache.keys_values(0)
    return seen, [values[row, :, : sum(part)].float() for row, part in enumerate(parts)]


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@given(
    parts=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=5),
    width=st.integers(1, 140),
)
@settings(max_examples=40, deadline=None)
def test_attention_of_parts_of_texts(dtype: torch.dtype, parts: list[tuple[int, int]], width: int) -> None:
    parts = sorted(parts, key=lambda part: part[0] == 0)  # new rows come last
    require_as_without_kernels(dtype, lambda: read_on(dtype, parts, width))


def laid_out_block(
    dtype: torch.dtype, activation: str, *, norm_first: bool, int8: bool = False, crossing: bool = False
) -> Block:
    torch.manual_seed(0)
    shape = BlockShape(
        width=48, n_heads=3, inner_width=100, activation=activation, norm_eps=1e-5, norm_first=norm_first
    )
    block = Block(shape, crossing=crossing).eval().requires_grad_(requires_grad=False)
    for norm in block.modules():
        if isinstance(norm, nn.LayerNorm):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    pack_linears(block.to(dtype), dtype, int8=int8)
    return block


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("int8", [False, True])
def test_blocks_in_one_call_are_what_they_are_in_many(
    dtype: torch.dtype, activation: str, *, norm_first: bool, int8: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not avx512.is_fastest_for(torch.int8 if int8 else dtype, dtype):
        pytest.skip("this processor has tiles (AMX), which multiply such values faster than these kernels")
    block, crossing = (
        laid_out_block(dtype, activation, norm_first=norm_first, int8=int8, crossing=crosses)
        for crosses in (False, True)
    )
    x = torch.randn(99, 48).to(dtype)

    def results() -> list[Tensor]:
        segments = Segments([50, 1, 48])
        texts = [
            transformer_blocks([block, block], x, WithinTexts(segments, causal=causal)) for causal in (False, True)
        ]
        cache, read = filled_cache(dtype, [5] * 99, 16, n_heads=3), filled_cache(dtype, [4, 2], 16, n_heads=3)
        decoded, parts = (
            transformer_blocks([block], x, attend)
            for attend in (DecodeAttention(cache), PrefillAttention(read, segments, read.add_parts(segments.lengths)))
        )
        other = CachedCrossAttention(filled_cache(dtype, [1 + row % 20 for row in range(99)], 16, n_heads=3))
        own = DecodeAttention(filled_cache(dtype, [5] * 99, 16, n_heads=3))
        across = transformer_blocks([crossing], x, own, other)
        its_own = [
            *cache.keys_values(0)[:, :, :, :5],
            *(row[:, :2] for rows in read.keys_values(0)[:, :3] for row in rows),
        ]
        return [*texts, decoded, parts, across, *its_own]

    with torch.inference_mode():
        assert block.kernel_for(x) is not None
        assert crossing.kernel_for(x) is not None
        found = results()
        monkeypatch.setattr(Block, "kernel_for", lambda *_: None)
        expected = results()
    for one, other in zip(found, expected, strict=True):
        difference = (one.float() - other.float()).abs()
        assert difference.mean() < (1e-5 if dtype == torch.float32 and not int8 else 2e-2)


@needs_kernels
def test_a_block_that_changes_its_type_is_made_anew() -> None:
    block = laid_out_block(torch.float32, "gelu", norm_first=False)
    x = torch.randn(2, 48)
    before = block.kernel_for(x)
    assert block.kernel_for(x) is before
    block.to(torch.bfloat16)
    assert block.kernel_for(x) is None
    block.to(torch.float32)
    assert block.kernel_for(x) is not before
    assert laid_out_block(torch.float32, "relu", norm_first=False).kernel_for(x) is None  # a part that kernels lack


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@given(scores=st.lists(st.integers(-40, 40), min_size=1, max_size=90))
@settings(max_examples=60, deadline=None)
def test_the_likeliest(dtype: torch.dtype, scores: list[int]) -> None:
    rows = torch.tensor([scores, scores[::-1]]).to(dtype)
    for row, (place, log_prob) in zip(rows, avx512.likeliest(rows), strict=True):
        assert place == row.tolist().index(max(scores))
        assert log_prob == pytest.approx(float(row.float().log_softmax(-1)[place]), abs=1e-5)


@needs_kernels
def test_nothing_is_likeliest_among_what_is_no_number() -> None:
    found = avx512.likeliest(torch.tensor([[1.0, math.nan, 2.0], [1.0, 2.0, 0.0], [math.nan] * 3]))
    assert [place for place, log_prob in found if not math.isnan(log_prob)] == [1]


@pytest.mark.parametrize(("build", "spec", "config"), TRANSFORMERS)
def test_without_them_every_transformer_answers_the_same(
    build: Any, spec: FamilySpec[Any], config: FamilyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(spec, config)
    with torch.inference_mode():
        tasks = set(spec.tasks(config)) - {PROJECT_TEXTS}  # whose two points are one, but for the last bit
        before = {task: model.run(task, [model.example(task)]) for task in tasks}
        monkeypatch.setattr(avx512, "supports_dtype", lambda *_: False)
        for task, (expected,) in before.items():
            (found,) = model.run(task, [model.example(task)])
            tiny.assert_same(found, expected, tolerance=1e-4)


def test_without_them_products_are_onednns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avx512, "supports_dtype", lambda *_: False)
    layer = nn.Linear(4, 3)
    assert isinstance(product(layer.weight, layer.bias, dtype=torch.float32), OneDnnLinear)
    assert isinstance(product(layer.weight, layer.bias, int8=True, dtype=torch.float32), OneDnnInt8Linear)


def test_int8_takes_a_quarter_of_the_memory() -> None:
    layer = nn.Linear(256, 256)
    kinds = [product(layer.weight, None, int8=int8, dtype=torch.float32) for int8 in (True, False)]
    assert kinds[0].packed_bytes < 0.3 * kinds[1].packed_bytes

"""Attention over a padded batch has the outputs and the gradients of attention over one text after the other."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.ops.patterns import AttentionPattern, BiasableAttention, CrossAttentionPattern, KernelAttention
from models.ops.segments import Segments
from models.text.attention_patterns import AcrossTexts, RecordedAttention, WithinTexts
from models.text.padded_attention import Grid, PaddedAcross, PaddedTexts

N_HEADS, WIDTH, SCALE = 3, 5, 0.7
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)
PAIRS = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=5)
TRIED = settings(max_examples=40)


def random_rows(n: int, n_tokens: int, seed: int) -> list[Tensor]:
    """Return some `[N, H, d]` that require gradients."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(n_tokens, N_HEADS, WIDTH, generator=draw).requires_grad_() for _ in range(n)]


def assert_same(one: Callable[[], Tensor], other: Callable[[], Tensor], inputs: Sequence[Tensor]) -> None:
    """Compare outputs, and gradients of a sum of the outputs whose weights are all different."""
    results: list[tuple[Tensor, ...]] = []
    for run in (one, other):
        seen = run()
        weights = torch.linspace(-1.0, 2.0, seen.numel()).view(seen.shape)
        results.append((seen, *torch.autograd.grad((seen * weights).sum(), list(inputs))))
    assert all(tensor.abs().sum() > 0 for tensor in (results[0][0], results[0][-1]))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@given(lengths=LENGTHS)
@example(lengths=[1])
@example(lengths=[4, 4, 4])
@example(lengths=[1, 7, 1, 3])
@TRIED
def test_padded_texts_see_what_single_texts_see(lengths: list[int], causal: bool) -> None:
    segments = Segments(lengths)
    q, k, v = inputs = random_rows(3, sum(lengths), len(lengths))

    def attended(attention: AttentionPattern) -> Tensor:
        return attention(0, q, k, v, SCALE)

    assert_same(
        lambda: attended(PaddedTexts(segments, causal=causal)),
        lambda: attended(WithinTexts(segments, causal=causal)),
        inputs,
    )


@given(lengths=LENGTHS)
@example(lengths=[1])
@example(lengths=[4, 4, 4])
@example(lengths=[1, 7, 1, 3])
@TRIED
def test_padded_texts_add_the_bias_that_single_texts_add(lengths: list[int]) -> None:
    segments, longest = Segments(lengths), max(lengths)
    q, k, v = random_rows(3, sum(lengths), len(lengths))
    bias = torch.randn(N_HEADS, longest, longest, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def attended(attention: BiasableAttention) -> Tensor:
        return attention.with_bias(bias)(0, q, k, v, SCALE)

    for pattern in (PaddedTexts(segments), RecordedAttention(segments)):
        inputs = [q, k, v, bias] if longest > 1 else [v]  # a single token attends to itself, whatever its score is
        assert_same(lambda pattern=pattern: attended(pattern), lambda: attended(WithinTexts(segments)), inputs)  # type: ignore[misc]


def test_a_pattern_with_a_bias_is_another_pattern() -> None:
    segments = Segments([2, 5])
    q, k, v = (rows.detach() for rows in random_rows(3, 7, 0))
    bias = torch.randn(N_HEADS, 5, 5)
    for pattern in (PaddedTexts(segments), RecordedAttention(segments), WithinTexts(segments)):
        before = pattern(0, q, k, v, SCALE)
        biased = pattern.with_bias(bias)
        assert not isinstance(biased, KernelAttention)  # as compiled kernels would leave the bias out
        assert not torch.allclose(biased(0, q, k, v, SCALE), before)
        assert torch.equal(pattern(0, q, k, v, SCALE), before)
    with pytest.raises(ValueError, match="causal attention takes no bias"):
        WithinTexts(segments, causal=True).with_bias(bias)


def test_weights_are_recorded_where_the_caller_looks_for_them() -> None:
    recorded = RecordedAttention(Segments([2, 3]))
    q, k, v = (rows.detach() for rows in random_rows(3, 5, 0))
    recorded.with_bias(torch.zeros(N_HEADS, 3, 3))(0, q, k, v, SCALE)
    (weights,) = recorded.weights
    assert [tuple(of_text.shape) for of_text in weights] == [(N_HEADS, 2, 2), (N_HEADS, 3, 3)]


@given(lengths=PAIRS)
@example(lengths=[(1, 1)])
@example(lengths=[(3, 5), (3, 5)])
@example(lengths=[(1, 6), (6, 1), (2, 2)])
@TRIED
def test_texts_padded_on_both_sides_see_what_single_pairs_see(lengths: list[tuple[int, int]]) -> None:
    queries, keys = (Segments(side) for side in zip(*lengths, strict=True))
    (q,) = random_rows(1, sum(queries.lengths), 0)
    memory = random_rows(4, sum(keys.lengths), 1)
    layers = [(memory[0], memory[1]), (memory[2], memory[3])]

    def attended(cross_attention: CrossAttentionPattern) -> Tensor:
        return torch.cat([cross_attention(layer, q, SCALE) for layer in (0, 1)])

    assert_same(
        lambda: attended(PaddedAcross(queries, keys, layers)),
        lambda: attended(AcrossTexts(queries, keys, layers)),
        [q, *memory],
    )


@pytest.mark.parametrize("causal", [False, True])
def test_what_stands_in_one_text_changes_nothing_in_another(causal: bool) -> None:
    segments = Segments([2, 5, 1])
    q, k, v = (rows.detach() for rows in random_rows(3, 8, 0))
    before = PaddedTexts(segments, causal=causal)(0, q, k, v, SCALE)
    for x in (q, k, v):
        x[2:7] = 100.0 * torch.rand(5, N_HEADS, WIDTH)
    after = PaddedTexts(segments, causal=causal)(0, q, k, v, SCALE)
    assert torch.equal(before[[0, 1, 7]], after[[0, 1, 7]])
    assert not torch.equal(before[2:7], after[2:7])


@given(lengths=LENGTHS)
@example(lengths=[3, 3])
@TRIED
def test_what_is_padded_is_unpadded_again(lengths: list[int]) -> None:
    grid = Grid(Segments(lengths))
    (rows,) = random_rows(1, sum(lengths), 0)
    padded = grid.pad(rows)
    assert padded.shape == (len(lengths), N_HEADS, max(lengths), WIDTH)
    assert torch.equal(grid.unpad(padded), rows)
    for place, (row, text) in enumerate(zip(padded, torch.split(rows, lengths), strict=True)):
        assert torch.equal(row[:, : lengths[place]].transpose(0, 1), text)
        assert not row[:, lengths[place] :].any()

"""Where texts lie in a row of tokens."""

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from models.ops.segments import BLOCK_TOKENS, Segments

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=8)


@given(lengths=LENGTHS)
def test_every_token_has_its_text_and_its_position(lengths: list[int]) -> None:
    segments = Segments(lengths)
    expected = [(text, position) for text, length in enumerate(lengths) for position in range(length)]
    assert list(zip(segments.owners.tolist(), segments.positions.tolist(), strict=True)) == expected
    firsts, ends = segments.spans.tolist()
    assert segments.first.tolist() == firsts
    assert segments.last.tolist() == [end - 1 for end in ends]
    assert [end - first for first, end in zip(firsts, ends, strict=True)] == lengths


@given(lengths=LENGTHS)
def test_blocks_cover_all_tokens_once_and_stay_in_their_text(lengths: list[int]) -> None:
    segments = Segments(lengths)
    covered: list[int] = []
    for start, first, end in segments.block_table.T.tolist():
        assert [first, end] in segments.spans.T.tolist()
        covered += range(start, min(start + BLOCK_TOKENS, end))
    assert covered == list(range(sum(lengths)))


@given(lengths=LENGTHS)
def test_runs_are_texts_of_equal_length_side_by_side(lengths: list[int]) -> None:
    runs = Segments(lengths).runs
    assert [length for _, n_texts, length in runs for _ in range(n_texts)] == lengths
    assert all(rows.stop - rows.start == n_texts * length for rows, n_texts, length in runs)
    assert all(one[2] != other[2] for one, other in pairwise(runs))


def test_what_is_derived_is_computed_once() -> None:
    calls: list[Segments] = []

    def count(segments: Segments) -> torch.Tensor:
        calls.append(segments)
        return torch.tensor(len(segments))

    segments = Segments([2, 3])
    assert segments.derived(count) is segments.derived(count)
    assert calls == [segments]

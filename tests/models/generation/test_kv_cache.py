"""The contract of the caches of decoders, for each kind of cache."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.generation import kv_cache
from models.generation.kv_cache import CacheShape, DecoderCache, EncoderDecoderCache, KeyValueCache
from models.ops.segments import Segments

SHAPE = CacheShape(n_layers=2, n_heads=2, head_width=3, dtype=torch.float32, device=torch.device("cpu"))
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def new_key_value_cache(*, singly: bool) -> KeyValueCache:
    cache = KeyValueCache(SHAPE)
    cache.copies_rows_singly = singly
    return cache


@dataclass(frozen=True)
class Kind:
    """A kind of cache: how it is made, and the key-value caches that it is made of."""

    new: Callable[[], DecoderCache]
    parts: Callable[[DecoderCache], Sequence[KeyValueCache]]


def key_value_kind(*, singly: bool) -> Kind:
    return Kind(lambda: new_key_value_cache(singly=singly), lambda cache: [cache])  # type: ignore[list-item]


def encoder_decoder_kind(*, singly: bool) -> Kind:
    def new() -> EncoderDecoderCache:
        return EncoderDecoderCache(new_key_value_cache(singly=singly), new_key_value_cache(singly=singly))

    return Kind(new, lambda cache: [cache.own, cache.source])  # type: ignore[attr-defined]


KINDS = {
    "key-value, row by row": key_value_kind(singly=True),
    "key-value, rows together": key_value_kind(singly=False),
    "encoder-decoder, row by row": encoder_decoder_kind(singly=True),
    "encoder-decoder, rows together": encoder_decoder_kind(singly=False),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def fill(kind: Kind, lengths: Sequence[int]) -> DecoderCache:
    """Return a cache with rows of these lengths, all with random keys and values; source texts have other lengths."""
    cache = kind.new()
    own, *sources = kind.parts(cache)
    own.append(lengths)
    for source in sources:
        source.append([length % 7 + 1 for length in lengths])
    for part in kind.parts(cache):
        tokens = Segments(part.lengths)
        for layer in range(SHAPE.n_layers):
            k, v = torch.randn(2, sum(part.lengths), SHAPE.n_heads, SHAPE.head_width)
            part.write(layer, k, v, tokens.owners, tokens.positions)
    return cache


def content(kind: Kind, cache: DecoderCache) -> list[list[Tensor]]:
    """Return the keys and values of each row, for each layer of each key-value cache."""
    layers = [(part, layer) for part in kind.parts(cache) for layer in range(SHAPE.n_layers)]
    return [
        [part.layers[layer][:, row, :, : part.lengths[row]].clone() for part, layer in layers]
        for row in range(len(cache))
    ]


def assert_same(found: Sequence[Sequence[Tensor]], expected: Sequence[Sequence[Tensor]]) -> None:
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        assert all(torch.equal(tensor, same) for tensor, same in zip(row, other, strict=True))


@each_kind
@given(lengths=LENGTHS, data=st.data())
@settings(max_examples=60)
def test_rows_become_what_other_rows_were(kind: Kind, lengths: list[int], data: st.DataObject) -> None:
    sources = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=9))
    cache = fill(kind, lengths)
    before = content(kind, cache)
    cache.rearrange(sources)
    assert cache.lengths == [lengths[source] for source in sources]
    assert_same(content(kind, cache), [before[source] for source in sources])


@each_kind
@given(lengths=LENGTHS, others=LENGTHS, n_tokens=st.none() | st.integers(1, 50), data=st.data())
@settings(max_examples=60)
def test_rows_of_another_cache_become_new_rows(
    kind: Kind, lengths: list[int], others: list[int], n_tokens: int | None, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(others) - 1), max_size=6))
    cache, other = fill(kind, lengths), fill(kind, others)
    before, adopted = content(kind, cache), [content(kind, other)[row] for row in rows]
    cache.adopt(other, rows, n_tokens)
    kept = [others[row] if n_tokens is None else min(others[row], n_tokens) for row in rows]
    assert cache.lengths == [*lengths, *kept]
    n_own = SHAPE.n_layers  # tensors of a row that are of the decoder itself, which come first
    for row, length in zip(adopted, kept, strict=True):
        row[:n_own] = [tensor[:, :, :length] for tensor in row[:n_own]]
    assert_same(content(kind, cache), [*before, *adopted])


@each_kind
def test_new_rows_are_added_at_the_end(kind: Kind) -> None:
    cache = fill(kind, [3, 5])
    before = content(kind, cache)
    cache.append([40, 0, 2])
    assert cache.lengths == [3, 5, 40, 0, 2]
    assert len(cache) == 5
    assert_same(content(kind, cache)[:2], before)


@each_kind
def test_the_last_tokens_are_dropped_and_source_texts_stay(kind: Kind) -> None:
    cache = fill(kind, [3, 5])
    sources = [[*part.lengths] for part in kind.parts(cache)[1:]]
    cache.drop_last_tokens()
    assert cache.lengths == [2, 4]
    assert [part.lengths for part in kind.parts(cache)[1:]] == sources


@each_kind
def test_a_new_cache_of_the_same_shape_has_no_rows_and_is_independent(kind: Kind) -> None:
    cache = fill(kind, [3, 5])
    before = content(kind, cache)
    empty = cache.new_empty()
    assert len(empty) == 0
    empty.adopt(cache, [1, 0])
    assert_same(content(kind, empty), [before[1], before[0]])
    empty.rearrange([])
    assert_same(content(kind, cache), before)


@given(lengths=st.lists(st.integers(1, 40), max_size=6), counts=st.lists(st.integers(1, 40), max_size=9))
def test_parts_of_prompts_extend_rows_and_start_new_ones(lengths: list[int], counts: list[int]) -> None:
    cache = KeyValueCache(SHAPE)
    cache.append(lengths)
    starts = cache.add_parts(counts)
    assert starts == (lengths + [0] * len(counts))[: len(counts)]
    grown = [start + count for start, count in zip(starts, counts, strict=True)]
    assert cache.lengths == grown + lengths[len(counts) :]


def test_reallocations_are_counted() -> None:
    cache = KeyValueCache(SHAPE)
    cache.append([3, 5])
    n_before, memory = cache.n_reallocations, cache.layers[0]
    cache.extend([1, 1])
    assert cache.n_reallocations == n_before
    assert cache.layers[0] is memory
    cache.extend([100])
    assert cache.n_reallocations == n_before + 1
    assert cache.layers[0].shape[3] >= 104


def test_much_room_is_given_back_when_all_rows_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = KeyValueCache(SHAPE)
    cache.append([3, 100])
    n_bytes = cache.layers[0].nbytes * SHAPE.n_layers
    monkeypatch.setattr(kv_cache, "MAX_KEPT_BYTES", n_bytes)
    cache.rearrange([])
    assert cache.layers[0].nbytes * SHAPE.n_layers == n_bytes
    monkeypatch.setattr(kv_cache, "MAX_KEPT_BYTES", n_bytes - 1)
    cache.append([3])
    cache.rearrange([])
    assert cache.layers[0].nbytes == 0
    cache.append([100])
    assert cache.layers[0].nbytes > 0

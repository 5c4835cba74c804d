import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.generation.kv_cache import CacheShape, KeyValueCache
from models.ops.segments import Segments

SHAPE = CacheShape(n_layers=2, n_heads=2, head_width=3, dtype=torch.float32, device=torch.device("cpu"))


def row(cache: KeyValueCache, layer: int, place: int) -> Tensor:
    return cache.whole(layer)[:, place, :, : cache.lengths[place]]


@pytest.mark.parametrize("one_by_one", [True, False])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_rows_become_what_others_were(one_by_one: bool, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    sources = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=9))
    cache = KeyValueCache(SHAPE)
    cache.moves_one_by_one = one_by_one
    cache.add(lengths)
    rows = Segments(lengths)
    for layer in range(SHAPE.n_layers):
        k, v = torch.randn(2, sum(lengths), SHAPE.n_heads, SHAPE.head_width)
        cache.write(layer, k, v, (rows.owners, rows.positions))
    before = [[row(cache, layer, place).clone() for place in range(len(lengths))] for layer in range(SHAPE.n_layers)]
    cache.arrange(sources)
    assert cache.lengths == [lengths[source] for source in sources]
    for layer in range(SHAPE.n_layers):
        for place, source in enumerate(sources):
            assert torch.equal(row(cache, layer, place), before[layer][source])

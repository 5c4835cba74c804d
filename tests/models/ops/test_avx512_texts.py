"""What comes before an encoder's blocks and after them, by kernels and by torch's operations."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from models.layers.embeddings import TextEmbeddings
from models.ops import avx512
from models.ops.avx512.texts import POOLINGS, pool
from models.ops.segments import Segments
from models.tasks.text import Pooling, Tokens
from models.text.ragged_batch import RaggedBatch
from tests.models.ops.test_avx512 import TOLERANCES, TYPES, needs_kernels

lengths_of_texts = st.lists(st.integers(1, 9), min_size=1, max_size=40)


def random_row(lengths: list[int], n_words: int, n_types: int) -> RaggedBatch:
    n = sum(lengths)
    ids, types = torch.randint(n_words, (n,)), torch.randint(n_types, (n,))
    return RaggedBatch(ids, types, Segments(lengths), range(len(lengths)))


def embed_row(embeddings: TextEmbeddings, row: RaggedBatch) -> Tensor:
    embedded: Tensor = embeddings(row.token_ids, row.type_ids, row.segments)
    return embedded


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@given(lengths=lengths_of_texts, width=st.integers(1, 70), n_types=st.integers(1, 3), first=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_embeddings(dtype: torch.dtype, lengths: list[int], width: int, n_types: int, first: int) -> None:
    torch.manual_seed(width)
    embeddings = TextEmbeddings(20, 12, n_types, width, 1e-12, first).to(dtype).eval()
    row = random_row(lengths, 20, n_types)
    with torch.inference_mode():
        found = embed_row(embeddings, row)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(avx512, "supports_dtype", lambda *_: False)
            expected = embed_row(embeddings.float(), row)
    assert found.dtype == dtype
    assert_close(found.float(), expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


@needs_kernels
def test_where_all_types_are_one_a_tokenizers_do_not_count() -> None:
    embeddings = TextEmbeddings(20, 12, 1, 8, 1e-12).eval()
    row = random_row([3, 2], 20, 1)
    with torch.inference_mode():
        expected = embed_row(embeddings, row)
        assert torch.equal(embeddings(row.token_ids, row.type_ids + 1, row.segments), expected)


@needs_kernels
@pytest.mark.parametrize(("ids", "types"), [([1, -1], [0, 0]), ([1, 20], [0, 0]), ([1, 1], [0, 2])])
@pytest.mark.parametrize("by_kernels", [True, False])
def test_what_no_table_has_is_an_error(
    ids: list[int], types: list[int], monkeypatch: pytest.MonkeyPatch, *, by_kernels: bool
) -> None:
    if not by_kernels:
        monkeypatch.setattr(avx512, "supports_dtype", lambda *_: False)
    row = RaggedBatch(torch.tensor(ids), torch.tensor(types), Segments([2]), range(1))
    with torch.inference_mode(), pytest.raises(IndexError):
        TextEmbeddings(20, 12, 2, 8, 1e-12).eval()(row.token_ids, row.type_ids, row.segments)


@needs_kernels
def test_no_position_beyond_the_last() -> None:
    embeddings = TextEmbeddings(20, 12, 2, 8, 1e-12, first_position=3).eval()
    with torch.inference_mode():
        embed_row(embeddings, random_row([9, 1], 20, 2))
        with pytest.raises(IndexError, match="token 9 of the row"):
            embed_row(embeddings, random_row([10, 1], 20, 2))


@needs_kernels
def test_embeddings_that_move_are_read_where_they_are() -> None:
    embeddings, row = TextEmbeddings(20, 12, 2, 8, 1e-12).eval(), random_row([3], 20, 2)
    with torch.inference_mode():
        first = embed_row(embeddings, row)
        embeddings.double()
        embeddings.words.weight.data.add_(1000 * torch.randn(20, 8))
        embeddings.float()
        assert not torch.allclose(embed_row(embeddings, row), first)


def test_embeddings_learn() -> None:
    embeddings = TextEmbeddings(20, 12, 2, 8, 1e-12)
    embed_row(embeddings, random_row([3, 4], 20, 2))[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    assert all(one.grad is not None for one in embeddings.parameters())


def reference(x: Tensor, lengths: list[int], pooling: Pooling) -> Tensor:
    how = {"mean": lambda t: t.mean(0), "cls": lambda t: t[0], "last": lambda t: t[-1], "max": lambda t: t.amax(0)}
    return torch.stack([how[pooling](part) for part in torch.split(x.float(), lengths)])


@needs_kernels
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("pooling", POOLINGS)
@given(lengths=lengths_of_texts, width=st.integers(1, 70), data=st.data(), is_unit=st.booleans())
@settings(max_examples=40, deadline=None)
def test_pooling(
    dtype: torch.dtype, pooling: Pooling, lengths: list[int], width: int, data: st.DataObject, *, is_unit: bool
) -> None:
    torch.manual_seed(width)
    n_kept, places = data.draw(st.integers(1, width)), data.draw(st.permutations(range(len(lengths))))
    x = torch.randn(sum(lengths), width).to(dtype)
    found = pool(x, Segments(lengths), places, pooling, n_kept, is_unit=is_unit)
    expected = reference(x, lengths, pooling)[:, :n_kept]
    expected = functional.normalize(expected, dim=-1) if is_unit else expected
    assert found.dtype == torch.float32
    assert_close(found[places], expected, rtol=1e-5, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("pooling", POOLINGS)
def test_texts_that_are_nobodys_are_not_pooled(pooling: Pooling) -> None:
    texts = [Tokens.of_ids([1] * length) for length in (5, 2, 4)]
    batch = RaggedBatch.of_texts(texts, multiple=16)
    assert len(batch.segments) > len(texts)
    x = torch.randn(len(batch.token_ids), 20)
    found = pool(x, batch.segments, batch.order, pooling, 20, is_unit=False)
    expected = batch.in_given_order(reference(x, list(batch.segments.lengths), pooling))
    assert_close(found, expected, rtol=1e-5, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_nothing_gives_nothing(pooling: Pooling) -> None:
    assert not pool(torch.zeros(5, 20), Segments([2, 3]), [0, 1], pooling, 20, is_unit=True).any()


@needs_kernels
@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("token", [3, 4, 5])
@pytest.mark.parametrize("is_unit", [True, False])
def test_pooling_keeps_what_is_no_number_in_its_text(pooling: Pooling, token: int, *, is_unit: bool) -> None:
    x = torch.randn(8, 20)
    x[token, 17] = math.nan
    found = pool(x, Segments([3, 3, 2]), [0, 1, 2], pooling, 20, is_unit=is_unit)
    assert found.isnan().any(1).tolist() == [False, True, False]

"""The embeddings of tokens, by kernels and by plain torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.layers.embeddings import TextEmbeddings
from models.ops.segments import Segments
from tests.models.ops.kernels import DTYPES, assert_near, disable_cpu_kernels, needs_kernels, no_cpu_kernels

Row = tuple[Tensor, Tensor, Segments]


def random_row(lengths: list[int], n_words: int, n_types: int) -> Row:
    n = sum(lengths)
    return torch.randint(n_words, (n,)), torch.randint(max(1, n_types), (n,)), Segments(lengths)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    width=st.integers(1, 70),
    n_types=st.integers(0, 3),
    first=st.integers(0, 3),
)
@settings(max_examples=60)
def test_kernels_equal_plain_torch(
    dtype: torch.dtype, lengths: list[int], width: int, n_types: int, first: int
) -> None:
    torch.manual_seed(width)
    embeddings = TextEmbeddings(20, 12, n_types, width, 1e-12, first).to(dtype).eval()
    row = random_row(lengths, 20, n_types)
    with torch.inference_mode():
        found = embeddings(*row)
        with no_cpu_kernels():
            expected = embeddings.float()(*row)
    assert found.dtype == dtype
    assert_near(found, expected, dtype)


@pytest.mark.parametrize("n_types", [0, 1])
@pytest.mark.parametrize("has_kernels", [True, False])
def test_types_are_ignored_if_there_is_only_one_or_none(
    n_types: int, monkeypatch: pytest.MonkeyPatch, *, has_kernels: bool
) -> None:
    if not has_kernels:
        disable_cpu_kernels(monkeypatch)
    embeddings = TextEmbeddings(20, 12, n_types, 8, 1e-12).eval()
    token_ids, type_ids, segments = random_row([3, 2], 20, 1)
    with torch.inference_mode():
        expected = embeddings(token_ids, type_ids, segments)
        assert torch.equal(embeddings(token_ids, type_ids + 1, segments), expected)


def test_without_types_words_and_positions_are_summed() -> None:
    embeddings = TextEmbeddings(20, 12, 0, 8, 1e-12, first_position=2).eval()
    token_ids, type_ids, segments = random_row([3, 2], 20, 1)
    with torch.inference_mode():
        places = torch.tensor([2, 3, 4, 2, 3])
        expected = embeddings.norm(embeddings.words(token_ids) + embeddings.positions(places))
        torch.testing.assert_close(embeddings(token_ids, type_ids, segments), expected)
    assert {name.split(".")[0] for name, _ in embeddings.named_parameters()} == {"words", "positions", "norm"}


@needs_kernels
@pytest.mark.parametrize(("ids", "types"), [([1, -1], [0, 0]), ([1, 20], [0, 0]), ([1, 1], [0, 2])])
@pytest.mark.parametrize("has_kernels", [True, False])
def test_an_id_that_no_table_has_is_an_error(
    ids: list[int], types: list[int], monkeypatch: pytest.MonkeyPatch, *, has_kernels: bool
) -> None:
    if not has_kernels:
        disable_cpu_kernels(monkeypatch)
    with torch.inference_mode(), pytest.raises(IndexError):
        TextEmbeddings(20, 12, 2, 8, 1e-12).eval()(torch.tensor(ids), torch.tensor(types), Segments([2]))


@needs_kernels
def test_a_position_after_the_last_is_an_error() -> None:
    embeddings = TextEmbeddings(20, 12, 2, 8, 1e-12, first_position=3).eval()
    with torch.inference_mode():
        embeddings(*random_row([9, 1], 20, 2))
        with pytest.raises(IndexError, match="token 9 of the row"):
            embeddings(*random_row([10, 1], 20, 2))


@needs_kernels
def test_tables_that_move_are_read_where_they_are() -> None:
    embeddings, row = TextEmbeddings(20, 12, 2, 8, 1e-12).eval(), random_row([3], 20, 2)
    with torch.inference_mode():
        first = embeddings(*row)
        embeddings.double()
        embeddings.words.weight.data.add_(1000 * torch.randn(20, 8))
        embeddings.float()
        assert not torch.allclose(embeddings(*row), first)


def test_all_parameters_have_gradients_in_training() -> None:
    embeddings = TextEmbeddings(20, 12, 2, 8, 1e-12)
    embeddings(*random_row([3, 4], 20, 2))[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in embeddings.parameters())

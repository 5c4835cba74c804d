"""A batch keeps each text's tokens together, and gives values back in the order in which the texts were given."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.tasks.text import Tokens
from models.text.ragged_batch import RaggedBatch, remove_padding
from tests.models.transformers.reference import random_text
from training.texts.corpus import Rows

LENGTHS = st.lists(st.integers(1, 20), min_size=1, max_size=8)


def numbered_texts(lengths: list[int]) -> list[Tokens]:
    """Texts of which no two have a token in common."""
    return [Tokens.of_ids([100 * index + i for i in range(length)]) for index, length in enumerate(lengths)]


@given(lengths=LENGTHS, multiple=st.integers(1, 16))
def test_fillers_extend_the_row_to_a_multiple_and_belong_to_no_text(lengths: list[int], multiple: int) -> None:
    texts = numbered_texts(lengths)
    batch = RaggedBatch.of_texts(texts, multiple=multiple)
    n_given, n_rows = sum(lengths), len(batch.token_ids)
    assert n_rows % multiple == 0
    assert 0 <= n_rows - n_given < multiple
    assert sum(batch.segments.lengths) == n_rows
    assert [part.tolist() for part in batch.by_text(batch.token_ids)] == [text.ids.tolist() for text in texts]
    firsts = batch.token_ids[batch.segments.first][batch.inverse_order]
    assert firsts.tolist() == [int(text.ids[0]) for text in texts]
    assert torch.equal(batch.segments.positions[n_given:], torch.zeros(n_rows - n_given, dtype=torch.int64))


@given(lengths=LENGTHS, data=st.data())
def test_tokens_are_found_by_their_positions_in_the_given_texts(lengths: list[int], data: st.DataObject) -> None:
    texts = numbered_texts(lengths)
    batch = RaggedBatch.of_texts(texts)
    positions = [data.draw(st.lists(st.integers(0, length - 1), max_size=3)) for length in lengths]
    expected = [int(text.ids[position]) for text, its in zip(texts, positions, strict=True) for position in its]
    assert batch.token_ids[batch.token_rows(positions).long()].tolist() == expected


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6))
@example(lengths=[5, 1, 5])
@settings(max_examples=40)
def test_padded_rows_and_texts_give_the_same_batch_but_for_the_order(lengths: list[int]) -> None:
    texts = [random_text(length, 60, seed, n_types=2) for seed, length in enumerate(lengths)]
    rows = Rows.of(texts)
    by_length, as_given = RaggedBatch.of_texts(texts), RaggedBatch.of_rows(rows.ids, lengths, rows.types)
    assert as_given.segments.lengths == tuple(lengths)
    assert torch.equal(as_given.token_ids, torch.cat([torch.from_numpy(text.ids) for text in texts]))

    def ids_and_types(batch: RaggedBatch) -> Iterator[Tensor]:
        return (part for values in (batch.token_ids, batch.type_ids) for part in batch.by_text(values))

    for found, expected in zip(ids_and_types(as_given), ids_and_types(by_length), strict=True):
        assert found.dtype == expected.dtype == torch.int64
        assert torch.equal(found, expected)
    vectors = torch.rand(len(texts), 4)
    assert torch.equal(vectors[as_given.inverse_order], vectors)


def test_rows_are_whole_and_of_type_0_by_default() -> None:
    rows = torch.tensor([[3, 1, 4], [1, 5, 9]], dtype=torch.int32)
    batch = RaggedBatch.of_rows(rows)
    assert batch.token_ids.tolist() == [3, 1, 4, 1, 5, 9]
    assert batch.type_ids.tolist() == [0] * 6
    assert batch.segments.lengths == (3, 3)


def test_a_length_is_required_for_every_row() -> None:
    assert remove_padding(torch.tensor([[1, 2], [3, 4]]), [2, 1]).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="zip"):
        remove_padding(torch.tensor([[1, 2], [3, 4]]), [2])

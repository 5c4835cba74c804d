import torch
from hypothesis import given
from hypothesis import strategies as st

from models.text.ragged_batch import RaggedBatch
from models.text.tokens import tokens_of_ids


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8), step=st.integers(1, 16))
def test_a_row_is_filled_to_its_step_and_gives_back_only_what_was_given(lengths: list[int], step: int) -> None:
    texts = [tokens_of_ids([100 * place + i for i in range(length)]) for place, length in enumerate(lengths)]
    packed = RaggedBatch.of(texts, step=step)
    n_given = sum(lengths)
    n_rows = len(packed.token_ids)
    assert n_rows % step == 0
    assert 0 <= n_rows - n_given < step
    assert sum(packed.segments.lengths) == n_rows
    assert [part.tolist() for part in packed.by_text(packed.token_ids)] == [text.ids.tolist() for text in texts]
    firsts = packed.in_order(packed.token_ids[packed.segments.first])
    assert firsts.tolist() == [int(text.ids[0]) for text in texts]
    assert torch.equal(packed.segments.positions[n_given:], torch.zeros(n_rows - n_given, dtype=torch.int64))

"""MPNet is never computed without its bias, and computes it once for a batch."""

from typing import cast

import pytest
import torch

from models.layers.relative_positions import RelativePositionBias
from models.ops.segments import Segments
from models.text import text_model
from models.text.attention_patterns import WithinTextBlocks, WithinTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.transformers import mpnet
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import build

TEXTS = [random_text(length, 60, length) for length in (3, 9, 3, 1)]


@pytest.fixture
def model() -> TextEncoder:
    return cast("TextEncoder", build(mpnet.FAMILY, mpnet.FAMILY.tiny[-1]))


def test_a_pattern_that_takes_no_bias_is_refused(model: TextEncoder) -> None:
    batch = RaggedBatch.of_texts(TEXTS)
    blocks = WithinTextBlocks(torch.from_numpy(batch.segments.block_table))
    with pytest.raises(TypeError, match="WithinTextBlocks takes no bias"):
        model.hidden(batch, blocks)


def test_cuda_graphs_are_not_used(model: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_model, "uses_cuda_graphs", lambda device: True)
    assert model.graphs_for(Segments([3])) is None
    model.read(TEXTS)


def test_the_bias_is_computed_once_for_all_layers_and_texts(
    model: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    compute = RelativePositionBias.forward

    def counted(bias: RelativePositionBias, length: int) -> torch.Tensor:
        lengths.append(length)
        return compute(bias, length)

    monkeypatch.setattr(RelativePositionBias, "forward", counted)
    model.read(TEXTS)
    assert lengths == [9]


def test_the_order_of_tokens_counts_beyond_their_positions(model: TextEncoder) -> None:
    batch = RaggedBatch.of_texts(TEXTS)
    with torch.inference_mode():
        before = model.hidden(batch, WithinTexts(batch.segments))
        model.get_parameter("distance_bias.buckets.weight").data.zero_()
        assert not torch.allclose(model.hidden(batch, WithinTexts(batch.segments)), before, atol=1e-3)

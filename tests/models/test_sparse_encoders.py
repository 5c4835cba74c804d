"""SPLADE folders as sentence-transformers saves them: their sparse vectors are the library's."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
from torch import nn

from models.errors import InvalidItems
from tests.models.sentence_folders import PROMPTS, TEXTS, checkpoint_of, ours, similarities
from tests.models.transformers.reference import assert_close

SPARSE: dict[str, tuple[str, Callable[[Path], nn.Module], Callable[[], SpladePooling], dict[str, Any]]] = {
    "max": ("BertForMaskedLM", lambda base: MLMTransformer(str(base)), lambda: SpladePooling("max"), {}),
    "sum": (
        "BertForMaskedLM",
        lambda base: Transformer(str(base), transformer_task="fill-mask"),
        lambda: SpladePooling("sum"),
        {"similarity_fn_name": "cosine", "prompts": PROMPTS, "default_prompt_name": "query"},
    ),
    "twice": (
        "AlbertForMaskedLM",
        lambda base: MLMTransformer(str(base)),
        lambda: SpladePooling("max", "log1p_relu"),
        {"max_active_dims": 7},
    ),
    "DistilBERT": ("DistilBertForMaskedLM", lambda base: MLMTransformer(str(base)), lambda: SpladePooling("max"), {}),
    "MPNet": ("MPNetForMaskedLM", lambda base: MLMTransformer(str(base)), lambda: SpladePooling("max"), {}),
    "ELECTRA": ("ElectraForMaskedLM", lambda base: MLMTransformer(str(base)), lambda: SpladePooling("max"), {}),
}


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_vectors_are_those_of_the_library(bases: Path, tmp_path: Path, kind: str) -> None:
    base, transformer, pooling, settings = SPARSE[kind]
    folder = tmp_path / "mine"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SparseEncoder(modules=[transformer(bases / base), pooling()], device="cpu", **settings).save_pretrained(
            str(folder), create_model_card=False
        )
        reference = SparseEncoder(str(folder), device="cpu")
    expected = reference.encode(TEXTS, convert_to_sparse_tensor=False)
    for result, row in zip(ours(folder), expected, strict=True):
        assert result.indices is not None
        assert torch.equal(result.indices, row.nonzero()[:, 0])
        assert_close(result.embedding, row[result.indices])
    assert checkpoint_of(folder).embedding_width == 60
    if not settings.get("default_prompt_name"):
        assert_close(similarities(folder), reference.similarity(expected[:1], expected[1:])[0])
    with pytest.raises(InvalidItems, match='pooling is "mean", but the embedding is sparse') as refused:
        ours(folder, pooling="mean")
    assert refused.value.problems[0].parameter == "pooling"


def test_a_model_of_masked_words_makes_sparse_vectors_on_request(bases: Path) -> None:
    folder = bases / "BertForMaskedLM"
    reference = SparseEncoder(modules=[Transformer(str(folder), transformer_task="fill-mask"), SpladePooling("max")])
    expected = reference.encode(TEXTS, convert_to_sparse_tensor=False)
    for result, row in zip(ours(folder, sparse=True), expected, strict=True):
        assert result.indices is not None
        assert_close(torch.zeros(60).scatter(0, result.indices, result.embedding), row.cpu())
    assert ours(folder)[0].indices is None

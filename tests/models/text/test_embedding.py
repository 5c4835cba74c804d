"""Texts have the vectors that a request or the checkpoint asks for."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from models.tasks.text import EncodeTextRequest, EncodeTextResults, ProjectTextsRequest, SimilarityRequest
from models.text import text_model
from models.text.embedding import encode, hidden_states, project, similarity, vectors
from models.text.embedding_settings import EmbeddingSettings
from tests.models.text.encoders import encoder, states_of, texts_of

LENGTHS = (5, 2, 9, 5)


def test_hidden_states_are_those_of_each_text_alone() -> None:
    model, texts = encoder(), texts_of(*LENGTHS)
    with torch.inference_mode():
        for found, text in zip(hidden_states(model, texts), texts, strict=True):
            torch.testing.assert_close(found, states_of(model, text))


@pytest.mark.parametrize("at_once", [5, 10**6])
def test_vectors_are_pooled_as_the_checkpoint_says_unless_told_otherwise(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_model, "MAX_TOKENS_AT_ONCE", at_once)
    model, texts = encoder(), texts_of(*LENGTHS)
    model.embedding = EmbeddingSettings(poolings=("cls",), normalize=True)
    with torch.inference_mode():
        states = [states_of(model, text) for text in texts]
        firsts = torch.stack([state[0] for state in states])
        torch.testing.assert_close(vectors(model, texts), functional.normalize(firsts))
        torch.testing.assert_close(vectors(model, texts, normalize=False), firsts)
        means = torch.stack([state.mean(0) for state in states])
        torch.testing.assert_close(vectors(model, texts, "mean", normalize=False), means)


def test_requests_that_are_pooled_alike_share_one_array() -> None:
    model, texts = encoder(), texts_of(*LENGTHS)
    with torch.inference_mode():
        together = encode(model, [EncodeTextRequest(tokens=text) for text in texts])
        assert isinstance(together, EncodeTextResults)
        assert together.embeddings.shape == (4, 12)
        assert torch.equal(together[1:][0].embedding, together[1].embedding)


def test_requests_of_different_kinds_share_a_batch_in_the_given_order() -> None:
    kinds: list[dict[str, Any]] = [{}, {"pooling": "none"}, {"dimensions": 3}, {"normalize": True}]
    model, texts = encoder(), texts_of(*LENGTHS)
    requests = [EncodeTextRequest(tokens=text, **kind) for text, kind in zip(texts, kinds, strict=True)]
    with torch.inference_mode():
        together = encode(model, requests)
        for request, result in zip(requests, together, strict=True):
            torch.testing.assert_close(result.embedding, encode(model, [request])[0].embedding)
    assert [tuple(result.embedding.shape) for result in together] == [(12,), (2, 12), (3,), (12,)]


def test_similarities_are_cosines_within_each_request() -> None:
    model, texts = encoder(), texts_of(3, 8, 5, 2, 6)
    requests = [SimilarityRequest(texts=tuple(texts[:3])), SimilarityRequest(texts=tuple(texts[3:]))]
    with torch.inference_mode():
        found = similarity(model, requests)
        for request, result in zip(requests, found, strict=True):
            source, *candidates = vectors(model, request.texts)
            expected = functional.cosine_similarity(torch.stack(candidates), source[None])
            torch.testing.assert_close(result.scores, expected)


def test_points_are_fitted_to_the_texts_of_each_request() -> None:
    model, texts = encoder(), texts_of(3, 8, 5, 2, 6, 7)
    requests = [ProjectTextsRequest(texts=tuple(texts[:3])), ProjectTextsRequest(texts=tuple(texts[3:]))]
    with torch.inference_mode():
        together = project(model, requests)
        for request, result in zip(requests, together, strict=True):
            (alone,) = project(model, [request])
            assert result.points.shape == (3, 2)
            torch.testing.assert_close(result.points, alone.points, rtol=1e-3, atol=1e-4)

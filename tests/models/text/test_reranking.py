"""Candidates are in the order of their scores, whichever texts share the batch."""

import pytest
import torch

from models.tasks.classification import Activation
from models.tasks.text import RerankPairsRequest, RerankRequest, SimilarityRequest
from models.text import text_model
from models.text.embedding import similarity
from models.text.reranking import rerank, rerank_pairs
from tests.models.text.encoders import encoder, texts_of


def test_vectors_are_ranked_by_their_similarity() -> None:
    model, texts = encoder(), tuple(texts_of(3, 8, 5, 2, 6))
    with torch.inference_mode():
        (found,) = rerank(model, [RerankRequest(texts=texts)])
        (compared,) = similarity(model, [SimilarityRequest(texts=texts)])
    assert found.scores.tolist() == sorted(compared.scores.tolist(), reverse=True)
    assert torch.equal(compared.scores[found.indices], found.scores)


@pytest.mark.parametrize("wanted", [None, "sigmoid", "none"])
def test_pairs_are_ranked_by_the_score_of_the_only_class(wanted: Activation | None) -> None:
    model = encoder("pooler", "sequence", labels=("fits",), label_activation="sigmoid")
    first, second = tuple(texts_of(3, 8, 5)), tuple(texts_of(4, 7))
    requests = [RerankPairsRequest(texts=texts, function_to_apply=wanted) for texts in (first, second)]
    with torch.inference_mode():
        results = rerank_pairs(model, requests)
        for request, result in zip(requests, results, strict=True):
            logits = torch.cat([model.class_logits([text])[:, 0] for text in request.texts])
            expected = logits if wanted == "none" else logits.sigmoid()
            torch.testing.assert_close(result.scores, expected.sort(descending=True).values)
            assert result.indices.tolist() == expected.argsort(descending=True).tolist()


def test_equal_candidates_have_equal_scores_and_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long, other = texts_of(4, 19, 7)
    texts = (other, short, long, short, other, short)
    monkeypatch.setattr(text_model, "MAX_TOKENS_AT_ONCE", 12)  # equal ones would be in different batches
    with torch.inference_mode():
        by_vectors = rerank(encoder(), [RerankRequest(texts=(long, *texts))])
        by_class = rerank_pairs(encoder("pooler", "sequence", labels=("fits",)), [RerankPairsRequest(texts=texts)])
    for found in (*by_vectors, *by_class):
        by_score: dict[float, list[int]] = {}
        for index, score in zip(found.indices.tolist(), found.scores.tolist(), strict=True):
            by_score.setdefault(score, []).append(index)
        assert sorted(by_score.values()) == [[0, 4], [1, 3, 5], [2]]


def test_top_k_keeps_the_best() -> None:
    model, texts = encoder("pooler", "sequence", labels=("fits",)), tuple(texts_of(3, 8, 5))
    with torch.inference_mode():
        whole, some, more = rerank_pairs(model, [RerankPairsRequest(texts=texts, top_k=k) for k in (None, 2, 9)])
    assert some.indices.tolist() == whole.indices.tolist()[:2]
    assert more.indices.tolist() == whole.indices.tolist()

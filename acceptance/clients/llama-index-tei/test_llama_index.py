"""LlamaIndex's client of Text Embeddings Inference, and `huggingface_hub`, unchanged, against shipped checkpoints."""

import asyncio
import math
import os

import httpx
import pytest
from huggingface_hub import InferenceClient
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

URL = f"{os.environ['MANIFOLD_URL']}/tei/sentence-mini-en"
TEXTS = ["A dog runs.", "A puppy is running.", "The bank raised its rates."]


@pytest.fixture(scope="module")
def embeddings() -> TextEmbeddingsInference:
    return TextEmbeddingsInference(
        model_name="sentence-mini-en", base_url=URL, auth_token=lambda url: "any", embed_batch_size=2
    )


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def test_texts_become_vectors_of_unit_length(embeddings: TextEmbeddingsInference) -> None:
    first, second, third = embeddings.get_text_embedding_batch(TEXTS)
    assert math.isclose(math.hypot(*first), 1, rel_tol=1e-5)
    assert cosine(first, second) > cosine(first, third)
    assert embeddings.get_query_embedding(TEXTS[0]) == pytest.approx(first, abs=1e-5)


def test_the_asynchronous_methods_give_the_same(embeddings: TextEmbeddingsInference) -> None:
    found = asyncio.run(embeddings.aget_text_embedding_batch(TEXTS))
    for vector, expected in zip(found, embeddings.get_text_embedding_batch(TEXTS), strict=True):
        assert vector == pytest.approx(expected, abs=1e-5)


def test_long_texts_are_cut_and_the_answer_says_so(embeddings: TextEmbeddingsInference) -> None:
    assert len(embeddings.get_text_embedding("the dog " * 400)) == len(embeddings.get_text_embedding("the dog"))
    answer = httpx.post(f"{URL}/embed", json={"inputs": ["the dog " * 400, "a"]})
    assert answer.headers["x-truncated"] == "1"


def test_the_inference_client_takes_the_path_as_its_model(embeddings: TextEmbeddingsInference) -> None:
    client = InferenceClient(model=URL)
    (vector,) = client.feature_extraction(TEXTS[0], normalize=True, truncate=True, truncation_direction="Right")
    assert vector.tolist() == pytest.approx(embeddings.get_text_embedding(TEXTS[0]), abs=1e-5)

"""`litellm`, unchanged, against a server with the shipped checkpoints, as each provider that it ranks by."""

import asyncio
import os
from typing import Any

import litellm
import pytest

URL = os.environ["MANIFOLD_URL"]
MODEL = "sentence-mini-en"
QUERY = "A dog runs through the grass."
DOCUMENTS = ["The bank raised its rates.", "A puppy is running in a field.", "Two men play chess."]
PROVIDERS = {
    "cohere": URL,
    "infinity": URL,
    "hosted_vllm": URL,
    "jina_ai": URL,
    "huggingface": f"{URL}/tei/{MODEL}",
}


def check(answer: Any) -> None:
    assert answer.results[0]["index"] == 1
    scores = [result["relevance_score"] for result in answer.results]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_documents_are_ranked(provider: str) -> None:
    arguments = {
        "model": f"{provider}/{MODEL}",
        "query": QUERY,
        "documents": DOCUMENTS,
        "api_base": PROVIDERS[provider],
        "api_key": "none",
        # LiteLLM takes documents of infinity as strings alone, and those of vLLM, at the same path, as objects alone
        "return_documents": provider != "infinity",
    }
    check(litellm.rerank(**arguments))
    check(asyncio.run(litellm.arerank(**arguments)))


@pytest.mark.parametrize("provider", ["cohere", "jina_ai", "hosted_vllm"])
def test_the_best_documents_are_returned(provider: str) -> None:
    answer = litellm.rerank(
        model=f"{provider}/{MODEL}",
        query=QUERY,
        documents=DOCUMENTS,
        top_n=1,
        return_documents=True,
        api_base=PROVIDERS[provider],
        api_key="none",
    )
    assert [result["index"] for result in answer.results] == [1]
    assert answer.results[0]["document"]["text"] == DOCUMENTS[1]


def test_embeddings_in_the_forms_of_openai_and_cohere() -> None:
    found = litellm.embedding(model=f"openai/{MODEL}", input=DOCUMENTS, api_base=f"{URL}/v1", api_key="none")
    assert len(found.data) == len(DOCUMENTS)
    other = litellm.embedding(
        model=f"cohere/{MODEL}",
        input=DOCUMENTS,
        input_type="search_document",
        api_base=f"{URL}/v1/embed",
        api_key="none",
    )
    assert other.data[0]["embedding"] == pytest.approx(found.data[0]["embedding"], abs=1e-5)


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(litellm.exceptions.BadRequestError) as refused:
        litellm.rerank(model=f"cohere/{MODEL}", query=QUERY, documents=DOCUMENTS, top_n=0, api_base=URL, api_key="none")
    assert "top_n" in str(refused.value)

"""LangChain's classes for Ollama, unchanged, against a server with the shipped checkpoints."""

import asyncio
import os

import pytest
from langchain_ollama import OllamaEmbeddings, OllamaLLM

URL = os.environ["MANIFOLD_URL"]


def test_embeddings() -> None:
    model = OllamaEmbeddings(model="sentence-mini-en", base_url=URL, validate_model_on_init=True)
    documents = model.embed_documents(["A dog runs.", "The bank raised its rates."])
    query = model.embed_query("A puppy is running.")
    near, far = (sum(a * b for a, b in zip(query, document, strict=True)) for document in documents)
    assert near > far
    assert asyncio.run(model.aembed_query("A puppy is running.")) == pytest.approx(query, abs=1e-6)


def test_generation() -> None:
    llm = OllamaLLM(model="gpt-mini-en", base_url=URL, temperature=0, num_predict=8, stop=["zzz"])
    text = llm.invoke("Once upon a time")
    assert text
    assert "".join(llm.stream("Once upon a time")) == text

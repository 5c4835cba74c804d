"""LangChain's classes for OpenAI, unchanged, against a server with the shipped checkpoints."""

import asyncio
import math
import os

import openai
import pytest
import tiktoken
from langchain_openai import OpenAI, OpenAIEmbeddings

URL = os.environ["MANIFOLD_URL"] + "/v1"
SENTENCES, GPT = "sentence-mini-en", "gpt-mini-en"


@pytest.fixture
def embeddings() -> OpenAIEmbeddings:
    return OpenAIEmbeddings(base_url=URL, api_key="none", model=SENTENCES, check_embedding_ctx_length=False)


@pytest.fixture
def llm() -> OpenAI:
    return OpenAI(base_url=URL, api_key="none", model=GPT, max_tokens=12, temperature=0, max_retries=0)


def test_documents_and_queries(embeddings: OpenAIEmbeddings) -> None:
    documents = embeddings.embed_documents(["A dog runs.", "The bank raised its rates."])
    query = embeddings.embed_query("A puppy is running.")
    near, far = (sum(a * b for a, b in zip(query, document, strict=True)) for document in documents)
    assert near > far
    assert math.isclose(math.hypot(*query), 1, rel_tol=1e-5)


def test_asynchronous_embeddings(embeddings: OpenAIEmbeddings) -> None:
    asked = ["A dog runs."]
    assert asyncio.run(embeddings.aembed_documents(asked))[0] == pytest.approx(embeddings.embed_documents(asked)[0])


def test_dimensions() -> None:
    model = OpenAIEmbeddings(
        base_url=URL, api_key="none", model=SENTENCES, check_embedding_ctx_length=False, dimensions=8
    )
    assert len(model.embed_query("A dog runs.")) == 8


@pytest.fixture
def bytes_as_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangChain downloads the vocabulary of OpenAI's models. This one, in its place, has a token for each byte."""
    vocabulary = {bytes([value]): value for value in range(256)}
    encoding = tiktoken.Encoding("bytes", pat_str=".", mergeable_ranks=vocabulary, special_tokens={})
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: encoding)


@pytest.mark.usefixtures("bytes_as_tokens")
def test_the_token_ids_that_it_sends_by_default_are_refused_with_what_to_do() -> None:
    model = OpenAIEmbeddings(base_url=URL, api_key="none", model=SENTENCES)
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        model.embed_query("A dog runs.")


def test_a_completion(llm: OpenAI) -> None:
    text = llm.invoke("Once upon a time")
    assert text
    assert asyncio.run(llm.ainvoke("Once upon a time")) == text


def test_a_batch(llm: OpenAI) -> None:
    result = llm.generate(["Once upon a time", "The dog"])
    assert [generations[0].text for generations in result.generations] == [
        llm.invoke(t) for t in ("Once upon a time", "The dog")
    ]
    assert result.llm_output is not None
    assert result.llm_output["token_usage"]["completion_tokens"] <= 24


def test_a_stream(llm: OpenAI) -> None:
    pieces = list(llm.stream("Once upon a time"))
    assert len(pieces) > 2
    assert "".join(pieces) == llm.invoke("Once upon a time")

    async def streamed() -> str:
        return "".join([piece async for piece in llm.astream("Once upon a time")])

    assert asyncio.run(streamed()) == "".join(pieces)


def test_a_stop_string_ends_a_text(llm: OpenAI) -> None:
    whole = llm.invoke("Once upon a time")
    stop = whole.split()[-1]
    assert llm.invoke("Once upon a time", stop=[stop]) == whole[: whole.index(stop)]


def test_several_choices_and_log_probabilities() -> None:
    llm = OpenAI(base_url=URL, api_key="none", model=GPT, max_tokens=4, n=2, best_of=2, seed=1, logprobs=2)
    (generations,) = llm.generate(["Once upon a time"]).generations
    assert len(generations) == 2
    for generation in generations:
        assert generation.generation_info is not None
        assert len(generation.generation_info["logprobs"]["tokens"]) == 4


def test_a_refusal_names_the_field(llm: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="max_tokens") as caught:
        llm.bind(max_tokens=9999).invoke("Once")
    assert caught.value.param == "max_tokens"

"""The client `cohere`, unchanged, against a server with the shipped checkpoints."""

import asyncio
import base64
import math
import os
import struct

import cohere
import pytest

URL = os.environ["MANIFOLD_URL"]
MODEL = "sentence-mini-en"
QUERY = "A dog runs through the grass."
DOCUMENTS = ["The bank raised its rates.", "A puppy is running in a field.", "Two men play chess."]


@pytest.fixture(scope="module")
def v1() -> cohere.Client:
    return cohere.Client(api_key="none", base_url=URL)


@pytest.fixture(scope="module")
def v2() -> cohere.ClientV2:
    return cohere.ClientV2(api_key="none", base_url=URL)


def test_documents_are_ranked_best_first(v1: cohere.Client, v2: cohere.ClientV2) -> None:
    for answer in (
        v1.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS),
        v2.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS),
    ):
        scores = [result.relevance_score for result in answer.results]
        assert answer.results[0].index == 1
        assert scores == sorted(scores, reverse=True)
        assert answer.id
        assert answer.meta is not None


def test_the_documents_are_returned_if_asked_for(v1: cohere.Client) -> None:
    documents = [{"text": text} for text in DOCUMENTS]
    answer = v1.rerank(model=MODEL, query=QUERY, documents=documents, top_n=2, return_documents=True)
    assert len(answer.results) == 2
    assert answer.results[0].document is not None
    assert answer.results[0].document.text == DOCUMENTS[1]


def test_long_documents_are_cut_with_a_warning(v2: cohere.ClientV2) -> None:
    answer = v2.rerank(model=MODEL, query=QUERY, documents=["the dog " * 400, "a dog"], max_tokens_per_doc=4096)
    assert answer.meta is not None
    assert answer.meta.warnings == ["1 text was longer than the model's context and cut"]


def test_embeddings_are_numbers_in_the_first_version(v1: cohere.Client) -> None:
    answer = v1.embed(model=MODEL, texts=DOCUMENTS, input_type="search_document", truncate="END")
    assert answer.response_type == "embeddings_floats"
    assert answer.texts == DOCUMENTS
    assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-5) for vector in answer.embeddings)


def test_embeddings_of_every_type(v1: cohere.Client, v2: cohere.ClientV2) -> None:
    types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    arguments = {"model": MODEL, "texts": DOCUMENTS, "input_type": "search_query", "embedding_types": types}
    for answer in (v1.embed(**arguments), v2.embed(**arguments)):
        found = answer.embeddings
        assert answer.response_type == "embeddings_by_type"
        for index, vector in enumerate(found.float_):
            scale = max(map(abs, vector)) / 127
            assert [value * scale for value in found.int8[index]] == pytest.approx(vector, abs=scale * 0.51)
            assert [value - 128 for value in found.uint8[index]] == found.int8[index]
            bits = "".join(f"{byte:08b}" for byte in found.ubinary[index])[: len(vector)]
            assert [bit == "1" for bit in bits] == [value > 0 for value in vector]
            assert [byte + 128 for byte in found.binary[index]] == found.ubinary[index]
            data = base64.b64decode(found.base64[index])
            assert struct.unpack(f"<{len(vector)}f", data) == pytest.approx(vector, abs=1e-6)


def test_an_output_dimension_cuts_embeddings(v2: cohere.ClientV2) -> None:
    inputs = [{"content": [{"type": "text", "text": QUERY}]}]
    arguments = {"model": MODEL, "inputs": inputs, "input_type": "clustering", "embedding_types": ["float"]}
    answer = v2.embed(**arguments, output_dimension=8)
    ((*vector,),) = answer.embeddings.float_
    assert len(vector) == 8
    assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-5)


def test_long_texts_are_refused_if_asked_for(v2: cohere.ClientV2) -> None:
    with pytest.raises(cohere.BadRequestError) as refused:
        v2.embed(model=MODEL, texts=["the dog " * 400], input_type="search_query", truncate="NONE")
    assert "802 tokens" in refused.value.body["message"]


def test_errors_are_those_of_the_client(v1: cohere.Client, v2: cohere.ClientV2) -> None:
    with pytest.raises(cohere.NotFoundError, match="no model is named 'nope'"):
        v1.rerank(model="nope", query=QUERY, documents=DOCUMENTS)
    with pytest.raises(cohere.BadRequestError, match="top_n"):
        v2.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=0)


def test_the_asynchronous_client_gets_the_same(v2: cohere.ClientV2) -> None:
    async def rank() -> cohere.V2RerankResponse:
        async with cohere.AsyncClientV2(api_key="none", base_url=URL) as client:
            return await client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS)

    expected = v2.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS)
    assert [each.index for each in asyncio.run(rank()).results] == [each.index for each in expected.results]

"""Text generation by the unmodified `HuggingFaceEndpoint` of LangChain. Its class for embeddings takes no URL."""

import asyncio
import os

import pytest
from huggingface_hub.errors import ValidationError
from langchain_huggingface import HuggingFaceEndpoint, HuggingFaceEndpointEmbeddings

URL = f"{os.environ['MANIFOLD_URL']}/hf/gpt-mini-en"
PROMPT = "Once upon a time"


def endpoint(**parameters: object) -> HuggingFaceEndpoint:
    return HuggingFaceEndpoint(endpoint_url=URL, **{"max_new_tokens": 12, **parameters})


def test_a_prompt_is_continued_whole_and_as_a_stream() -> None:
    model = endpoint()
    text = model.invoke(PROMPT)
    assert text
    assert "".join(model.stream(PROMPT)) == text
    assert endpoint(streaming=True).invoke(PROMPT) == text
    assert model.batch([PROMPT, PROMPT]) == [text, text]


def test_the_asynchronous_calls_say_the_same() -> None:
    async def run() -> tuple[str, str]:
        model = endpoint()
        return await model.ainvoke(PROMPT), "".join([piece async for piece in model.astream(PROMPT)])

    text = endpoint().invoke(PROMPT)
    assert asyncio.run(run()) == (text, text)


def test_sampling_is_repeated_by_its_seed() -> None:
    texts = {endpoint(do_sample=True, temperature=0.9, top_k=20, seed=5).invoke(PROMPT) for _ in range(2)}
    assert len(texts) == 1


def test_a_stop_sequence_ends_the_text() -> None:
    text = endpoint(max_new_tokens=20).invoke(PROMPT)
    stop = text.split()[3]
    for ended in (endpoint(stop_sequences=[stop]).invoke(PROMPT), endpoint().invoke(PROMPT, stop=[stop])):
        assert text.startswith(ended)
        assert stop not in ended


def test_more_tokens_than_the_model_has_are_refused() -> None:
    with pytest.raises(ValidationError, match="max_new_tokens"):
        HuggingFaceEndpoint(endpoint_url=URL).invoke(PROMPT)  # 512, the default of LangChain


def test_its_embeddings_take_no_url() -> None:
    with pytest.raises(ValueError, match="must be a HuggingFace repo ID, not a URL"):
        HuggingFaceEndpointEmbeddings(model=URL)

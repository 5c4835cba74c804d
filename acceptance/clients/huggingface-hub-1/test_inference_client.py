"""Every pipeline by the unmodified `InferenceClient`, synchronous and asynchronous."""

import asyncio
import inspect
import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError, ValidationError
from PIL import Image, ImageDraw

URL = os.environ["MANIFOLD_URL"]
SENTENCES = ["A dog runs through the grass.", "Stock prices fell."]


def drawing() -> Image.Image:
    """A one, in white on black, as in MNIST."""
    image = Image.new("L", (28, 28))
    ImageDraw.Draw(image).line([(14, 4), (14, 24)], fill=255, width=3)
    return image


def png() -> bytes:
    file = io.BytesIO()
    drawing().save(file, "PNG")
    return file.getvalue()


Call = Callable[..., Any]


@pytest.fixture(params=["synchronous", "asynchronous"])
def call(request: pytest.FixtureRequest) -> Call:
    """A function that calls a method of the client of a model, and collects what a stream yields."""

    def synchronous(model: str, method: str, *arguments: Any, **parameters: Any) -> Any:
        client = InferenceClient(model=f"{URL}/hf/{model}")  # a stream ends when its client is gone
        result = getattr(client, method)(*arguments, **parameters)
        return list(result) if inspect.isgenerator(result) else result

    async def run(model: str, method: str, *arguments: Any, **parameters: Any) -> Any:
        client = AsyncInferenceClient(model=f"{URL}/hf/{model}", headers={"authorization": "Bearer any"})
        result = await getattr(client, method)(*arguments, **parameters)
        return [event async for event in result] if inspect.isasyncgen(result) else result

    def asynchronous(*arguments: Any, **parameters: Any) -> Any:
        return asyncio.run(run(*arguments, **parameters))

    return synchronous if request.param == "synchronous" else asynchronous


def test_fill_mask(call: Call) -> None:
    for model, text in (("bert-mini-en", "The [MASK] was born ."), ("roberta-mini-en", "The <mask> was born.")):
        fills = call(model, "fill_mask", text, top_k=3)
        assert len(fills) == 3
        assert fills[0].score > fills[1].score > fills[2].score
        assert fills[0].token_str.strip() in fills[0].sequence
        assert len(call(model, "fill_mask", text)) == 5
    (fill,) = call("bert-mini-en", "fill_mask", "The [MASK] was born .", targets=["family"])
    assert fill.sequence == "the family was born."


def test_text_classification(call: Call) -> None:
    labels = call("bert-sst2-en", "text_classification", "a wonderful film")
    assert [label.label for label in labels] == ["positive", "negative"]
    assert sum(label.score for label in labels) == pytest.approx(1, abs=1e-5)
    (only,) = call("bert-sst2-en", "text_classification", "a wonderful film", top_k=1, function_to_apply="none")
    assert only.label == "positive"
    assert only.score > 1 or only.score != pytest.approx(labels[0].score)


def test_token_classification(call: Call) -> None:
    text = "Anna lives in London."
    entities = call("bert-ner-en", "token_classification", text)
    assert [(each.entity_group, each.word) for each in entities] == [("PER", "Anna"), ("LOC", "London")]
    assert all(text[each.start : each.end] == each.word for each in entities)
    tokens = call("bert-ner-en", "token_classification", text, aggregation_strategy="none")
    assert {each.entity for each in tokens} >= {"B-PER", "B-LOC"}
    places = call("bert-ner-en", "token_classification", text, ignore_labels=["O", "PER"], stride=16)
    assert [each.word for each in places] == ["London"]


def test_question_answering(call: Call) -> None:
    context = "Anna lives in London. She likes tea."
    answer = call("bert-qa-en", "question_answering", "Where does Anna live?", context)
    assert (answer.answer, context[answer.start : answer.end]) == ("London", "London")
    options = {"max_answer_len": 5, "doc_stride": 32, "max_seq_len": 384, "max_question_len": 64}
    options |= {"align_to_words": True, "handle_impossible_answer": False}
    answers = call("bert-qa-en", "question_answering", "Where does Anna live?", context, top_k=2, **options)
    assert (answers[0].answer, len(answers)) == ("London", 2)


def test_feature_extraction(call: Call) -> None:
    one = call("sentence-mini-en", "feature_extraction", SENTENCES[0])
    assert one.dtype == np.float32
    assert one.shape[0] == 1
    both = call("sentence-mini-en", "feature_extraction", SENTENCES)
    np.testing.assert_allclose(both[0], one[0], atol=1e-5)
    options = {"normalize": True, "truncate": True, "truncation_direction": "right", "encoding_format": "float"}
    short = call("sentence-mini-en", "feature_extraction", SENTENCES, dimensions=16, **options)
    assert short.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)


def test_sentence_similarity(call: Call) -> None:
    near, far = call("sentence-mini-en", "sentence_similarity", SENTENCES[0], ["A puppy runs outside.", SENTENCES[1]])
    assert 1 >= near > far


def test_translation(call: Call) -> None:
    model, text = "transformer-multi30k-en-de", "A man is riding a bike."
    translation = call(model, "translation", text)
    assert "Mann" in translation.translation_text
    options = {"clean_up_tokenization_spaces": False, "truncation": "longest_first"}
    greedy = call(model, "translation", text, generate_parameters={"num_beams": 1, "max_new_tokens": 4}, **options)
    assert len(greedy.translation_text) < len(translation.translation_text)


def test_text_generation(call: Call) -> None:
    neutral = {"best_of": 1, "decoder_input_details": False, "watermark": False, "repetition_penalty": 1.0}
    model, prompt = "gpt-mini-en", "Once upon a time"
    text = call(model, "text_generation", prompt, max_new_tokens=8, **neutral)
    assert text
    assert call(model, "text_generation", prompt, max_new_tokens=8, return_full_text=True) == prompt + text
    result = call(model, "text_generation", prompt, max_new_tokens=8, details=True, top_n_tokens=2, do_sample=False)
    assert result.generated_text == text
    assert (result.details.finish_reason, result.details.generated_tokens) == ("length", 8)
    assert "".join(token.text for token in result.details.tokens) == text
    assert all(token.logprob <= 0 and not token.special for token in result.details.tokens)
    assert [len(top) for top in result.details.top_tokens] == [2] * 8


def test_text_generation_samples_the_same_text_by_the_same_seed(call: Call) -> None:
    sampling = {"do_sample": True, "temperature": 0.9, "top_k": 50, "top_p": 0.9, "typical_p": 0.95, "seed": 7}
    texts = {call("gpt-mini-en", "text_generation", "The king", max_new_tokens=12, **sampling) for _ in range(2)}
    assert len(texts) == 1


def test_text_generation_ends_at_a_stop_string(call: Call) -> None:
    model, prompt = "gpt-mini-en", "Once upon a time"
    text = call(model, "text_generation", prompt, max_new_tokens=20)
    stop = text.split()[3]
    result = call(model, "text_generation", prompt, max_new_tokens=20, stop=[stop], details=True)
    assert result.details.finish_reason == "stop_sequence"
    assert text.startswith(result.generated_text)
    assert stop not in result.generated_text


def test_text_generation_streams(call: Call) -> None:
    model, prompt = "gpt-mini-en", "Once upon a time"
    text = call(model, "text_generation", prompt, max_new_tokens=8)
    pieces = call(model, "text_generation", prompt, max_new_tokens=8, stream=True)
    assert "".join(pieces) == text
    events = call(model, "text_generation", prompt, max_new_tokens=8, stream=True, details=True)
    assert [event.index for event in events] == [*range(1, len(events) + 1)]
    assert [event.generated_text for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].generated_text == text
    assert (events[-1].details.finish_reason, events[-1].details.generated_tokens) == ("length", 8)
    assert events[-1].details.input_length > 0


def test_image_classification(call: Call, tmp_path: Any) -> None:
    file = tmp_path / "one.png"
    file.write_bytes(png())
    for image in (png(), str(file), file):
        labels = call("denoising-ae-mnist", "image_classification", image)
        assert labels[0].label == "1"
    few = call("denoising-ae-mnist", "image_classification", png(), top_k=3, function_to_apply="sigmoid")
    assert (len(few), few[0].label) == (3, "1")


def test_image_to_image(call: Call) -> None:
    for model in ("conv-ae-mnist", "denoising-ae-mnist"):
        original, answer = np.asarray(drawing(), np.float32), call(model, "image_to_image", png())
        assert answer.size == (28, 28)
        assert np.abs(np.asarray(answer, np.float32) - original).mean() < 40
    size = {"width": 28, "height": 28}
    first = call("denoising-ae-mnist", "image_to_image", png(), prompt="denoise", target_size=size)
    np.testing.assert_array_equal(np.asarray(first), np.asarray(call("denoising-ae-mnist", "image_to_image", png())))
    with pytest.raises(HfHubHTTPError):
        call("denoising-ae-mnist", "image_to_image", png(), prompt="a horse")


def test_a_pipeline_can_be_named_where_a_model_serves_several(call: Call) -> None:
    vectors = call("bert-sst2-en/pipeline/feature-extraction", "feature_extraction", SENTENCES)
    assert vectors.shape[0] == 2
    assert call("denoising-ae-mnist/pipeline/image-to-image", "image_to_image", png()).size == (28, 28)


def test_refusals_are_the_errors_of_the_client(call: Call) -> None:
    with pytest.raises(ValidationError, match=r"parameters\.max_new_tokens"):
        call("gpt-mini-en", "text_generation", "Once", max_new_tokens=100_000)
    with pytest.raises(ValidationError, match=r"parameters\.watermark"):
        call("gpt-mini-en", "text_generation", "Once", watermark=True)
    with pytest.raises(HfHubHTTPError, match="no model is named 'nobody'"):
        call("nobody", "fill_mask", "The [MASK] ran.")


def test_health_and_info() -> None:
    client = InferenceClient(model=f"{URL}/hf/bert-mini-en", provider="hf-inference")
    assert client.health_check()
    assert not InferenceClient(model=f"{URL}/hf/nobody", provider="hf-inference").health_check()
    info = client.get_endpoint_info()
    assert (info["model_id"], info["pipeline_tag"], info["max_input_length"]) == ("bert-mini-en", "fill-mask", 256)

"""The pipelines of the Hugging Face Inference API over HTTP: the forms of answers, and refusals."""

import base64
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.settings import Settings
from tests.app.server import SHIPPED
from tests.conftest import served

pytestmark = pytest.mark.anyio

SEVEN = (SHIPPED.parent / "docs/examples/seven.png").read_bytes()
BASE64 = base64.b64encode(SEVEN).decode()
LOADED = ("bert-mini-en", "bert-ner-en", "bert-qa-en", "bert-sst2-en", "denoising-ae-mnist", "gpt-mini-en")
SENTENCES, TRANSLATOR = "org/sentences", "transformer-multi30k-en-de"
QUESTION = {"question": "Where does Anna live?", "context": "Anna lives in London. She likes tea."}


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with shipped models, one of them under a name with a slash."""
    model = {SENTENCES: str(SHIPPED / "transformers/bert/sentence-mini-en")}
    settings = Settings(
        weights_dir=SHIPPED, models=(*LOADED, TRANSLATOR), model=model, workers=1, max_items=50, max_body_bytes=2**20
    )
    async with served(settings) as client:
        yield client


async def ask(client: httpx.AsyncClient, model: str, inputs: Any, **fields: Any) -> Any:
    answer = await client.post(f"/hf/{model}", json={"inputs": inputs, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_fill_mask(client: httpx.AsyncClient) -> None:
    one = await ask(client, "bert-mini-en", "The [MASK] was born .", parameters={"top_k": 2})
    assert [set(fill) for fill in one] == [{"score", "token", "token_str", "sequence"}] * 2
    both = await ask(client, "bert-mini-en", ["The [MASK] was born .", "The [MASK] [MASK] ."], parameters={"top_k": 2})
    assert [fill["token"] for fill in both[0]] == [fill["token"] for fill in one]
    assert [len(fills) for fills in both[1]] == [2, 2]


async def test_text_classification_answers_a_list_for_each_text(client: httpx.AsyncClient) -> None:
    (labels,) = await ask(client, "bert-sst2-en", "a wonderful film")
    assert [label["label"] for label in labels] == ["positive", "negative"]
    many = await ask(client, "bert-sst2-en", ["a wonderful film", "dull"], parameters={"top_k": 1})
    assert [[label["label"] for label in each] for each in many] == [["positive"], ["negative"]]
    await ask(client, "bert-sst2-en", {"text": "a film", "text_pair": "it is good"}, options={"use_cache": False})


async def test_token_classification_joins_tokens_unless_told_otherwise(client: httpx.AsyncClient) -> None:
    found = await ask(client, "bert-ner-en", "Anna lives in London.")
    assert [(each["entity_group"], each["word"]) for each in found] == [("PER", "Anna"), ("LOC", "London")]
    tokens = await ask(client, "bert-ner-en", "Anna lives.", parameters={"aggregation_strategy": "none"})
    assert {each["entity"][:2] for each in tokens} <= {"B-", "I-"}
    assert "entity_group" not in tokens[0]
    places = await ask(client, "bert-ner-en", ["Anna lives in London."], parameters={"ignore_labels": ["O", "PER"]})
    assert [[each["word"] for each in text] for text in places] == [["London"]]


async def test_question_answering_is_a_list_for_several_answers(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "bert-qa-en", QUESTION)
    assert QUESTION["context"][answer["start"] : answer["end"]] == answer["answer"] == "London"
    answers = await ask(client, "bert-qa-en", QUESTION, parameters={"top_k": 2, "max_answer_len": 3, "doc_stride": 9})
    assert answers[0]["answer"] == "London"
    assert len(answers) == 2
    neutral = {"max_seq_len": 64, "max_question_len": 8, "align_to_words": True, "handle_impossible_answer": None}
    assert await ask(client, "bert-qa-en", [QUESTION], parameters=neutral) == [answer]


async def test_feature_extraction_is_a_vector_for_each_text(client: httpx.AsyncClient) -> None:
    ((*vector,),) = await ask(client, SENTENCES, "A dog runs.")
    assert await ask(client, SENTENCES, ["A dog runs."], truncation_direction="Right") == [vector]
    fields = {"normalize": False, "truncate": True, "dimensions": 5, "encoding_format": "float"}
    short = await ask(client, SENTENCES, ["A dog runs.", "word " * 1000], **fields)
    assert [len(each) for each in short] == [5, 5]


async def test_a_direction_is_the_side_at_which_features_lose_tokens(client: httpx.AsyncClient) -> None:
    for direction, kept in (("left", "cat"), ("Left", "cat"), ("right", "dog"), (None, "dog")):
        cut = await ask(client, SENTENCES, "dog " * 126 + "cat " * 126, truncate=True, truncation_direction=direction)
        np.testing.assert_allclose(cut, await ask(client, SENTENCES, f"{kept} " * 126), atol=1e-5)


async def test_sentence_similarity_and_translation(client: httpx.AsyncClient) -> None:
    inputs = {"source_sentence": "A dog runs.", "sentences": ["A puppy runs outside.", "Stock prices fell."]}
    near, far = await ask(client, SENTENCES, inputs, parameters={})
    assert near > far
    one = await ask(client, TRANSLATOR, "A man is riding a bike.")
    assert "Mann" in one[0]["translation_text"]
    search = {"generate_parameters": {"max_new_tokens": 3, "num_beams": 1}, "truncation": "only_first"}
    assert len(await ask(client, TRANSLATOR, ["A man.", "word " * 500], parameters=search)) == 2


async def test_text_generation(client: httpx.AsyncClient) -> None:
    (plain,) = await ask(client, "gpt-mini-en", "Once upon a time", parameters={"max_new_tokens": 6})
    text = plain["generated_text"]
    langchain: dict[str, Any] = {
        "temperature": 0.8,
        "top_p": 0.95,
        "typical_p": 0.95,
        "top_k": None,
        "do_sample": False,
        "stop": [],
    }
    neutral = {"watermark": False, "best_of": 1, "grammar": None, "truncate": 6, "decoder_input_details": False}
    options = {"max_new_tokens": 6, "return_full_text": True, "details": True, **langchain, **neutral}
    (full,) = await ask(client, "gpt-mini-en", "Once upon a time", parameters=options)
    assert full["generated_text"] == "Once upon a time" + text
    details = full["details"]
    assert (details["finish_reason"], details["generated_tokens"], details["seed"]) == ("length", 6, None)
    assert "".join(token["text"] for token in details["tokens"]) == text
    assert "top_tokens" not in details
    stopped = {"max_new_tokens": 30, "stop": [text.split()[2]], "details": True, "top_n_tokens": 1}
    (short,) = await ask(client, "gpt-mini-en", "Once upon a time", parameters=stopped)
    assert short["details"]["finish_reason"] == "stop_sequence"
    assert len(short["details"]["top_tokens"]) == short["details"]["generated_tokens"]


async def test_text_generation_streams_events_with_the_text_at_the_end(client: httpx.AsyncClient) -> None:
    (whole,) = await ask(client, "gpt-mini-en", "Once upon a time", parameters={"max_new_tokens": 6})
    parameters = {"max_new_tokens": 6, "top_n_tokens": 2, "seed": 3}
    body = {"inputs": "Once upon a time", "parameters": parameters, "stream": True}
    answer = await client.post("/hf/gpt-mini-en", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.split("\n\n")
    assert lines.pop() == ""
    assert all(line.startswith('data:{"index":') for line in lines)
    events = [json.loads(line.removeprefix("data:")) for line in lines]
    assert "".join(event["token"]["text"] for event in events) == whole["generated_text"]
    assert [event["index"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert {len(event["top_tokens"]) for event in events} == {2}
    assert all(event["generated_text"] is None and event["details"] is None for event in events[:-1])
    assert events[-1]["generated_text"] == whole["generated_text"]
    n_prompt = len(
        (await client.post("/tokenize", json={"model": "gpt-mini-en", "inputs": body["inputs"]})).json()["outputs"][0][
            "ids"
        ]
    )
    expected = {"finish_reason": "length", "generated_tokens": 6, "input_length": n_prompt, "seed": 3}
    assert events[-1]["details"] == expected


async def test_a_text_that_the_model_ends_has_a_special_token_at_its_end(client: httpx.AsyncClient) -> None:
    parameters = {"max_new_tokens": 60, "do_sample": False, "details": True}
    (whole,) = await ask(client, f"{TRANSLATOR}/pipeline/text-generation", "A man sleeps.", parameters=parameters)
    assert whole["details"]["finish_reason"] == "eos_token"
    body = {"inputs": "A man sleeps.", "parameters": parameters, "stream": True}
    lines = (await client.post(f"/hf/{TRANSLATOR}", json=body)).text.split("\n\n")[:-1]
    last = json.loads(lines[-1].removeprefix("data:"))
    assert last["token"]["special"]
    assert last["details"]["finish_reason"] == "eos_token"
    assert last["generated_text"] == whole["generated_text"]
    assert last["details"]["generated_tokens"] == whole["details"]["generated_tokens"] == len(lines) - 1


@pytest.mark.parametrize("content_type", [None, "image/png", "image/anything", "application/octet-stream", ""])
async def test_images_are_raw_bytes_of_any_content_type(client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    labels = (await client.post("/hf/denoising-ae-mnist", content=SEVEN, headers=headers)).json()
    assert labels[0]["label"] == "7"
    encoded = await ask(client, "denoising-ae-mnist", BASE64, parameters={"top_k": 1})
    assert encoded == labels[:1]


async def test_image_to_image_answers_the_bytes_of_a_picture(client: httpx.AsyncClient) -> None:
    sizes = {"target_size": {"width": 28, "height": 28}, "num_inference_steps": 1, "negative_prompt": None}
    bodies: list[dict[str, Any]] = [
        {"content": SEVEN, "headers": {"accept": "image/png"}},
        {"json": {"inputs": BASE64, "parameters": {"prompt": "denoise", **sizes}}},
        {"json": {"inputs": BASE64, "parameters": {"prompt": "reconstruct"}}},
    ]
    answers = [await client.post("/hf/denoising-ae-mnist", **body) for body in bodies]
    assert {answer.headers["content-type"] for answer in answers} == {"image/png"}
    assert answers[0].content == answers[1].content, "this model is the best to denoise"
    assert Image.open(io.BytesIO(answers[2].content)).size == (28, 28)
    named = await client.post("/hf/denoising-ae-mnist/pipeline/image-to-image", content=SEVEN)
    assert named.content == answers[0].content


@pytest.mark.parametrize("path", ["org/sentences", "org%2Fsentences", "org/sentences/"])
async def test_an_id_with_a_slash_is_taken_either_way(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(f"/hf/{path}", json={"inputs": "A dog."})
    assert (answer.status_code, answer.headers["x-model"]) == (200, SENTENCES)


@pytest.mark.parametrize("path", ["nobody", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a/b/c/d", "org", "%00", "/"])
async def test_an_unknown_id_is_a_404_in_the_form_of_the_api(client: httpx.AsyncClient, path: str) -> None:
    for suffix, name in (("", "inputs"), ("/pipeline/fill-mask", "inputs"), ("/v1/completions", "prompt")):
        answer = await client.post(f"/hf/{path}{suffix}", json={name: "a"})
        assert (answer.status_code, list(answer.json())) == (404, ["error"])
    for suffix in ("/health", "/info"):
        answer = await client.get(f"/hf/{path}{suffix}")
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("bert-mini-en", {"inputs": "no", "parameters": {"top_k": 2}}, "inputs: the text has no mask; write [MASK]"),
        ("bert-mini-en", {"inputs": []}, "inputs: [] is refused"),
        ("bert-mini-en", {"inputs": ["a [MASK]", "b"]}, "inputs[1]: the text has no mask"),
        ("bert-mini-en", {"inputs": "a [MASK]", "parameters": {"top_k": 0}}, "parameters.top_k: 0 is refused"),
        ("bert-mini-en", {"inputs": "a [MASK]", "parameters": {"top_k": 5000}}, "parameters.top_k: 5000 is refused"),
        ("bert-mini-en", {"inputs": "a [MASK]", "parameters": {"topk": 1}}, "parameters.topk: unknown field"),
        ("bert-mini-en", {"inputs": "a [MASK]", "wait": True}, "wait: unknown field"),
        ("bert-mini-en", {"inputs": "a", "encoding_format": "base64"}, "vectors are lists of numbers; leave it out"),
        ("bert-mini-en", {"inputs": "word " * 999}, "inputs: the text has"),
        ("bert-mini-en", {"inputs": "a", "truncate": True, "truncation_direction": "up"}, "truncation_direction"),
        ("bert-ner-en", {"inputs": "a", "parameters": {"ignore_labels": ["PER"]}}, "'O' must be among them"),
        ("bert-ner-en", {"inputs": "a", "parameters": {"aggregation_strategy": "x"}}, "aggregation_strategy: 'x'"),
        ("bert-qa-en", {"inputs": QUESTION, "parameters": {"max_question_len": 2}}, "never cut"),
        ("bert-qa-en", {"inputs": QUESTION, "parameters": {"max_seq_len": 8}}, "windows of 8 are not supported"),
        ("bert-qa-en", {"inputs": QUESTION, "parameters": {"max_answer_len": 9999}}, "parameters.max_answer_len"),
        ("bert-qa-en", {"inputs": QUESTION, "parameters": {"align_to_words": False}}, "answers are whole words"),
        (
            "gpt-mini-en",
            {"inputs": "a", "parameters": {"watermark": True}},
            "no watermark; leave it out, or send null or false",
        ),
        ("gpt-mini-en", {"inputs": "a", "parameters": {"max_new_tokens": 999}}, "parameters.max_new_tokens"),
        ("gpt-mini-en", {"inputs": "a", "parameters": {"max_new_tokens": 999}, "stream": True}, "max_new_tokens"),
        ("gpt-mini-en", {"inputs": "a b c d", "parameters": {"truncate": 2}}, "more than 2, and is never cut"),
        ("gpt-mini-en", {"inputs": "a", "parameters": {"temperature": 0.0}}, "parameters.temperature"),
        ("gpt-mini-en", {"inputs": "a", "parameters": {"best_of": 3}}, "one text is generated"),
        (TRANSLATOR, {"inputs": "a", "parameters": {"src_lang": "fr"}}, "parameters.src_lang: 'fr' is refused"),
        (
            TRANSLATOR,
            {"inputs": "a", "parameters": {"generate_parameters": {"num_beams": 99}}},
            "parameters.generate_parameters.num_beams: 99",
        ),
        ("denoising-ae-mnist", {"inputs": "no image"}, "inputs: "),
        ("denoising-ae-mnist", {"inputs": BASE64, "parameters": {"prompt": "a horse"}}, "parameters.prompt"),
        (
            "denoising-ae-mnist",
            {"inputs": BASE64, "parameters": {"target_size": {"width": 64, "height": 28}}},
            "64 x 28 pixels are refused; the images of this model have 28 x 28",
        ),
        (SENTENCES, {"inputs": ["a"] * 51}, "inputs: 51 items"),
        (
            SENTENCES,
            {"inputs": {"source_sentence": "a", "sentences": ["b", "word " * 999]}},
            "inputs: sentences/1: the text has 1001 tokens; this model takes 1 to 128",
        ),
        ("bert-sst2-en", {"inputs": "word " * 999}, "`truncation` cuts it"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_the_names_of_the_api(
    client: httpx.AsyncClient, model: str, body: dict[str, Any], message: str
) -> None:
    answer = await client.post(f"/hf/{model}", json=body)
    assert answer.status_code in (400, 422)
    assert answer.json()["error_type"] == "validation"
    assert message in answer.json()["error"], answer.text


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 422),
        (b"[1]", {}, 422),
        (b'{"inputs": ', {}, 400),
        (b"\x89PNG but not really", {}, 400),
        (SEVEN, {"content-type": "application/json"}, 400),
        (b'{"inputs":' + b"[" * 100_000, {}, 400),
        (b'{"inputs": "a", "dimensions": NaN}', {}, 422),
        (b'{"inputs": "a", "dimensions": ' + b"9" * 5000 + b"}", {}, 400),
        (gzip.compress(b" " * 2**21), {"content-encoding": "gzip"}, 413),
        (b" " * (2**20 + 1), {}, 413),
        (b"{}", {"content-encoding": "br"}, 415),
        (b"{}", {"x-timeout-ms": "0"}, 422),
    ],
)
async def test_bodies_that_cannot_be_read(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    model = "denoising-ae-mnist" if b"PNG" in content else "bert-mini-en"
    answer = await client.post(f"/hf/{model}", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error_type"]) == (status, "validation"), answer.text


async def test_a_pipeline_that_is_named_is_the_one_that_answers(client: httpx.AsyncClient) -> None:
    vectors = await client.post("/hf/bert-sst2-en/pipeline/feature-extraction", json={"inputs": "good"})
    assert isinstance(vectors.json()[0][0], float)
    missing = await client.post("/hf/bert-sst2-en/pipeline/fill-mask", json={"inputs": "good"})
    assert (missing.status_code, missing.json()["error_type"]) == (422, "validation")
    assert "it serves text-classification, sentence-similarity, feature-extraction" in missing.json()["error"]
    unknown = await client.post("/hf/bert-sst2-en/pipeline/object-detection", json={"inputs": "good"})
    assert (unknown.status_code, list(unknown.json())) == (404, ["error"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/hf/bert-mini-en", "POST"),
        ("POST", "/hf/bert-mini-en/info", "GET, HEAD"),
        ("POST", f"/hf/{SENTENCES}/health", "GET, HEAD"),
        ("GET", "/hf/bert-mini-en/pipeline/fill-mask", "POST"),
        ("GET", f"/models/{SENTENCES}/load", "POST"),
        ("GET", "/models/bert-mini-en/unload", "POST"),
    ],
)
async def test_a_method_that_a_path_lacks(client: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    answer = await client.request(method, path, json={"inputs": "a"})
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_completions_are_those_of_the_model_of_the_path(client: httpx.AsyncClient) -> None:
    body = {
        "model": "http://a.url/as-sent-by-javascript",
        "prompt": "Once upon a time",
        "temperature": 0,
        "max_tokens": 6,
    }
    answer = await client.post("/hf/gpt-mini-en/v1/completions", json=body)
    (whole,) = await ask(client, "gpt-mini-en", "Once upon a time", parameters={"max_new_tokens": 6})
    assert answer.json()["choices"][0]["text"] == whole["generated_text"]
    refused = await client.post("/hf/gpt-mini-en/v1/completions", json=body | {"max_tokens": 0})
    assert set(refused.json()) == {"error", "error_type"}


async def test_health_and_info(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/hf/{SENTENCES}/health")).json() == {"status": "ready"}
    info = (await client.get(f"/hf/{SENTENCES}/info")).json()
    assert (info["model_id"], info["pipeline_tag"], info["max_input_length"]) == (SENTENCES, "sentence-similarity", 128)
    assert (await client.get("/hf/denoising-ae-mnist/info")).json()["tasks"] == [
        "image-classification",
        "image-to-image",
    ]
    for method, path in (("GET", "/health"), ("GET", "/info"), ("POST", "")):
        answer = await client.request(method, f"/hf/albert-mini-en{path}", json={"inputs": "a"})
        assert (answer.status_code, answer.json()["error_type"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1

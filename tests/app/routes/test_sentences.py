"""Every task of an autoencoder of sentences over HTTP, on a tiny checkpoint with random weights."""

import base64
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.app.items import images, png
from tests.app.sentences import MAX_TOKENS, NAME, SENTENCES, write_sentences
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio

FIRST, SECOND = SENTENCES[0], SENTENCES[-1]


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_sentences(root)
    write_tiny(root)
    async with served(Settings(weights_dir=root, max_items=10)) as client:
        yield client


async def post(client: httpx.AsyncClient, task: str, inputs: Any = None, **parameters: Any) -> Any:
    body = {"model": NAME, "parameters": parameters} | ({} if inputs is None else {"inputs": inputs})
    answer = await client.post(f"/{task}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


async def test_the_card_of_the_model(client: httpx.AsyncClient) -> None:
    card = (await client.get(f"/models/{NAME}")).json()
    assert (card["item"]["modality"], card["item"]["shape"]) == ("sentence", [MAX_TOKENS])
    assert card["limits"]["max_tokens"] == MAX_TOKENS - 1
    assert set(card["tasks"]) == {
        *("encode", "decode", "reconstruct", "denoise", "sample", "interpolate", "detect_anomalies", "impute"),
        *("project", "compress", "decompress", "score_text"),
    }
    assert card["lossless"] is True


async def test_a_latent_decodes_to_the_reconstruction(client: httpx.AsyncClient) -> None:
    encoded = await post(client, "encode", [FIRST, SECOND])
    latents = [output["latent"] for output in encoded]
    assert latents[0] != latents[1]
    decoded = await post(client, "decode", latents)
    restored = await post(client, "reconstruct", [FIRST, SECOND])
    assert [output["reconstruction"] for output in decoded] == [output["reconstruction"] for output in restored]
    assert all(output["nll"] > 0 and isinstance(output["edits"], int) for output in restored)


async def test_a_list_of_token_ids_is_a_sentence(client: httpx.AsyncClient) -> None:
    (one,) = await post(client, "encode", [[30, 40, 50]])
    (same,) = await post(client, "encode", [30, 40, 50])
    assert one == same


async def test_noise_on_words_is_added_and_counted(client: httpx.AsyncClient) -> None:
    (output,) = await post(client, "denoise", [FIRST], word_noise={"moved": 3}, seed=3)
    assert sorted(output["noisy"].split()) == sorted(FIRST.split())
    assert output["noisy"] != FIRST
    assert output["edits_before"] > 0
    assert output["edits_after"] >= 0
    (plain,) = await post(client, "denoise", [FIRST])
    assert set(plain) == {"denoised"}
    (masked,) = await post(client, "denoise", [FIRST], word_noise={"masked": 1})
    assert masked["noisy"] == " ".join(["<mask>"] * len(FIRST.split()))


async def test_a_sample_is_the_text_of_its_latent(client: httpx.AsyncClient) -> None:
    outputs = await post(client, "sample", n=3, seed=4)
    decoded = await post(client, "decode", [output["latent"] for output in outputs])
    assert [output["sample"] for output in outputs] == [output["reconstruction"] for output in decoded]
    assert await post(client, "sample", n=3, seed=4) == outputs


async def test_a_path_leads_from_one_sentence_to_the_other(client: httpx.AsyncClient) -> None:
    (output,) = await post(client, "interpolate", [FIRST, SECOND], steps=5)
    restored = await post(client, "reconstruct", [FIRST, SECOND])
    assert len(output["frames"]) == len(output["latents"]) == 5
    assert [output["frames"][0], output["frames"][-1]] == [each["reconstruction"] for each in restored]


async def test_anomalies_name_the_tokens(client: httpx.AsyncClient) -> None:
    (output,) = await post(client, "detect-anomalies", ["park the in <mask>"], n_top=2)
    assert output["is_anomaly"] == (output["score"] > output["threshold"])
    assert sum(output["contributions"]) == pytest.approx(output["score"], rel=1e-4)
    for part in output["top"]:
        (index,) = part["index"]
        assert part["contribution"] == pytest.approx(output["contributions"][index])
        assert part["token"].strip() in "park the in <mask>"
    assert len(output["top"]) == 2


async def test_unknown_words_are_written_and_the_others_stay(client: httpx.AsyncClient) -> None:
    words = ["A", None, "in", "a", "red", "coat"]
    listed, masked = await post(client, "impute", [words, "A <mask> in a red coat"])
    assert listed == masked
    found = listed["imputed"]
    assert found.startswith("A ")
    assert found.endswith(" in a red coat")
    assert "<mask>" not in found
    assert len(found.split()) >= len(words) - 1


async def test_streams_give_the_same_text_back(client: httpx.AsyncClient) -> None:
    texts = [FIRST, SECOND, "Zürich,  漢字!", "<mask> runs."]
    for chain, n_streams in ((True, 1), (False, 4)):
        outputs = await post(client, "compress", texts, chain=chain)
        assert len(outputs) == n_streams
        for output in outputs:
            assert len(base64.b64decode(output["stream"])) == output["bytes"]
            assert output["ratio"] == pytest.approx(output["text_bytes"] / output["bytes"])
        assert sum(output["text_bytes"] for output in outputs) == sum(len(text.encode()) for text in texts)
        back = await post(client, "decompress", [output["stream"] for output in outputs])
        assert [text for output in back for text in output["items"]] == texts


async def test_a_damaged_stream_is_refused(client: httpx.AsyncClient) -> None:
    (output,) = await post(client, "compress", [FIRST])
    damaged = bytearray(base64.b64decode(output["stream"]))
    damaged[-6] ^= 1
    body = {"model": NAME, "inputs": [base64.b64encode(damaged).decode()]}
    answer = await client.post("/decompress", json=body)
    assert answer.status_code == 422
    assert "its checksum does not agree" in answer.text


async def test_tokens_are_scored_given_the_latent_of_the_sentence(client: httpx.AsyncClient) -> None:
    (output,) = await post(client, "score-text", [FIRST])
    (restored,) = await post(client, "reconstruct", [FIRST])
    log_probs = [token["log_prob"] for token in output["tokens"]]
    assert output["log_likelihood"] == pytest.approx(sum(log_probs))
    assert output["log_likelihood"] == pytest.approx(-restored["nll"] * len(log_probs), rel=1e-4)
    assert output["perplexity"] == pytest.approx(math.exp(restored["nll"]), rel=1e-4)
    assert "".join(token["token"] for token in output["tokens"]).replace("Ġ", " ") == f" {FIRST}</s>"


async def test_sentences_are_points_in_a_plane(client: httpx.AsyncClient) -> None:
    points = await post(client, "project", [FIRST, SECOND, FIRST])
    assert points[0] == points[2] != points[1]


async def test_a_sentence_chooses_a_model_that_reads_sentences(client: httpx.AsyncClient) -> None:
    tasks = ("encode", "reconstruct", "denoise", "detect-anomalies", "impute", "compress", "project", "score-text")
    for task in tasks:
        for inputs in (FIRST, [FIRST], [{"text": FIRST}]):
            answer = await client.post(f"/{task}", json={"inputs": inputs})
            assert answer.json()["model"] == NAME, (task, answer.text)
    others: list[tuple[str, list[Any]]] = [
        ("interpolate", [FIRST, SECOND]),
        ("impute", [["A", None, "runs"]]),
    ]
    for task, items in others:
        assert (await client.post(f"/{task}", json={"inputs": items})).json()["model"] == NAME


async def test_pictures_and_numbers_choose_other_models(client: httpx.AsyncClient) -> None:
    for inputs in ([[0.5] * 16], [f"data:image/png;base64,{base64.b64encode(png(images(1)[0])).decode()}"]):
        answer = await client.post("/reconstruct", json={"inputs": inputs})
        assert answer.json()["model"] == TINY, answer.text


LONG = "word " * 40
REFUSALS = [
    ("encode", {"inputs": [""]}, 422, "has 0 tokens"),
    ("encode", {"inputs": [LONG]}, 422, f"takes 1 to {MAX_TOKENS - 1}"),
    ("encode", {"inputs": [1.5]}, 422, "must be a string"),
    ("encode", {"inputs": [FIRST, "a </s> b"]}, 422, "special token '</s>'"),
    ("encode", {"inputs": [{"text": "a", "text_pair": "b"}]}, 422, "pair of texts"),
    ("encode", {"inputs": [[300]]}, 422, "token id 300 is unknown"),
    ("encode", {"inputs": [FIRST] * 11}, 422, "takes 1 to 10"),
    ("encode", {"inputs": [["A", None]]}, 422, "must be a string"),
    ("encode", {"inputs": [FIRST], "parameters": {"fit": "cover"}}, 422, "items are not images"),
    ("encode", {"inputs": [FIRST], "parameters": {"sample": True}}, 422, "no posterior"),
    ("encode", {"inputs": [FIRST], "parameters": {"pooling": "mean"}}, 422, "unknown field; known are sample, seed"),
    ("project", {"inputs": [FIRST], "parameters": {"top": 1}}, 422, 'unknown field; known are method"'),
    ("decode", {"inputs": [[0.0] * 5], "parameters": {"length": 4}}, 422, "length is 4"),
    ("decode", {"inputs": [[0.0] * 5], "parameters": {"format": "png"}}, 422, "items are images"),
    ("reconstruct", {"inputs": [FIRST], "parameters": {"seed": 1}}, 422, "seed"),
    ("denoise", {"inputs": [FIRST], "parameters": {"seed": 1}}, 422, "nothing is drawn without word_noise"),
    ("denoise", {"inputs": [FIRST], "parameters": {"noise": {"type": "gaussian", "level": 0.1}}}, 422, "noise"),
    ("denoise", {"inputs": [FIRST], "parameters": {"word_noise": {"dropped": 2}}}, 422, "dropped"),
    ("impute", {"inputs": [[None, None]]}, 422, "at least one"),
    ("impute", {"inputs": ["<mask> <mask>"]}, 422, "at least one must be known"),
    ("interpolate", {"inputs": [FIRST]}, 422, "exactly 2"),
    ("sample", {"parameters": {"sampler": "prior"}}, 422, "this model has gmm"),
    ("compress", {"inputs": [FIRST, f" {FIRST}"]}, 422, f"the text would come back as '{FIRST}', which differs"),
    ("compress", {"inputs": [FIRST], "parameters": {"bits": 4}}, 422, "known are chain"),
    ("score-text", {"inputs": [""]}, 422, "has 0 tokens"),
    ("impute", {"inputs": [["A", 1]]}, 422, "a list of words with null for each unknown one"),
    ("impute", {"inputs": ["A ru<mask> dog"]}, 422, "<mask> stands for a whole word, with a space before it"),
]


@pytest.mark.parametrize(("task", "body", "status", "detail"), REFUSALS)
async def test_what_cannot_be_done_is_refused(
    client: httpx.AsyncClient, task: str, body: dict[str, Any], status: int, detail: str
) -> None:
    answer = await client.post(f"/{task}", json={"model": NAME, **body})
    assert answer.status_code == status, answer.text
    assert detail in answer.text


@pytest.mark.parametrize(("task", "inputs"), [("decode", [[0.0] * 5]), ("reconstruct", [FIRST])])
async def test_sentences_are_no_array(client: httpx.AsyncClient, task: str, inputs: Any) -> None:
    answer = await client.post(
        f"/{task}", json={"model": NAME, "inputs": inputs}, headers={"accept": "application/x-npy"}
    )
    assert answer.status_code in (406, 422), answer.text

"""Tests of a published folder of Megatron-BERT, a family that `test_sixteenth_family.py` adds in a copy of the tree.

The test runs this file there. Its name keeps it out of all other runs, because the family is missing in them.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import torch
import transformers

from app.settings import Settings
from models.checkpoint import load_model, read_checkpoint
from models.text.attention_patterns import WithinTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from tests.conftest import served
from tests.models.transformers.reference import assert_close, padded, publish, texts_for
from tests.models.transformers.vocabularies import WORDS

NAME = "tiny-megatron"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
SIZE: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
}
"""Values of `config.json`."""


class Published:
    """A folder with random weights, written by `transformers`, and the model that wrote it."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "transformers/megatron" / NAME
        config = transformers.MegatronBertConfig(**SIZE, vocab_size=len(VOCABULARY))
        self.reference = publish(self.folder, "MegatronBertForMaskedLM", config)
        (self.folder / "tokenizer.json").unlink()
        (self.folder / "tokenizer_config.json").unlink()
        (self.folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")

    def outputs(self, ids: list[int]) -> Any:
        with torch.inference_mode():
            return self.reference(torch.tensor([ids]), output_hidden_states=True)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
async def client(published: Published) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=published.root)) as client:
        yield client


def ids_of(*words: str) -> list[int]:
    return [VOCABULARY.index(word) for word in ("[CLS]", *words, "[SEP]")]


async def ask(client: httpx.AsyncClient, task: str, text: str, **parameters: Any) -> Any:
    body = {"model": NAME, "inputs": [text], "parameters": parameters}
    answer = await client.post(f"/{task}", json=body)
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    return output


def test_it_is_found_by_its_model_type(published: Published) -> None:
    assert {path.name for path in published.folder.iterdir()} >= {"config.json", "model.safetensors", "vocab.txt"}
    checkpoint = read_checkpoint(published.folder)
    assert checkpoint.spec.id == "transformers/megatron"
    assert {"encode", "fill_mask", "tokenize", "detokenize"} <= set(checkpoint.task_names)


def test_logits_and_hidden_states_are_the_references(published: Published) -> None:
    model = cast("TextEncoder", load_model(read_checkpoint(published.folder)))
    texts = texts_for(model, n_types=2)
    inputs = padded(texts, 0)
    with torch.inference_mode():
        expected = published.reference(**inputs, output_hidden_states=True)
        batch = RaggedBatch.of_texts(texts)
        hidden = model.hidden(batch, WithinTexts(batch.segments))
        logits = model.masked_logits(hidden)
    for i, (states, scores) in enumerate(zip(batch.by_text(hidden), batch.by_text(logits), strict=True)):
        assert_close(states, expected.hidden_states[-1][i, : len(states)])
        assert_close(scores, expected.logits[i, : len(scores)])


@pytest.mark.anyio
async def test_the_server_lists_it(client: httpx.AsyncClient) -> None:
    models = (await client.get("/models")).json()["models"]
    assert [(model["id"], model["state"]) for model in models] == [(NAME, "ready")]


@pytest.mark.anyio
async def test_the_server_tokenizes_by_its_vocabulary(client: httpx.AsyncClient) -> None:
    output = await ask(client, "tokenize", "The dog sees a cat.")
    assert output["ids"] == ids_of("the", "dog", "sees", "a", "cat", ".")


@pytest.mark.anyio
async def test_the_server_encodes_as_the_reference_does(published: Published, client: httpx.AsyncClient) -> None:
    output = await ask(client, "encode", "the red house", pooling="mean")
    states = published.outputs(ids_of("the", "red", "house")).hidden_states[-1][0]
    assert_close(torch.tensor(output["embedding"]), states.mean(0))


@pytest.mark.anyio
async def test_the_server_fills_masks_as_the_reference_does(published: Published, client: httpx.AsyncClient) -> None:
    (fills,) = (await ask(client, "fill-mask", "the [MASK] runs", top_k=3))["fills"]
    logits = published.outputs(ids_of("the", "[MASK]", "runs")).logits[0, 2]
    best = logits.softmax(0).topk(3)
    assert [fill["token"] for fill in fills] == best.indices.tolist()
    assert_close(torch.tensor([fill["score"] for fill in fills]), best.values)

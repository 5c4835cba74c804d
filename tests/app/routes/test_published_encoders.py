"""Published encoders of the families without a shipped checkpoint, over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import transformers

from app.settings import Settings
from tests.conftest import served
from tests.models.transformers.reference import assert_close, publish
from tests.models.transformers.vocabularies import MPNET, WORDS

SIZE: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 34,
}
DISTILBERT: dict[str, Any] = {"dim": 24, "n_layers": 2, "n_heads": 2, "hidden_dim": 40, "max_position_embeddings": 34}
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
N_IDS = len(BERT) + len(WORDS)
CONFIGS: dict[str, Any] = {
    "DistilBertForMaskedLM": transformers.DistilBertConfig(**DISTILBERT, vocab_size=N_IDS),
    "MPNetForMaskedLM": transformers.MPNetConfig(**SIZE, vocab_size=N_IDS),
    "ElectraForMaskedLM": transformers.ElectraConfig(**SIZE, vocab_size=N_IDS, embedding_size=9),
    "ElectraForPreTraining": transformers.ElectraConfig(**SIZE, vocab_size=N_IDS, embedding_size=9),
}
MASKED = [name for name in CONFIGS if name.endswith("MaskedLM")]

pytestmark = pytest.mark.anyio


class Published:
    """Folders with random weights and with `vocab.txt`, and the models that wrote them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.references: dict[str, Any] = {}
        for name, config in CONFIGS.items():
            folder = root / "transformers" / config.model_type / name.lower()
            self.references[name] = publish(folder, name, config)
            (folder / "tokenizer.json").unlink()
            (folder / "tokenizer_config.json").unlink()
            (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary(name)))

    def outputs(self, name: str, *words: str) -> Any:
        """Return what the model computes of words between the first and the last special token."""
        start, end = ("<s>", "</s>") if name.startswith("MPNet") else ("[CLS]", "[SEP]")
        ids = [vocabulary(name).index(word) for word in (start, *words, end)]
        with torch.inference_mode():
            return self.references[name](torch.tensor([ids]), output_hidden_states=True)


def vocabulary(name: str) -> list[str]:
    return [*(MPNET if name.startswith("MPNet") else BERT), *WORDS]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
async def client(published: Published) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=published.root)) as client:
        yield client


async def ask(client: httpx.AsyncClient, name: str, task: str, text: str, **parameters: Any) -> Any:
    body = {"model": name.lower(), "inputs": [text], "parameters": parameters}
    answer = await client.post(f"/{task}", json=body)
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    return output


@pytest.mark.parametrize("name", CONFIGS)
async def test_vectors_are_those_of_the_reference(name: str, published: Published, client: httpx.AsyncClient) -> None:
    output = await ask(client, name, "encode", "The red house", pooling="mean")
    states = published.outputs(name, "the", "red", "house").hidden_states[-1][0]
    assert_close(torch.tensor(output["embedding"]), states.mean(0))


@pytest.mark.parametrize("name", MASKED)
async def test_masks_are_filled_as_by_the_reference(name: str, published: Published, client: httpx.AsyncClient) -> None:
    mask = "<mask>" if name.startswith("MPNet") else "[MASK]"
    (fills,) = (await ask(client, name, "fill-mask", f"the {mask} runs", top_k=3))["fills"]
    best = published.outputs(name, "the", mask, "runs").logits[0, 2].softmax(0).topk(3)
    assert [fill["token"] for fill in fills] == best.indices.tolist()
    assert_close(torch.tensor([fill["score"] for fill in fills]), best.values)


async def test_a_discriminator_tells_replaced_words(published: Published, client: httpx.AsyncClient) -> None:
    name, words = "ElectraForPreTraining", ("the", "dog", "sees", "a", "house", ".")
    output = await ask(client, name, "classify-tokens", "The dog sees a house.", aggregation="none")
    replaced = published.outputs(name, *words).logits[0, 1:-1].sigmoid().tolist()
    for entity, word, prob in zip(output["entities"], words, replaced, strict=True):
        assert entity["word"].lower() == word
        assert entity["entity_group"] == ("replaced" if prob > 0.5 else "original")
        assert entity["score"] == pytest.approx(max(prob, 1 - prob), abs=1e-4)
    grouped = (await ask(client, name, "classify-tokens", "The dog sees a house."))["entities"]
    assert {entity["entity_group"] for entity in grouped} <= {"original", "replaced"}

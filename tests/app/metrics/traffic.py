"""An application that has served requests of every kind, and what its metrics say."""

from collections.abc import Iterable
from pathlib import Path

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.settings import Settings
from models.autoencoding.drift import MIN_ITEMS
from tests.app.tables import ROWS, write_rows
from tests.app.texts import write_text
from tests.conftest import TINY, served, write_tiny

GPT, BERT = "tiny-gpt", "tiny-bert"
PIXELS = [0.5] * 16


def write_models(root: Path) -> None:
    write_tiny(root)
    write_rows(root)
    write_text(root, "transformers/gpt", name=GPT)
    write_text(root, "transformers/bert", name=BERT)


async def exercise(client: httpx.AsyncClient) -> None:
    """Send requests after which no metric is without a sample. The autoencoder is unloaded at the end."""
    await client.post("/reconstruct", json={"model": TINY, "inputs": [PIXELS, PIXELS]})
    rows = [{"flow": number / 100} for number in range(MIN_ITEMS)]
    await client.post("/detect-anomalies", json={"model": ROWS, "inputs": rows})
    await client.post("/encode", json={"model": BERT, "inputs": ["abc", "a"]})
    body = {"model": GPT, "inputs": ["ab"], "parameters": {"max_new_tokens": 5}}
    await client.post("/generate", json=body)
    await client.post(f"/models/{TINY}/unload")
    await client.post("/reconstruct", json={"model": TINY, "inputs": [PIXELS]})


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


async def read(client: httpx.AsyncClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The value of every sample by its name and labels."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(answer.text)
        for sample in family.samples
    }


def labels_by_name(metrics: Iterable[Metric]) -> dict[str, set[str]]:
    """The names of labels by the name of each sample."""
    found: dict[str, set[str]] = {}
    for family in metrics:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def exposed(root: Path) -> list[Metric]:
    """The metrics of an application after `exercise`."""
    write_models(root)
    async with served(Settings(weights_dir=root)) as client:
        await exercise(client)
        return families((await client.get("/metrics")).text)

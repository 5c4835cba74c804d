"""The server answers with every checkpoint of texts in the repository as the pipelines of transformers do."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.settings import Settings
from tests.conftest import served
from tests.models.transformers import pipelines
from tests.models.transformers.test_versions import FOLDERS, assert_alike
from tests.models.transformers.version_4 import ROOT

pytestmark = pytest.mark.timeout(300)  # the first use of a pipeline imports much


def _labels(output: Any) -> Any:
    return {label["label"]: label["score"] for label in output["labels"]}


def _entities(output: Any) -> Any:
    return [[entity["entity_group"], entity["start"], entity["end"]] for entity in output["entities"]]


def _fills(output: Any) -> Any:
    return {fill["token"]: fill["score"] for fill in output["fills"][0]}


QUESTIONS: dict[str, tuple[str, Any, dict[str, Any], Callable[[Any], Any]]] = {
    "-sst2-en": ("/classify", dict(zip(("text", "text_pair"), pipelines.PAIR, strict=True)), {}, _labels),
    "-agnews-en": ("/classify", dict(zip(("text", "text_pair"), pipelines.PAIR, strict=True)), {}, _labels),
    "-ner-en": ("/classify-tokens", pipelines.CONTEXT, {"aggregation": "simple"}, _entities),
    "roberta-mini-en": ("/fill-mask", "The king <mask> there.", {}, _fills),
    "bert-mini-en": ("/fill-mask", "The king [MASK] there.", {}, _fills),
    "-qa-en": (
        *("/answer", {"question": pipelines.QUESTION, "context": pipelines.CONTEXT}, {}),
        lambda output: [output["answers"][0]["start"], output["answers"][0]["end"]],
    ),
    "gpt-mini-en": (
        *("/generate", "Once upon", {"max_new_tokens": 8, "do_sample": False}),
        lambda output: output["generations"][0]["text"],
    ),
    "-en-de": ("/translate", pipelines.TEXTS[0][0], {"num_beams": 1}, lambda output: output["translation"]),
    "sentence-mini-en": ("/encode", pipelines.TEXTS[0][0], {}, lambda output: output["embedding"]),
}
"""The route, the item, the parameters and the reader of the answer, by the end of a checkpoint's name."""


def questions() -> Iterator[tuple[str, str, Any, dict[str, Any], Callable[[Any], Any]]]:
    for name in FOLDERS:
        known = QUESTIONS.get(name) or next((q for end, q in QUESTIONS.items() if name.endswith(end)), None)
        if known is not None:
            yield name, *known


@pytest.mark.anyio
async def test_the_server_answers_as_the_pipelines_do() -> None:
    theirs = pipelines.ask({name: str(FOLDERS[name]) for name, *_ in questions()}, with_models=True)
    async with served(Settings(weights_dir=ROOT / "weights", models=tuple(FOLDERS))) as client:
        for name, path, item, parameters, read in questions():
            answer = await client.post(path, json={"model": name, "inputs": [item], "parameters": parameters})
            assert answer.status_code == 200, answer.text
            assert_alike(read(answer.json()["outputs"][0]), theirs[name]["answer"])
    assert {name for name, *_ in questions()} == set(FOLDERS)

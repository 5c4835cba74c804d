"""Each tiny checkpoint of texts can be made, and what is made can be loaded and asked."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.checkpoint import load_model, read_checkpoint
from training.tiny_texts import TINY, Tiny, make

SENTENCES = [
    f"The {adjective} {noun} number {number} walks through the long street of the old town and sees a house ."
    for number in range(10)
    for adjective in ("red", "small", "happy")
    for noun in ("dog", "woman", "bus")
]


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little of each data set, in its own format."""
    root = tmp_path_factory.mktemp("data")
    lines = "\n".join(SENTENCES)
    pack(root / "wikipedia-en-sample/valid.txt.gz", lines)
    pack(root / "tinystories-sample/tinystories-first-4MB-lowercased.txt.gz", lines.lower())
    for code in ("en", "de"):
        pack(root / f"multi30k-en-de/train.{code}.gz", lines)
    rows = [f"{text.lower()}\t{number % 2}" for number, text in enumerate(SENTENCES)]
    pack(root / "sst2/train.tsv.gz", "\n".join(["sentence\tlabel", *rows]))
    pack(root / "ner-wikigold/wikigold.conll.txt.gz", "\n\n".join(["Anna I-PER\nlives O\nin O\nLondon I-LOC"] * 40))
    answer = {"text": "red dog", "answer_start": SENTENCES[0].index("red dog")}
    question = {"question": "Who walks?", "answers": [answer]}
    paragraphs = [{"context": SENTENCES[0], "qas": [question]}]
    pack(root / "qa-xquad-en/xquad.en.json.gz", json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return root


@pytest.fixture(scope="module")
def weights(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the parent of those that have one."""
    root = tmp_path_factory.mktemp("weights")
    make(replace(TINY[0], n_steps=1), data, root)
    return root


@pytest.mark.parametrize("tiny", TINY, ids=lambda tiny: tiny.name)
def test_it_is_made_and_answers(tiny: Tiny, data: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(replace(tiny, n_steps=2), data, weights)
    assert f"{tiny.name}: loss" in capsys.readouterr().out
    checkpoint = read_checkpoint(folder)
    model = load_model(checkpoint)
    for task in checkpoint.tasks:
        (result,) = task.run(model, [model.example(task)])
        assert isinstance(result, task.result)
    assert "not to rely on" in (folder / "README.md").read_text()

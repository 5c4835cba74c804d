"""Tests of text recipes from training to the published folder: a parent and a child, on made-up data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
import transformers
from click.testing import CliRunner

from models.catalogue import family
from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.text.text_encoder import TextEncoder
from models.transformers.bert.config import BertConfig
from models.transformers.bert.objective import loss as bert_loss
from tests.training.texts.tiny import (
    ANIMALS,
    DOCUMENTS,
    KINDS,
    N_TOKENS,
    SENTENCES,
    SHAPE,
    SOURCES,
    labelled,
    resources,
)
from training import publish as publishing
from training.cli import evaluate
from training.data.files import DataFolder
from training.data.labelled_text import LabelledText
from training.data.wikipedia import Articles
from training.errors import StateError
from training.publish import measure, publish
from training.recipe import Bar, History, Recipe, TrainedModel
from training.texts import language
from training.texts.classification import ClassificationRecipe
from training.texts.finetuning import TextClassification
from training.texts.language import MASKED_METRICS, MaskedLanguageRecipe
from training.texts.pairs import NextSentences
from training.texts.pretraining import CausalEncoderPretraining, MaskedPretraining
from training.texts.vocabulary import Vocabulary
from training.trainer import Run, train

VOCABULARY = Vocabulary(
    folder="transformers/bert/tiny-parent", roles=KINDS["wordpiece"].roles, train=KINDS["wordpiece"].train
)


def pairs(n_tokens: int) -> NextSentences:
    return NextSentences(
        vocabulary=VOCABULARY,
        sources=SOURCES,
        n_tokens=n_tokens,
        length=N_TOKENS,
        batch_size=8,
        loss_of=bert_loss,
    )


class TinyParent(MaskedLanguageRecipe):
    """A few steps of causal pretraining, then a few of masked pairs."""

    name = "tiny-parent"
    family = "transformers/bert"
    config = BertConfig(vocab_size=120, **SHAPE, heads=("pooler", "pair", "masked"))
    vocabulary = VOCABULARY
    max_tokens = N_TOKENS
    stages = (
        CausalEncoderPretraining(
            name="reading-on", vocabulary=VOCABULARY, sources=SOURCES, n_tokens=640, length=N_TOKENS, batch_size=8
        ),
        pairs(640),
    )
    pair_metric = "next_sentence_accuracy"
    metrics = {**MASKED_METRICS, "next_sentence_accuracy": "pairs"}  # noqa: RUF012
    sample_inputs = ("A [MASK] sees it.",)
    short_description, headline, summary = "tiny", "{masked_loss:.3f}", "Tiny."
    procedure, limits, known_failings = "Made up.", "All.", "None."

    def held_out(self) -> MaskedPretraining:
        return pairs(0)


class TinyChild(ClassificationRecipe):
    """The first layer of the parent, classifying sentences by their animal."""

    name = "tiny-child"
    family = "transformers/bert"
    parent = "tiny-parent"
    config = BertConfig(vocab_size=120, **{**SHAPE, "n_layers": 1}, heads=("pooler", "sequence"), labels=tuple(ANIMALS))
    vocabulary = VOCABULARY
    max_tokens = N_TOKENS
    labels = tuple(ANIMALS)
    sample_inputs = tuple(SENTENCES[:2])
    stages = (
        TextClassification(
            vocabulary=VOCABULARY, max_tokens=N_TOKENS, n_epochs=1, batch_size=16, rows_of=lambda data: labelled()
        ),
    )
    bars = {"accuracy": Bar(must=0.01, higher_is_better=True)}  # noqa: RUF012
    metrics = {"accuracy": "accuracy", "commonest": "commonest"}  # noqa: RUF012
    short_description, headline, summary = "tiny", "{accuracy:.3f}", "Tiny."
    procedure, limits, data_licence, known_failings = "Made up.", "All.", "None.", "None."

    def test_rows(self, data: DataFolder) -> Sequence[LabelledText]:
        return labelled()


RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (TinyParent(), TinyChild())}


def trained(recipe: Recipe, folder: Path) -> TrainedModel:
    return train(
        recipe, Run(resources=resources(folder), folder=folder / "runs" / recipe.name, device="cpu", quiet=True)
    )


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    sentences = [
        f"{sentence[:1].upper()}{sentence[1:].rstrip('.')} and it is a good day for all of them."
        for sentence in SENTENCES
    ]
    articles = Articles(train=list(DOCUMENTS), valid=["Title\n" + " ".join(sentences)])
    monkeypatch.setattr(language, "wikipedia", lambda data: articles)
    monkeypatch.setattr(publishing, "get_recipe", RECIPES.__getitem__)
    for recipe in RECIPES.values():
        publish(recipe, trained(recipe, tmp_path), resources(tmp_path))
    return tmp_path


def test_published_numbers_are_measured_again(weights: Path) -> None:
    measurements = {(m.checkpoint, m.metric): m for m in measure(resources(weights))}
    assert set(measurements) == {(r.name, metric) for r in RECIPES.values() for metric in r.metrics}
    for measurement in measurements.values():
        assert measurement.measured == measurement.published
        assert measurement.holds
    card = (weights / "transformers/bert/tiny-child/README.md").read_text()
    assert f"| accuracy | {measurements['tiny-child', 'accuracy'].measured:.5f} | at least 0.01 |" in card
    assert card.count(" → ") == len(TinyChild.sample_inputs) + 10
    assert "Time and energy" in card
    assert (weights / "transformers/bert/tiny-child/curve.png").read_bytes().startswith(b"\x89PNG")


def test_rewriting_updates_the_folder_to_the_measurement(weights: Path) -> None:
    folder = weights / "transformers/bert/tiny-child"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    content = json.loads(before["manifold.json"])
    content["metrics"]["accuracy"] = 0.123
    (folder / "manifold.json").write_text(json.dumps(content))
    (folder / "README.md").unlink()
    arguments = ["--weights", str(weights), "--data", "nowhere", "--json"]
    assert CliRunner().invoke(evaluate, [*arguments, "--rewrite"]).exit_code == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert CliRunner().invoke(evaluate, arguments).exit_code == 0


def test_a_child_begins_with_its_parents_weights(weights: Path) -> None:
    parent = load_model(read_checkpoint(weights / "transformers/bert/tiny-parent")).state_dict()
    child = family("transformers/bert").new_model(TinyChild.config)
    TinyChild().initialise(child, resources(weights))
    shared = {name for name in child.state_dict() if "head" not in name}
    assert {"pooler.dense.weight", "embeddings.words.weight", "blocks.0.attention.qkv.weight"} <= shared
    for name in shared:
        assert torch.equal(child.state_dict()[name], parent[name]), name


def test_a_published_folder_is_one_of_transformers(weights: Path) -> None:
    folder = weights / "transformers/bert/tiny-child"
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    cut = transformers.AutoTokenizer.from_pretrained(folder)
    checkpoint = cast("PublishedCheckpoint", read_checkpoint(folder))
    model = cast("TextEncoder", load_model(checkpoint))
    for text in SENTENCES[:3]:
        tokens = checkpoint.codec.encode(text)
        given = cut(text, return_tensors="pt")
        assert given["input_ids"][0].tolist() == tokens.ids.tolist()
        with torch.inference_mode():
            torch.testing.assert_close(model.class_logits([tokens]), theirs(**given).logits, rtol=1e-4, atol=1e-4)


def test_the_time_a_training_took_survives_a_resumption(tmp_path: Path) -> None:
    recipe = RECIPES["tiny-parent"]
    folder = tmp_path / "runs/tiny-parent"
    cut = train(recipe, Run(resources=resources(tmp_path), folder=folder, device="cpu", quiet=True, n_steps=2))
    whole = trained(recipe, tmp_path)
    assert whole.histories["reading-on"].seconds > cut.histories["reading-on"].seconds > 0


def test_the_state_of_a_child_of_another_parent_is_refused(weights: Path) -> None:
    model = load_model(read_checkpoint(weights / "transformers/bert/tiny-parent"))
    next(model.parameters()).data += 1.0
    publish(RECIPES["tiny-parent"], TrainedModel(model, {"none": History([20], [1.0], 1.0)}), resources(weights))
    with pytest.raises(StateError, match="another recipe, seed or parent"):
        trained(RECIPES["tiny-child"], weights)

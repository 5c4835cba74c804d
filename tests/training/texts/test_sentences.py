"""Tests of the sentences that autoencoders are trained on, and of the training up to the published folder."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from models.autoencoders.recurrent_text.config import RecurrentTextConfig
from models.autoencoders.recurrent_text.model import RecurrentTextAutoencoder
from models.autoencoders.recurrent_text.noise import WordNoise
from models.checkpoint import load_model, read_checkpoint
from models.codecs import SentenceCodec
from tests.app.sentences import SENTENCES, write_sentences
from tests.training.conftest import Place
from tests.training.texts.tiny import NOWHERE, resources
from training.data import multi30k, stories, wikipedia
from training.data.files import DataFolder
from training.publish import measure, publish
from training.recipe import Resources
from training.recipes import gru_ae_sentences
from training.recipes.gru_ae_sentences import GruAeSentences
from training.texts import sentence_evaluation, sentences
from training.texts.sentence_evaluation import measure_compression, move_words, scramble, swap_neighbours
from training.texts.sentence_reconstruction import SentenceReconstruction
from training.texts.vocabulary import SENTENCE_ROLES, Vocabulary, byte_level
from training.trainer import Run, train

STORY = "The dog ran to the old house. He was glad! It was 5 o'clock in the — odd."
ARTICLE = "Title\nThe town lies on the river Foo. Heading.\nIt has 12 schools and one park."


def data(place: Place) -> DataFolder:
    """Write small files of all four data sets."""
    captions = {"train": "A man runs fast.\nA DOG runs home.\nA man runs fast.\n", "val": "A dog runs home.\n"}
    captions["test_2016_flickr"] = "A cat sits down.\n"
    files = {f"{split}.{tongue}.gz": text for split, text in captions.items() for tongue in ("en", "de")}
    place(multi30k, "multi30k-en-de", files)
    rows = [{"title": "T", "text": STORY, "author": "A", "license": "CC BY", "source": "S"}]
    place(stories, "childrens-stories", {"stories.jsonl.gz": "".join(json.dumps(row) + "\n" for row in rows)})
    tiny = "tom had a cat. it sat down there. a cat sits down."
    place(stories, "tinystories-sample", {"tinystories-first-4MB-lowercased.txt.gz": tiny + "\n"})
    return place(wikipedia, "wikipedia-en-sample", {"train.txt.gz": ARTICLE + "\n", "valid.txt.gz": ARTICLE + "\n"})


def test_held_out_captions_are_never_trained_on(place: Place) -> None:
    found = sentences.training_sentences(data(place))
    assert found.count("A man runs fast.") == sentences.N_CAPTION_COPIES
    assert not {"a dog runs home.", "a cat sits down."} & {sentence.lower() for sentence in found}
    assert found[sentences.N_CAPTION_COPIES :] == [
        "tom had a cat.",
        "it sat down there.",
        "The dog ran to the old house.",
        "The town lies on the river Foo.",
        "It has 12 schools and one park.",
    ]


def test_at_most_so_many_sentences_are_taken(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "N_ARTICLE_SENTENCES", 1)
    assert sentences.training_sentences(data(place))[-1] == "The town lies on the river Foo."
    assert sentences.held_out_article_sentences(data(place), 1) == ["The town lies on the river Foo."]


def test_changes_of_words_are_the_same_for_a_seed() -> None:
    text = "one two three four five six seven eight"
    for change in (scramble, move_words, swap_neighbours):
        assert change(text, 3) == change(text, 3)
        assert len({change(text, seed) for seed in range(20)}) > 3
        assert sorted(change(text, 1).split()) == sorted(text.split())
    words = text.split()
    for seed in range(50):
        moved = move_words(text, seed).split()
        assert max(abs(moved.index(word) - place) for place, word in enumerate(words)) <= sentence_evaluation.REACH
        assert sum(one != other for one, other in zip(swap_neighbours(text, seed).split(), words, strict=True)) == 2


def test_compression_is_measured_on_streams_that_give_the_sentences_back(tmp_path: Path) -> None:
    checkpoint = write_sentences(tmp_path)
    model, codec = load_model(checkpoint), cast("SentenceCodec", checkpoint.codec)
    found = measure_compression(model, codec, SENTENCES)
    assert found["bytes_utf8"] == sum(len(each.encode()) for each in SENTENCES) / len(SENTENCES)
    assert found["bytes_together"] < found["bytes_alone"]
    with pytest.raises(ArithmeticError, match="does not give back the captions"):
        measure_compression(model, codec, [f" {SENTENCES[0]}"])


VOCABULARY = Vocabulary(
    folder="autoencoders/recurrent_text/gru-ae-sentences",
    roles=SENTENCE_ROLES,
    train=byte_level(lambda data: SENTENCES, 300, SENTENCE_ROLES, prefix_space=True),
)
CONFIG = RecurrentTextConfig(
    vocab_size=300,
    max_tokens=32,
    embedding_width=16,
    encoder_width=16,
    decoder_width=32,
    memory_width=8,
    latent_width=16,
    n_waves=6,
)
NOISE = WordNoise(
    mask_id=2, padding_id=1, clean_share=0.5, scrambled_share=0.0, dropped_share=0.1, masked_share=0.1, reach=1
)


def stage(n_epochs: int, max_tokens: int = 32) -> SentenceReconstruction:
    return SentenceReconstruction(
        vocabulary=VOCABULARY,
        config=RecurrentTextConfig(**{**CONFIG.to_dict(), "max_tokens": max_tokens}),
        sentences_of=lambda data: SENTENCES,
        noise=NOISE,
        n_epochs=n_epochs,
        n_sentences=6,
        lr=0.01,
        embedding_deviation=0.3,
        masked_inputs=0.1,
        latent_noise=0.05,
        averaged_share=0.1,
    )


class Tiny(GruAeSentences):
    """The recipe with a small network and few sentences."""

    config = CONFIG
    stages = (stage(60),)  # type: ignore[assignment]
    bars = {}  # noqa: RUF012


def test_batches_have_sentences_of_one_length_with_their_ends(tmp_path: Path) -> None:
    (ids,) = stage(1).items(resources(tmp_path))
    assert (ids.dtype, tuple(ids.shape)) == (torch.int16, (4, 6, 32))
    tokenizer = VOCABULARY.tokenizer(resources(tmp_path))
    rows = [row[row != CONFIG.start_id].tolist() for batch in ids for row in batch]
    assert {row[-1] for row in rows} == {CONFIG.end_id}
    assert sorted(tokenizer.decode(row[:-1]) for row in rows) == sorted(SENTENCES)
    assert [len(row) for row in rows] == sorted(len(row) for row in rows)
    longest = max(map(len, rows))
    (shorter,) = stage(1, longest - 1).items(resources(tmp_path))
    assert len(shorter) < len(ids)


def test_the_recipe_learns_and_publishes_what_it_measures(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gru_ae_sentences, "VOCABULARY", VOCABULARY)
    for name in ("training_captions", "validation_captions", "test_captions"):
        monkeypatch.setattr(gru_ae_sentences, name, lambda data: SENTENCES[:12])
    monkeypatch.setattr(gru_ae_sentences, "held_out_article_sentences", lambda data, n: ["the odd blue man runs."] * 2)
    monkeypatch.setattr(gru_ae_sentences, "N_INTERPOLATIONS", 2)
    recipe: Any = Tiny()
    held = Resources(NOWHERE, tmp_path / "weights")
    run = train(recipe, Run(resources=held, folder=tmp_path / "runs", device="cpu", quiet=True))
    losses = run.histories["reconstruction"].losses
    assert losses[-1] < 0.3 * losses[0]
    model = cast("RecurrentTextAutoencoder", run.model)
    assert model.begins_word.any()
    folder = publish(recipe, run, held)
    checkpoint = read_checkpoint(folder)
    assert checkpoint.metrics["bleu"] > 50
    assert checkpoint.metrics["bleu_scrambled_before"] < 50
    card = (folder / "README.md").read_text()
    assert card.count("2. From ") == 1
    monkeypatch.setattr("training.publish.get_recipe", lambda name: recipe)
    assert all(each.holds for each in measure(held))
    restored = load_model(checkpoint)
    assert torch.equal(restored.state_dict()["begins_word"], model.begins_word)

"""Made-up texts, and tiny vocabularies, models and recipes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from models.family import Model
from models.transformers.bert.config import BertConfig
from models.transformers.bert.model import Bert
from models.transformers.bert.objective import loss as bert_loss
from models.transformers.vanilla.config import VanillaTransformerConfig
from training.data.files import DataFolder
from training.data.labelled_text import LabelledText
from training.data.multi30k import TranslationPair
from training.data.named_entities import TaggedSentence
from training.recipe import Batch, Recipe, Resources, Stage, TrainedModel
from training.texts.finetuning import TextClassification, set_dropout
from training.texts.pairs import NextSentences
from training.texts.pretraining import TextSource, initialise_weights
from training.texts.translation import Translation
from training.texts.vocabulary import (
    ALBERT_ROLES,
    BERT_ROLES,
    GPT_ROLES,
    MARIAN_ROLES,
    ROBERTA_ROLES,
    Vocabulary,
    byte_level,
    unigram,
    wordpiece,
)

NOWHERE = DataFolder(Path("nowhere"), download=False)
ANIMALS = ("dog", "cat", "bird", "horse")
PLACES = ("river", "garden", "street", "forest")
SENTENCES = [
    f"The {colour} {animal} {verb} to the {place}."
    for animal, place, colour, verb in product(ANIMALS, PLACES, ("red", "small"), ("walked", "wandered"))
]
"""64 sentences, each of seven words and a full stop."""
DOCUMENTS = [" ".join(SENTENCES[start::16] * 3) for start in range(16)]
N_TOKENS = 40
SHAPE: dict[str, Any] = {
    "n_positions": N_TOKENS,
    "n_token_types": 2,
    "width": 24,
    "n_layers": 1,
    "n_heads": 2,
    "inner_width": 32,
}


@dataclass(frozen=True)
class Kind:
    """Special tokens by role, and the function that trains the tokenizer."""

    roles: Mapping[str, str]
    train: Callable[[DataFolder], Tokenizer]


def texts(data: DataFolder) -> list[str]:
    """Return the texts that tokenizers are trained on."""
    return [*SENTENCES, "Does it see a “schöner” Tag? It's so, said 9 of 10 men: yes!"]


KINDS = {
    "wordpiece": Kind(BERT_ROLES, wordpiece(texts, 120)),
    "unigram": Kind(ALBERT_ROLES, unigram(texts, 120)),
    "byte-level": Kind(ROBERTA_ROLES, byte_level(texts, 320, ROBERTA_ROLES)),
    "byte-level with an end": Kind(GPT_ROLES, byte_level(texts, 320, GPT_ROLES)),
    "byte-level for translations": Kind(MARIAN_ROLES, byte_level(texts, 320, MARIAN_ROLES)),
}
SOURCES = (TextSource("made up", lambda data: DOCUMENTS),)


def pretraining_settings(**changes: Any) -> dict[str, Any]:
    """Return the settings of a pretraining stage over `SOURCES`, with changes."""
    common = {"vocabulary": vocabulary(), "sources": SOURCES, "n_tokens": 1000, "length": N_TOKENS, "batch_size": 8}
    return common | changes


def seeded(seed: int = 0) -> torch.Generator:
    """Return a new generator with that seed."""
    return torch.Generator().manual_seed(seed)


def vocabulary(kind: str = "wordpiece") -> Vocabulary:
    """Return the vocabulary of that kind, with its own folder below the weights."""
    return Vocabulary(folder=kind, roles=KINDS[kind].roles, train=KINDS[kind].train)


def resources(folder: Path) -> Resources:
    """Return resources without data sets, since all data is made up."""
    return Resources(NOWHERE, folder)


def size_of(resources: Resources, kind: str = "wordpiece") -> int:
    """Return the size of the vocabulary."""
    return int(vocabulary(kind).tokenizer(resources).get_vocab_size())


def bert(vocab_size: int, dropout: float = 0.0, **heads: Any) -> Bert:
    """Return a model with the initial weights of recipes, always the same."""
    torch.manual_seed(0)
    model = Bert(BertConfig(vocab_size=vocab_size, **SHAPE, **heads))
    initialise_weights(model)
    set_dropout(model, dropout)
    return model


class Unpublished(Recipe):
    """A recipe that is trained but not published."""

    def initialise(self, model: Model, resources: Resources) -> None:
        initialise_weights(model)
        set_dropout(model, 0.2)

    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        raise NotImplementedError

    def write(self, folder: Path, run: TrainedModel, folds: Sequence[TrainedModel], resources: Resources) -> None:
        raise NotImplementedError

    def describe(self, folder: Path, model: Model, metrics: Mapping[str, float], resources: Resources) -> None:
        raise NotImplementedError


class TinyPairs(Unpublished):
    """12 steps of masked pairs, then 8 steps of classifying sentences by their animal."""

    name = "tiny-pairs"
    family = "transformers/bert"
    config = BertConfig(vocab_size=120, **SHAPE, heads=("pooler", "pair", "masked", "sequence"), labels=ANIMALS)
    stages = (
        NextSentences(
            vocabulary=vocabulary(),
            sources=SOURCES,
            n_tokens=12 * 8 * N_TOKENS,
            length=N_TOKENS,
            batch_size=8,
            masking="whole-word",
            loss_of=bert_loss,
        ),
        TextClassification(
            vocabulary=vocabulary(), max_tokens=N_TOKENS, n_epochs=2, batch_size=16, rows_of=lambda data: labelled()
        ),
    )


class TinyTranslation(Unpublished):
    """20 steps of translation, with the average of the last 8."""

    name = "tiny-translation"
    family = "transformers/vanilla"
    config = VanillaTransformerConfig(
        vocab_size=320,
        target_vocab_size=320,
        n_encoder_layers=1,
        n_decoder_layers=1,
        n_encoder_heads=2,
        n_decoder_heads=2,
        encoder_inner_width=32,
        decoder_inner_width=32,
        n_positions=N_TOKENS,
        width=24,
        start_id=2,
        end_ids=(0,),
        suppressed_ids=(2,),
    )
    stages = (
        Translation(
            vocabulary=vocabulary("byte-level for translations"),
            max_tokens=N_TOKENS,
            pairs_of=lambda data: [TranslationPair(text, text.upper()) for text in SENTENCES],
            n_epochs=5,
            batch_size=16,
            muon_lr=0.01,
            adamw_lr=3e-3,
            dropout=0.2,
            averaged_share=0.4,
        ),
    )


RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (TinyPairs(), TinyTranslation())}


def labelled() -> list[LabelledText]:
    """Return sentences labelled with the indices of their animals."""
    return [LabelledText(text, ANIMALS.index(text.split()[2])) for text in SENTENCES]


def losses(stage: Stage[Any], model: Any, items: Batch, n_steps: int) -> list[float]:
    """Return the losses of `n_steps` steps over all items, at the peak rates of the stage's own optimisers."""
    companion = stage.begin(model, items)
    optimisers = stage.optimisers(model.train(), companion)
    found: list[float] = []
    for step in range(n_steps):
        loss = stage.loss(model, items, torch.Generator().manual_seed(step), companion)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()
        stage.after_step(model, companion, (step + 1) / n_steps)
        found.append(loss.item())
    stage.end(model, companion)
    model.eval()
    return found


def mean(values: Sequence[float]) -> float:
    """Return the mean of losses, which vary from step to step."""
    return sum(values) / len(values)


def tuning(**changes: Any) -> dict[str, Any]:
    """Return the settings of a fine-tuning stage, with changes."""
    common = {"vocabulary": vocabulary(), "max_tokens": N_TOKENS, "n_epochs": 1, "lr": 1e-2, "dropout": 0.1}
    return common | changes


def tagged(text: str) -> TaggedSentence:
    """Tag animals as persons and places as places."""
    kinds = dict.fromkeys(ANIMALS, "B-PER") | dict.fromkeys(PLACES, "B-LOC")
    words = tuple(text.replace(".", " .").split())
    return TaggedSentence(words, tuple(kinds.get(word, "O") for word in words))

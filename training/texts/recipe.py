"""What recipes of text models share: vocabulary, first weights, files, cards."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch

from models.catalogue import family
from models.checkpoint.published import read_card, write_card, write_published
from models.codecs.text.codec import FastCodec
from models.family import Model
from models.layers.text_model import TextModel
from training.card import CARD_FILE, Picture, card
from training.recipe import Recipe, Shelf, Trained
from training.texts.curve import curve
from training.texts.pretraining import first_weights
from training.texts.vocabulary import Vocabulary

CURVE_FILE = "curve.png"
CURVE_CAPTION = "Loss while training, in nats; the mean of 20 steps, smoothed."
N_SAMPLES = 10
WATTS_A_CORE = 15.0
"""Assumed, for the cards: nothing here measures energy."""


class TextRecipe(Recipe):
    """A model in the format of Hugging Face, whose card has the curve of its training and samples of what it does.

    `parent` is the checkpoint it grows from: its weights but those of heads, of as many layers as the model has.
    `max_tokens` is the longest text it was trained on.
    """

    vocabulary: ClassVar[Vocabulary]
    max_tokens: ClassVar[int]
    parent: ClassVar[str | None] = None

    def start(self, model: Model, shelf: Shelf) -> None:
        """The parent's weights, or random ones."""
        first_weights(model)
        if self.parent is not None:
            model.load_state_dict(_body(shelf.model(self.parent), model), strict=False)

    def codec(self, shelf: Shelf) -> FastCodec:
        """How texts are read."""
        return self.vocabulary.codec(shelf, self.max_tokens)

    def special_ids(self, shelf: Shelf) -> dict[str, Any]:
        """What `config.json` says besides: the ids of special tokens."""
        tokenizer = self.vocabulary.tokenizer(shelf)
        names = {"pad_token": "pad_token_id", "bos_token": "bos_token_id", "eos_token": "eos_token_id"}
        roles = self.vocabulary.roles
        return {key: self.vocabulary.id_of(tokenizer, role) for role, key in names.items() if role in roles}

    def write(self, folder: Path, runs: Sequence[Trained], folds: Sequence[Trained], shelf: Shelf) -> None:
        """Weights, tokenizer, the curve, and what the training took."""
        (run,) = runs
        write_published(
            folder, run.model, family(self.family), self.config, extra=self.special_ids(shelf), dtype=self.stored_dtype
        )
        self.vocabulary.write(folder, shelf, self.max_tokens)
        (folder / CURVE_FILE).write_bytes(curve(run.histories))
        hours = sum(history.seconds for history in run.histories.values()) / 3600
        n_threads = torch.get_num_threads()
        write_card(folder, licence=self.licence, metrics={}, training={"hours": round(hours, 3), "threads": n_threads})

    def describe(self, folder: Path, model: Model, metrics: Mapping[str, float], shelf: Shelf) -> None:
        """See `Recipe.describe`."""
        training = read_card(folder)["training"]
        write_card(folder, licence=self.licence, metrics=metrics, training=training)
        sections = {
            "Samples": self.samples_section(cast("TextModel", model), shelf),
            "Time and energy": _spent(**training),
        }
        text = card(self, metrics, (Picture(CURVE_FILE, CURVE_CAPTION),), sections)
        (folder / CARD_FILE).write_text(text)

    def samples_section(self, model: TextModel, shelf: Shelf) -> str:
        """Unedited outputs: of `N_SAMPLES` inputs chosen by hand, and of as many that were drawn."""
        chosen, drawn = self.samples(model, shelf)
        return (
            f"Unedited, seed 0. Inputs chosen by hand:\n\n{_list(chosen)}\n\n"
            f"Inputs drawn at random from data never trained on:\n\n{_list(drawn)}"
        )

    @abstractmethod
    def samples(self, model: TextModel, shelf: Shelf) -> tuple[list[str], list[str]]:
        """Lines of Markdown, an input with the model's output each: `N_SAMPLES` chosen by hand, and as many drawn."""


def _body(parent: Model, model: Model) -> dict[str, torch.Tensor]:
    """The parameters of the parent that the model has too, but those of heads."""
    own = model.state_dict()
    return {key: tensor for key, tensor in parent.state_dict().items() if key in own and "head" not in key}


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _spent(hours: float, threads: int) -> str:
    energy = hours * threads * WATTS_A_CORE
    return (
        f"{hours:.2f} hours on {threads} CPU cores, about {energy:.0f} Wh if a core takes {WATTS_A_CORE:g} W, which "
        "was not measured. What a parent took is not counted."
    )

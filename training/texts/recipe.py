"""The base class of recipes of text models."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from typing_extensions import override

from models.catalogue import family
from models.checkpoint.card import CARD_FILE as METADATA_FILE
from models.checkpoint.card import write_card
from models.checkpoint.hugging_face import write_published
from models.codecs.text import TokenizersCodec
from models.family import Model
from models.json_files import read_json
from models.text.text_model import TextModel
from training.card import CARD_FILE, Picture, card
from training.recipe import Recipe, Resources, TrainedModel
from training.texts.expected import write_expected
from training.texts.loss_curve import loss_curve
from training.texts.pretraining import initialise_weights
from training.texts.vocabulary import Vocabulary

CURVE_FILE = "curve.png"
CURVE_CAPTION = "Loss while training, in nats; the mean of 20 steps, smoothed."
N_SAMPLES = 10
WATTS_A_CORE = 15.0
"""Assumed power of a CPU core in watts, for the model cards; energy is not measured."""


class TextRecipe(Recipe):
    """A recipe of a model in the format of Hugging Face; the card shows the loss curve and samples of the output.

    `parent` names the checkpoint that training starts from: its weights are copied, except those of heads and of layers
    that the model does not have. `max_tokens` is the length of the longest text the model was trained on.
    """

    vocabulary: ClassVar[Vocabulary]
    max_tokens: ClassVar[int]
    parent: ClassVar[str | None] = None

    @override
    def initialise(self, model: Model, resources: Resources) -> None:
        """Draw random weights, and copy the parent's over them if there is a parent."""
        initialise_weights(model)
        if self.parent is not None:
            model.load_state_dict(_shared_weights(resources.model(self.parent), model), strict=False)

    def codec(self, resources: Resources) -> TokenizersCodec:
        """Return the codec that the model's texts are encoded with."""
        return self.vocabulary.codec(resources, self.max_tokens)

    def special_ids(self, resources: Resources) -> dict[str, Any]:
        """Return the ids of special tokens for `config.json`."""
        tokenizer = self.vocabulary.tokenizer(resources)
        names = {"pad_token": "pad_token_id", "bos_token": "bos_token_id", "eos_token": "eos_token_id"}
        roles = self.vocabulary.roles
        return {key: self.vocabulary.id_of(tokenizer, role) for role, key in names.items() if role in roles}

    @override
    def write(self, folder: Path, run: TrainedModel, folds: Sequence[TrainedModel], resources: Resources) -> None:
        """Write weights, tokenizer, loss curve, and the time the training took."""
        write_published(
            folder,
            run.model,
            family(self.family),
            self.config,
            extra=self.special_ids(resources),
            dtype=self.stored_dtype,
        )
        self.vocabulary.write(folder, resources, self.max_tokens)
        (folder / CURVE_FILE).write_bytes(loss_curve(run.histories))
        hours = sum(history.seconds for history in run.histories.values()) / 3600
        n_threads = torch.get_num_threads()
        self._write_card(folder, {}, {"hours": round(hours, 3), "threads": n_threads})

    @override
    def describe(self, folder: Path, model: Model, metrics: Mapping[str, float], resources: Resources) -> None:
        training = read_json(folder, folder.name, METADATA_FILE)["training"]
        self._write_card(folder, metrics, training)
        sections = {
            "Samples": self.samples_section(cast("TextModel", model), resources),
            "Time and energy": _time_and_energy(**training),
        }
        text = card(self, metrics, (Picture(CURVE_FILE, CURVE_CAPTION),), sections)
        (folder / CARD_FILE).write_text(text)
        write_expected(folder, model)

    def _write_card(self, folder: Path, metrics: Mapping[str, float], training: Mapping[str, float]) -> None:
        write_card(
            folder,
            licence=self.licence,
            metrics=metrics,
            training=training,
            default_for=self.default_for,
            known_failings=self.known_failings,
        )

    def samples_section(self, model: TextModel, resources: Resources) -> str:
        """Return the card's samples: outputs for `N_SAMPLES` inputs chosen by hand and as many drawn at random."""
        chosen, drawn = self.samples(model, resources)
        return (
            f"Unedited, seed 0. Inputs chosen by hand:\n\n{_bullet_list(chosen)}\n\n"
            f"Inputs drawn at random from data never trained on:\n\n{_bullet_list(drawn)}"
        )

    @abstractmethod
    def samples(self, model: TextModel, resources: Resources) -> tuple[list[str], list[str]]:
        """Return two lists of Markdown lines, each an input with the model's output.

        The first is for `N_SAMPLES` inputs chosen by hand, the second for as many drawn at random.
        """


def _shared_weights(parent: Model, model: Model) -> dict[str, torch.Tensor]:
    """Return the parent's weights that the model has too, without those of heads."""
    own = model.state_dict()
    return {key: tensor for key, tensor in parent.state_dict().items() if key in own and "head" not in key}


def _bullet_list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _time_and_energy(hours: float, threads: int) -> str:
    energy = hours * threads * WATTS_A_CORE
    cores = "one CPU core" if threads == 1 else f"{threads} CPU cores"
    return (
        f"{hours:.2f} hours on {cores}, about {energy:.0f} Wh if a core takes {WATTS_A_CORE:g} W, which "
        "was not measured. What a parent took is not counted."
    )

"""What recipes of pretrained encoders share: how well they guess, on articles they have not seen."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

from models.family import Model
from models.layers.encoder import TextEncoder
from models.layers.text_model import TextModel
from training.data.wikipedia import wikipedia
from training.recipe import Shelf
from training.texts.english import TEXTS_LICENCE, sentences
from training.texts.guesses import guesses, pseudo_perplexity
from training.texts.pretraining import MaskedTexts
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import drawn, filled_masks, with_mask

N_SCORED = 200
"""Sentences behind the pseudo-perplexity."""

MASKED_METRICS = {
    "pseudo_perplexity": f"pseudo-perplexity, a token, {N_SCORED} sentences of held-out articles",
    "masked_loss": "loss in nats at masked tokens, held-out articles",
    "masked_accuracy": "share of masked tokens guessed, the same",
}


class MaskedLanguageRecipe(TextRecipe):
    """`chosen` are sentences with a mask, for the card; `pair_metric` names the accuracy of pairs, where there are."""

    metrics = MASKED_METRICS
    data_licence = TEXTS_LICENCE
    chosen: ClassVar[tuple[str, ...]]
    pair_metric: ClassVar[str | None] = None

    @abstractmethod
    def held_out(self) -> MaskedTexts:
        """The stage, over texts that were not trained on."""

    def evaluate(self, models: Sequence[Model], shelf: Shelf) -> dict[str, float]:
        """On held-out articles."""
        model = cast("TextEncoder", models[0])
        found = guesses(model, self.held_out(), shelf)
        scored = drawn(sentences(wikipedia(shelf.data).valid), N_SCORED)
        return {
            "pseudo_perplexity": pseudo_perplexity(model, self.codec(shelf), scored),
            "masked_loss": found.loss,
            "masked_accuracy": found.accuracy,
        } | ({self.pair_metric: found.pair_accuracy} if self.pair_metric else {})

    def samples(self, model: TextModel, shelf: Shelf) -> tuple[list[str], list[str]]:
        """Sentences with a mask, and the likeliest words there."""
        codec, encoder = self.codec(shelf), cast("TextEncoder", model)
        mask = self.vocabulary.roles["mask_token"]
        masked = [with_mask(text, mask) for text in drawn(sentences(wikipedia(shelf.data).valid), N_SAMPLES)]
        chosen, others = ([filled_masks(encoder, codec, text) for text in texts] for texts in (self.chosen, masked))
        return chosen, others

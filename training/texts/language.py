"""The base class of recipes that pretrain encoders with masked words."""

from abc import abstractmethod
from typing import ClassVar, cast

from typing_extensions import override

from models.family import Model
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel
from training.data.wikipedia import wikipedia
from training.recipe import Resources
from training.texts.english import TEXTS_LICENCE, sentences
from training.texts.masked_evaluation import masked_prediction_scores, pseudo_perplexity
from training.texts.pretraining import MaskedPretraining
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import draw_examples, mask_one_word, show_mask_predictions

N_SCORED = 200
"""Number of sentences that the pseudo-perplexity is measured on."""

MASKED_METRICS = {
    "pseudo_perplexity": f"pseudo-perplexity, a token, {N_SCORED} sentences of held-out articles",
    "masked_loss": "loss in nats at masked tokens, held-out articles",
    "masked_accuracy": "share of masked tokens guessed, the same",
}


class MaskedLanguageRecipe(TextRecipe):
    """A recipe measured by how well the model predicts masked words of held-out articles.

    `sample_inputs` are sentences with a mask, for the model card. `pair_metric` names the metric of the accuracy on
    text pairs; None if the model is not trained on pairs.
    """

    metrics = MASKED_METRICS
    data_licence = TEXTS_LICENCE
    sample_inputs: ClassVar[tuple[str, ...]]
    pair_metric: ClassVar[str | None] = None

    @abstractmethod
    def held_out(self) -> MaskedPretraining:
        """Return the pretraining stage over texts that the model was not trained on."""

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the predictions of masked tokens, the pseudo-perplexity and the accuracy on pairs."""
        model = cast("TextEncoder", model)
        found = masked_prediction_scores(model, self.held_out(), resources)
        scored = draw_examples(sentences(wikipedia(resources.data).valid), N_SCORED)
        return {
            "pseudo_perplexity": pseudo_perplexity(model, self.codec(resources), scored),
            "masked_loss": found.loss,
            "masked_accuracy": found.accuracy,
        } | ({self.pair_metric: found.pair_accuracy} if self.pair_metric else {})

    @override
    def samples(self, model: TextModel, resources: Resources) -> tuple[list[str], list[str]]:
        """Show sentences with a mask and the likeliest words there."""
        codec, encoder = self.codec(resources), cast("TextEncoder", model)
        mask = self.vocabulary.roles["mask_token"]
        masked = [
            mask_one_word(text, mask) for text in draw_examples(sentences(wikipedia(resources.data).valid), N_SAMPLES)
        ]
        chosen, others = (
            [show_mask_predictions(encoder, codec, text) for text in texts] for texts in (self.sample_inputs, masked)
        )
        return chosen, others

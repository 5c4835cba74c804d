"""ALBERT that classifies film reviews."""

from typing_extensions import override

from models.family import Model
from models.transformers.albert.config import AlbertConfig
from training.recipe import Bar, Resources
from training.recipes.albert_mini_en import SHAPE, VOCABULARY
from training.recipes.bert_sst2_en import RECIPE as BERT
from training.texts.reviews import ReviewRecipe, review_classification


class AlbertSst2En(ReviewRecipe):
    """Recipe of `albert-sst2-en`: `albert-mini-en` with a head for two classes."""

    name = "albert-sst2-en"
    family = "transformers/albert"
    parent = "albert-mini-en"
    config = AlbertConfig(**SHAPE, heads=("pooler", "sequence"), labels=ReviewRecipe.labels)
    vocabulary = VOCABULARY
    stages = (review_classification(VOCABULARY, n_epochs=2, batch_size=32, lr=5e-4),)
    bars = {  # noqa: RUF012
        "behind_bert": Bar(must=0.02, aim=0.01),
        "parameter_share": Bar(must=0.6),
    }
    metrics = {  # noqa: RUF012
        **ReviewRecipe.metrics,
        "behind_bert": f"how far that is behind `{BERT.name}`, the same",
        "parameter_share": "its parameters over those of that model",
    }
    summary = """
ALBERT of English, `albert-mini-en` tuned to tell negative film reviews from positive ones. Family:
`transformers/albert`.
"""
    procedure = """
SST-2 (Socher et al. 2013), the 67,349 phrases of the training split. 2 epochs in batches of 32, AdamW at 0.0005 with a
linear decay, dropout 0.1, labels smoothed by 0.1.
"""

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the accuracy, and compare it and the number of parameters with those of BERT."""
        other = resources.model(BERT.name)
        found = super().evaluate(model, resources)
        return found | {
            "behind_bert": BERT.evaluate(other, resources)["accuracy"] - found["accuracy"],
            "parameter_share": model.n_parameters / other.n_parameters,
        }


RECIPE = AlbertSst2En()

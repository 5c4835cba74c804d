"""The base class of recipes that classify film reviews (SST-2)."""

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from training.data.files import DataFolder
from training.data.labelled_text import LabelledText
from training.data.sst2 import LABELS, sst2
from training.recipe import Bar
from training.texts.classification import ClassificationRecipe
from training.texts.finetuning import TextClassification
from training.texts.vocabulary import Vocabulary

MAX_TOKENS = 128


class ReviewRecipe(ClassificationRecipe):
    """A recipe that classifies sentences of film reviews as negative or positive."""

    labels = LABELS
    max_tokens = MAX_TOKENS
    bars = {"accuracy": Bar(must=0.80, aim=0.86, higher_is_better=True)}  # noqa: RUF012
    metrics = {  # noqa: RUF012
        "accuracy": "accuracy, the 872 sentences of the SST-2 development split",
        "commonest": "accuracy of always naming the commonest class, for comparison",
    }
    sample_inputs = (
        "a wonderful , moving film",
        "i have never been so bored in a cinema",
        "the plot is thin , but the actors save it",
        "not bad at all",
        "it is hardly worth the ticket",
        "one of the best comedies of the year",
        "the jokes fall flat and the story goes nowhere",
        "visually stunning and utterly empty",
        "i laughed , i cried , i bought the soundtrack",
        "nobody could call this a good film",
    )
    short_description = "film reviews, negative or positive"
    headline = "SST-2 accuracy {accuracy:.4f}"
    limits = """
It knows sentences of film reviews in American English, lower-cased and with spaces around punctuation, as SST-2 has
them. Irony, negation over several words and other subjects than films mislead it.
"""
    known_failings = "Irony, negation over several words, and texts that are not English film reviews mislead it."
    data_licence = "SST-2 (Socher et al. 2013; GLUE): no licence stated by its source."

    @override
    def test_rows(self, data: DataFolder) -> Sequence[LabelledText]:
        """Return the development split, since the labels of the test split were never published."""
        return sst2(data).dev


def review_classification(vocabulary: Vocabulary, **settings: Any) -> TextClassification:
    """Return a fine-tuning stage on all phrases of the training split."""
    return TextClassification(
        vocabulary=vocabulary, max_tokens=MAX_TOKENS, rows_of=lambda data: sst2(data).train, **settings
    )

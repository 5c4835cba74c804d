"""BERT that classifies film reviews: the first layers of bert-mini-en, with a head for two classes."""

from models.transformers.bert.config import BertConfig
from training.recipes.bert_mini_en import SHAPE, VOCABULARY
from training.texts.reviews import ReviewRecipe, review_classification


class BertSst2En(ReviewRecipe):
    """Recipe of `bert-sst2-en`: the first 4 of the 6 layers of `bert-mini-en`, three quarters of its size."""

    name = "bert-sst2-en"
    family = "transformers/bert"
    default_for = ("classify",)
    parent = "bert-mini-en"
    config = BertConfig(**{**SHAPE, "n_layers": 4}, heads=("pooler", "sequence"), labels=ReviewRecipe.labels)
    vocabulary = VOCABULARY
    stages = (review_classification(VOCABULARY, n_epochs=3, batch_size=32, lr=5e-4),)
    summary = """
BERT of English, the first 4 of the 6 layers of `bert-mini-en`, tuned to tell negative film reviews from positive ones.
Family: `transformers/bert`.
"""
    procedure = """
SST-2 (Socher et al. 2013), the 67,349 phrases of the training split. 3 epochs in batches of 32, AdamW at 0.0005 with a
linear decay, dropout 0.1, labels smoothed by 0.1.
"""


RECIPE = BertSst2En()

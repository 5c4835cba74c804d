"""ALBERT of film reviews."""

from models.transformers.albert.config import AlbertConfig
from training.recipes.albert_mini_en import SHAPE, VOCABULARY
from training.texts.opinions import OpinionRecipe, opinions


class AlbertSst2En(OpinionRecipe):
    """Its parent, with a head for two classes."""

    name = "albert-sst2-en"
    family = "transformers/albert"
    parent = "albert-mini-en"
    config = AlbertConfig(**SHAPE, heads=("pooler", "sequence"), labels=OpinionRecipe.labels)
    vocabulary = VOCABULARY
    stages = (opinions(VOCABULARY, n_epochs=2, batch_size=32, lr=5e-4),)
    summary = """
ALBERT of English, `albert-mini-en` tuned to tell negative film reviews from positive ones. Family:
`transformers/albert`.
"""
    story = """
SST-2 (Socher et al. 2013), the 67,349 phrases of the training split. 2 epochs in batches of 32, AdamW at 0.0005 with a
linear decay, dropout 0.1, labels smoothed by 0.1.
"""


RECIPE = AlbertSst2En()

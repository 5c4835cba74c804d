"""The English that language models are trained on and measured with."""

import re

from training.data.files import DataFolder
from training.data.novels import novels
from training.data.stories import childrens_stories
from training.data.wikipedia import wikipedia
from training.texts.pretraining import Source

TEXTS_LICENCE = (
    "Trained on articles of Wikipedia (CC BY-SA 3.0), children's stories (CC BY, public domain) and novels (public "
    "domain)."
)
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")
MIN_CHARACTERS, MAX_CHARACTERS = 40, 240


def english(data: DataFolder) -> list[str]:
    """Articles, stories and novels of the training splits."""
    return [*wikipedia(data).train, *childrens_stories(data).train, *novels(data)]


def held_out_articles(data: DataFolder) -> list[str]:
    """Which no model is trained on."""
    return wikipedia(data).valid


ENCODER_TEXTS = (Source("articles, stories, novels", english),)
HELD_OUT = (Source("held-out articles", held_out_articles),)


def sentences(texts: list[str]) -> list[str]:
    """Sentences of some length, without headings."""
    lines = (line for text in texts for line in text.splitlines()[1:])
    found = (sentence for line in lines for sentence in _SENTENCE_END.split(line))
    return [one for one in found if MIN_CHARACTERS <= len(one) <= MAX_CHARACTERS and one.endswith(".")]

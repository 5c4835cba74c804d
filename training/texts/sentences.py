"""English sentences to train and to measure autoencoders of texts: captions, stories and an encyclopedia."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from training.data.files import DataFolder
from training.data.multi30k import multi30k
from training.data.stories import childrens_stories, tiny_stories
from training.data.wikipedia import wikipedia
from training.texts.english import body_lines, without_titles

MIN_WORDS, MAX_WORDS = 4, 20
"""Limits on the words of a sentence that is no caption."""
N_STORY_SENTENCES, N_BOOK_SENTENCES, N_ARTICLE_SENTENCES = 5_000, 3_000, 5_000
"""Maximum numbers of sentences of TinyStories, of children's books and of Wikipedia."""
N_CAPTION_COPIES = 3
"""Number of times that a caption is among the training sentences, where others are once."""
_SENTENCE_END = re.compile(r"(?<=[.!?]) ")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,.;:'\"!?-]*[.!?]")


def training_sentences(data: DataFolder) -> list[str]:
    """Return the sentences that models are trained on: each caption several times, the others once.

    Sentences that are captions of the validation or the test split, apart from capitals, are left out.
    """
    held_out = _held_out(data)
    stories = _sentences(tiny_stories(data))
    books = _sentences(without_titles(childrens_stories(data).train))
    others = [
        *_spread(_different(stories, held_out), N_STORY_SENTENCES),
        *_spread(_different(books, held_out), N_BOOK_SENTENCES),
        *_spread(_different(_article_sentences(wikipedia(data).train), held_out), N_ARTICLE_SENTENCES),
    ]
    return [*training_captions(data) * N_CAPTION_COPIES, *others]


def training_captions(data: DataFolder) -> list[str]:
    """Return the different captions of the training split that are in neither of the other splits."""
    return _different([pair.source for pair in multi30k(data).train], _held_out(data))


def validation_captions(data: DataFolder) -> list[str]:
    """Return the 1,014 captions of the validation split."""
    return [pair.source for pair in multi30k(data).valid]


def test_captions(data: DataFolder) -> list[str]:
    """Return the 1,000 captions of test_2016_flickr."""
    return [pair.source for pair in multi30k(data).test]


def held_out_article_sentences(data: DataFolder, n: int) -> list[str]:
    """Return at most `n` sentences of articles that no model is trained on."""
    return _spread(_different(_article_sentences(wikipedia(data).valid), set()), n)


def _held_out(data: DataFolder) -> set[str]:
    """Return the captions of the validation and the test split in lower case."""
    return {caption.lower() for caption in (*validation_captions(data), *test_captions(data))}


def _sentences(texts: Iterable[str]) -> list[str]:
    """Return the sentences of texts that are neither very short nor long and have no unusual characters."""
    found = (part.strip() for text in texts for line in text.splitlines() for part in _SENTENCE_END.split(line))
    return [part for part in found if MIN_WORDS <= len(part.split()) <= MAX_WORDS and _PLAIN.fullmatch(part)]


def _article_sentences(articles: Sequence[str]) -> list[str]:
    """Return such sentences of articles, of which single names and headings are no part."""
    return _sentences(body_lines(articles))


def _different(sentences: Sequence[str], left_out: set[str]) -> list[str]:
    """Return each sentence once, without those that are left out, which are in lower case."""
    return [sentence for sentence in dict.fromkeys(sentences) if sentence.lower() not in left_out]


def _spread(sentences: Sequence[str], n: int) -> list[str]:
    """Return at most `n` sentences at equal distances."""
    return list(islice(sentences[:: max(1, len(sentences) // n)], n))

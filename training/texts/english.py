"""English texts for training and measuring language models."""

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence

from training.data.files import DataFolder
from training.data.novels import novels
from training.data.stories import childrens_stories
from training.data.wikipedia import wikipedia
from training.texts.corpus import split_sentences
from training.texts.pretraining import TextSource

TEXTS_LICENCE = (
    "Trained on articles of Wikipedia (CC BY-SA 3.0), children's stories (CC BY, public domain) and novels (public "
    "domain)."
)
_WIKITEXT_WORD = re.compile(r"(?<=\w)'\w+|\w+|[^\w\s]")
MIN_CHARACTERS, MAX_CHARACTERS = 40, 240
"""Limits on the characters of a sentence that is used by itself."""
MAX_HEADING_WORDS = 7
"""Maximum words of a line, its full stop included, that counts as a heading."""


def english_texts(data: DataFolder) -> list[str]:
    """Return the articles, stories and novels of the training splits."""
    return [*wikipedia(data).train, *childrens_stories(data).train, *novels(data)]


def held_out_articles(data: DataFolder) -> list[str]:
    """Return the articles that no model is trained on."""
    return wikipedia(data).valid


def without_titles(texts: Sequence[str]) -> list[str]:
    """Remove the first line of each text."""
    return [text.partition("\n")[2] for text in texts]


def untitled_english_texts(data: DataFolder) -> list[str]:
    """Return the articles and stories of the training splits without their titles, a paragraph per line."""
    return without_titles([*wikipedia(data).train, *childrens_stories(data).train])


def untitled_held_out_articles(data: DataFolder) -> list[str]:
    """Return the articles that no model is trained on without their titles, a paragraph per line."""
    return without_titles(held_out_articles(data))


ENCODER_TEXTS = (TextSource("articles, stories, novels", english_texts),)
HELD_OUT = (TextSource("held-out articles", held_out_articles),)
ORDERED_TEXTS = (TextSource("articles, stories", untitled_english_texts),)
ORDERED_HELD_OUT = (TextSource("held-out articles", untitled_held_out_articles),)


def body_lines(texts: Sequence[str]) -> list[str]:
    """Return the paragraphs and headings of articles without their titles."""
    return [line for text in texts for line in text.splitlines()[1:]]


def sentences(texts: Sequence[str]) -> list[str]:
    """Return the plain sentences of articles, without headings."""
    return [sentence for line in body_lines(texts) for sentence in plain_sentences(line)]


def plain_sentences(line: str) -> list[str]:
    """Return the sentences of a paragraph that end with a full stop and are neither very short nor very long."""
    return [
        sentence
        for sentence in split_sentences(line)
        if MIN_CHARACTERS <= len(sentence) <= MAX_CHARACTERS and sentence.endswith(".")
    ]


def as_wikitext(articles: Sequence[str], n_words: int) -> list[str]:
    """Rewrite articles in the style of WikiText: spaces around punctuation, and `<unk>` for rare words.

    The `n_words` most frequent words are kept. A hyphen within a word becomes ` @-@ `; the marks within a number become
    ` @,@ ` and ` @.@ `.

    Source: Merity et al. 2016, section 4.3.
    """
    documents = [[list(_wikitext_words(line)) for line in article.splitlines()] for article in articles]
    counts = Counter(word for document in documents for words in document for word in words)
    known = {word for word, _ in counts.most_common(n_words)}
    return ["".join(_wikitext_lines(document, known)) for document in documents]


def _wikitext_words(line: str) -> Iterator[str]:
    for match in _WIKITEXT_WORD.finditer(line):
        word, end = match.group(), match.end()
        before, after = line[match.start() - 1 : match.start()], line[end : end + 1]
        is_within = word in ",." and before.isdigit() and after.isdigit()
        is_within |= word == "-" and before.isalnum() and after.isalnum()
        yield f"@{word}@" if is_within else word


def _wikitext_lines(document: Sequence[Sequence[str]], known: Container[str]) -> Iterator[str]:
    for number, words in enumerate(document):
        line = [word if word in known else "<unk>" for word in words]
        if number == 0:
            yield f" \n = {' '.join(line)} = \n \n"
        elif line[-1:] == ["."] and len(line) <= MAX_HEADING_WORDS:
            yield f" \n = = {' '.join(line[:-1])} = = \n \n"
        else:
            yield f" {' '.join(line)} \n"

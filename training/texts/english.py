"""The English that language models are trained on and measured with."""

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
MAX_HEADING_WORDS = 7
"""A line of so few, its full stop counted, is a heading."""


def english_texts(data: DataFolder) -> list[str]:
    """Articles, stories and novels of the training splits."""
    return [*wikipedia(data).train, *childrens_stories(data).train, *novels(data)]


def held_out_articles(data: DataFolder) -> list[str]:
    """Which no model is trained on."""
    return wikipedia(data).valid


def without_titles(texts: Sequence[str]) -> list[str]:
    """Without their first lines."""
    return [text.partition("\n")[2] for text in texts]


def untitled_english_texts(data: DataFolder) -> list[str]:
    """Articles and stories of the training splits, a paragraph a line, without their titles."""
    return without_titles([*wikipedia(data).train, *childrens_stories(data).train])


def untitled_held_out_articles(data: DataFolder) -> list[str]:
    """The same of articles that no model is trained on."""
    return without_titles(held_out_articles(data))


ENCODER_TEXTS = (TextSource("articles, stories, novels", english_texts),)
HELD_OUT = (TextSource("held-out articles", held_out_articles),)
ORDERED_TEXTS = (TextSource("articles, stories", untitled_english_texts),)
ORDERED_HELD_OUT = (TextSource("held-out articles", untitled_held_out_articles),)


def body_lines(texts: Sequence[str]) -> list[str]:
    """The paragraphs and headings of articles, without their titles."""
    return [line for text in texts for line in text.splitlines()[1:]]


def sentences(texts: Sequence[str]) -> list[str]:
    """Sentences of some length, without headings."""
    return [sentence for line in body_lines(texts) for sentence in plain_sentences(line)]


def plain_sentences(line: str) -> list[str]:
    """Those of one paragraph that are of some length and end with a full stop."""
    found = split_sentences(line)
    return [
        sentence for sentence in found if MIN_CHARACTERS <= len(sentence) <= MAX_CHARACTERS and sentence.endswith(".")
    ]


def as_wikitext(articles: Sequence[str], n_words: int) -> list[str]:
    """Articles as WikiText has them: words and marks between blanks, all but the `n_words` most frequent as `<unk>`.

    A hyphen within a word is ` @-@ `, the marks within a number ` @,@ ` and ` @.@ `.

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

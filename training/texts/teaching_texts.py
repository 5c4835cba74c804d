"""Short English texts of many kinds, whose vectors a small model learns from a large one."""

from collections.abc import Iterable

from training.data.agnews import agnews
from training.data.files import DataFolder
from training.data.multi30k import multi30k
from training.data.questions import fairytale_qa, qamr
from training.data.sst2 import sst2
from training.data.stories import childrens_stories, tiny_stories
from training.data.stsb import ScoredPair, StsB, stsb
from training.data.wikipedia import wikipedia
from training.texts.english import sentences
from training.texts.samples import draw_examples

N_WIKIPEDIA_SENTENCES, N_STORY_SENTENCES, N_QUESTIONS, N_REVIEWS = 60_000, 20_000, 20_000, 12_000
MAX_CHARACTERS = 160
"""Maximum characters of a text; vectors of longer ones take longer to learn from."""
LICENCE = (
    "Trained on texts of Wikipedia (CC BY-SA 3.0), children's stories (CC BY, public domain, CDLA-Sharing-1.0), "
    "FairytaleQA (Apache-2.0), QAMR (MIT), Multi30k (research and education), AG News (non-commercial), SST-2 (none "
    "stated) and STS-B (scores CC BY-SA 4.0, sentences with the licences of their sources)."
)


def teaching_texts(data: DataFolder) -> list[str]:
    """Return distinct texts of training splits: titles, sentences, captions, questions, headlines and phrases.

    A sentence of the development or test split of STS-B is left out wherever it occurs.
    """
    scored = stsb(data)
    held_out = _held_out(scored)
    articles = wikipedia(data).train
    kinds: list[list[str]] = [
        _sides(scored.train),
        [pair.source for pair in multi30k(data).train],
        [article.partition("\n")[0] for article in articles],
        draw_examples(_short(sentences(articles)), N_WIKIPEDIA_SENTENCES),
        draw_examples(_short(_story_sentences(data)), N_STORY_SENTENCES),
        draw_examples([row.question for row in [*qamr(data), *fairytale_qa(data).train]], N_QUESTIONS),
        [row.text.partition(". ")[0] for row in agnews(data).train],
        draw_examples([row.text for row in sst2(data).train if len(row.text.split()) > 2], N_REVIEWS),
    ]
    distinct = {_plain(text): text for kind in kinds for text in _short(kind)}
    return [text for plain, text in distinct.items() if plain and plain not in held_out]


def scored_pairs(data: DataFolder) -> list[ScoredPair]:
    """Return the pairs of the training split of STS-B without a sentence of its development or test split."""
    scored = stsb(data)
    held_out = _held_out(scored)
    return [row for row in scored.train if not held_out & {_plain(row.first), _plain(row.second)}]


def _held_out(scored: StsB) -> set[str]:
    """Return the sentences of the development and the test split, as `_plain` gives them."""
    return {_plain(text) for text in _sides([*scored.dev, *scored.test])}


def _story_sentences(data: DataFolder) -> list[str]:
    """Return the sentences of children's stories and of TinyStories."""
    lines = [line for text in tiny_stories(data) for line in text.splitlines()]
    return [*sentences(childrens_stories(data).train), *(part for line in lines for part in line.split(". "))]


def _sides(pairs: Iterable[ScoredPair]) -> list[str]:
    return [text for row in pairs for text in (row.first, row.second)]


def _short(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if len(text) <= MAX_CHARACTERS]


def _plain(text: str) -> str:
    """Return the text in lower case with single spaces, to find texts that differ in these only."""
    return " ".join(text.lower().split())

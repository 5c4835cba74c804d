"""Questions that nobody asked, made of sentences: what names, numbers and things stand among which words.

Few people's questions are at hand, and on few sentences. These teach to find the place of a text that a question is on.
"""

import random
import re
from collections.abc import Sequence

from training.data.questions import Question
from training.texts.english import body_lines, plain_sentences

MAX_SENTENCES, MAX_WORDS, MAX_ANSWER_WORDS = 6, 12, 6
MIN_SHARE, MAX_SHARE = 0.3, 0.9
"""Of a sentence's other words, how many a question keeps."""
MAX_DISPLACEMENT = 3
"""How many places words move at most, roughly."""
STEM_SHARE, VERB_SHARE = 0.3, 0.4
_ENDINGS = re.compile(r"(?<=\w{3})(?:ed|d|s|ing)$")
VERBS = ("did", "does", "do", "is", "was", "were", "are", "has")
QUESTION_WORDS = {
    "year": ("when", "in what year", "in which year", "what year"),
    "number": ("how many", "how much", "how many", "what number of"),
    "place": ("where", "in what city", "which country", "where"),
    "name": ("who", "what", "which", "what is the name of"),
    "thing": ("what", "which", "what kind of", "what type of", "what"),
}
_WORD = re.compile(r"\w+")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z]\w+(?:(?: of| the| and)*[ -][A-Z]\w+)*")
_NUMBER = re.compile(r"(?<= )\d[\d,.]*\d|(?<= )\d")
_THING = re.compile(r"(?:(?<= a )|(?<= an )|(?<= the ))(?:[a-z]+ )?[a-z]{4,}")
_YEAR = re.compile(r"[12]\d{3}")
_PLACE_BEFORE = re.compile(r"\b(?:in|at|near|from|to) $")


def clozes(texts: Sequence[str], n: int) -> list[Question]:
    """`n` of them at most, by the seed 0: a question word, and some of the words of a sentence without its answer.

    Each is of some of the words: half of the time those behind the answer first, as one would ask; some of them lose
    their endings, and all move a little. The context is that sentence among its neighbours.

    Source: after Lewis, Denoyer, Riedel, ACL 2019, section 2: noisy clozes.
    """
    draw = random.Random(0)  # noqa: S311 no secret
    paragraphs = body_lines(texts)
    draw.shuffle(paragraphs)
    found: list[Question] = []
    for paragraph in paragraphs:
        if len(found) == n:
            break
        its = plain_sentences(paragraph)
        if its and (one := _cloze(its, draw)) is not None:
            found.append(one)
    return found


def _cloze(its: Sequence[str], draw: random.Random) -> Question | None:
    first = draw.randrange(max(1, len(its) - MAX_SENTENCES + 1))
    shown = its[first : first + MAX_SENTENCES]
    place = draw.randrange(len(shown))
    sentence, start = shown[place], sum(len(one) + 1 for one in shown[:place])
    spans = [match.span() for kind in (_NAME, _NUMBER, _THING) for match in kind.finditer(sentence)]
    spans = [(at, end) for at, end in spans if len(sentence[at:end].split()) <= MAX_ANSWER_WORDS]
    if not spans:
        return None
    at, end = draw.choice(spans)
    before, behind = _WORD.findall(sentence[:at]), _WORD.findall(sentence[end:])
    words = [*behind, *before] if draw.random() < 0.5 else [*before, *behind]
    share = draw.uniform(MIN_SHARE, MAX_SHARE)
    kept = [_noisy(word, draw) for word in words if draw.random() < share]
    begin = draw.randint(0, max(0, len(kept) - MAX_WORDS))
    verb = [draw.choice(VERBS)] if draw.random() < VERB_SHARE else []
    asked = draw.choice(QUESTION_WORDS[_kind(sentence, at, end)])
    question = " ".join([asked, *verb, *_shuffled(kept[begin : begin + MAX_WORDS], draw)]) + "?"
    return Question(question, " ".join(shown), (sentence[at:end],), start + at)


def _kind(sentence: str, at: int, end: int) -> str:
    """What is asked for."""
    answer = sentence[at:end]
    if answer[0].isdigit():
        return "year" if _YEAR.fullmatch(answer) else "number"
    if answer[0].isupper():
        return "place" if _PLACE_BEFORE.search(sentence[:at]) else "name"
    return "thing"


def _noisy(word: str, draw: random.Random) -> str:
    return _ENDINGS.sub("", word) if draw.random() < STEM_SHARE else word


def _shuffled(words: Sequence[str], draw: random.Random) -> list[str]:
    """Each moves by less than `REACH` places."""
    places = [number + draw.uniform(0, MAX_DISPLACEMENT) for number in range(len(words))]
    return [word for _, word in sorted(zip(places, words, strict=True))]

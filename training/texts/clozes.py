"""Questions that nobody asked, made of sentences: what names, numbers and things stand among which words.

Few people's questions are at hand, and on few sentences. These teach to find the place of a text that a question is on.
"""

import random
import re
from collections.abc import Sequence

from training.data.questions import Question
from training.texts.english import lines, sentences_of

MAX_SENTENCES, MAX_WORDS, MAX_ANSWER_WORDS = 5, 12, 6
KEPT_SHARE = 0.6
_WORD = re.compile(r"\w+")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z]\w+(?:(?: of| the| and)*[ -][A-Z]\w+)*")
_NUMBER = re.compile(r"(?<= )\d[\d,.]*\d|(?<= )\d")
_THING = re.compile(r"(?:(?<= a )|(?<= an )|(?<= the ))(?:[a-z]+ )?[a-z]{4,}")
_YEAR = re.compile(r"[12]\d{3}")
_PLACE_BEFORE = re.compile(r"\b(?:in|at|near|from|to) $")


def clozes(texts: Sequence[str], n: int) -> list[Question]:
    """`n` of them at most, by the seed 0: a question word, and some of the words of a sentence without its answer.

    The context is that sentence among its neighbours.

    Source: after Lewis, Denoyer, Riedel, ACL 2019, section 2; the words are kept in their order, some left out.
    """
    draw = random.Random(0)  # noqa: S311 no secret
    paragraphs = lines(texts)
    draw.shuffle(paragraphs)
    found: list[Question] = []
    for paragraph in paragraphs:
        if len(found) == n:
            break
        its = sentences_of(paragraph)
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
    others = _WORD.findall(f"{sentence[:at]} {sentence[end:]}")
    kept = [word for word in others if draw.random() < KEPT_SHARE]
    surplus = max(0, len(kept) - MAX_WORDS)
    begin = draw.randint(0, surplus)
    question = " ".join([_asked(sentence, at, end, draw), *kept[begin : begin + MAX_WORDS]]) + "?"
    return Question(question, " ".join(shown), (sentence[at:end],), start + at)


def _asked(sentence: str, at: int, end: int, draw: random.Random) -> str:
    """The question word."""
    answer = sentence[at:end]
    if answer[0].isdigit():
        return "when" if _YEAR.fullmatch(answer) else "how many"
    if answer[0].isupper():
        return "where" if _PLACE_BEFORE.search(sentence[:at]) else draw.choice(("who", "what", "which"))
    return "what"

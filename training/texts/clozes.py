"""Cloze questions: questions made from sentences without an annotator, to train answering models.

Few questions by people are available, and on few texts. Clozes teach a model to find the part of a context that a
question is about.
"""

import random
import re
from collections.abc import Sequence

from training.data.questions import Question
from training.texts.english import body_lines, plain_sentences

MAX_SENTENCES, MAX_WORDS, MAX_ANSWER_WORDS = 6, 12, 6
"""Limits on the sentences of a context, the words of a question and the words of an answer."""
MIN_SHARE, MAX_SHARE = 0.3, 0.9
"""Limits on the share of a sentence's remaining words that a question keeps."""
MAX_DISPLACEMENT = 3
"""Number of positions that a word may move when the words of a question are shuffled."""
STEM_SHARE, VERB_SHARE = 0.3, 0.4
"""Shares of words that lose their ending, and of questions that get a verb after the question word."""
_ENDINGS = re.compile(r"(?<=\w{3})(?:ed|d|s|ing)$")
VERBS = ("did", "does", "do", "is", "was", "were", "are", "has")
QUESTION_WORDS = {
    "year": ("when", "in what year", "in which year", "what year"),
    "number": ("how many", "how much", "how many", "what number of"),
    "place": ("where", "in what city", "which country", "where"),
    "name": ("who", "what", "which", "what is the name of"),
    "thing": ("what", "which", "what kind of", "what type of", "what"),
}
"""Beginnings of questions by the kind of the answer."""
_WORD = re.compile(r"\w+")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z]\w+(?:(?: of| the| and)*[ -][A-Z]\w+)*")
_NUMBER = re.compile(r"(?<= )\d[\d,.]*\d|(?<= )\d")
_THING = re.compile(r"(?:(?<= a )|(?<= an )|(?<= the ))(?:[a-z]+ )?[a-z]{4,}")
_YEAR = re.compile(r"[12]\d{3}")
_PLACE_BEFORE = re.compile(r"\b(?:in|at|near|from|to) $")


def clozes(texts: Sequence[str], n: int) -> list[Question]:
    """Make at most `n` questions from the sentences of the texts, always the same ones for the same texts.

    The answer is a name, a number or a noun phrase of a sentence. The question is a question word followed by some of
    the other words of the sentence: for half of the questions those after the answer come first, some words lose their
    endings, and all may move a little. The context is the sentence with its neighbours.

    Source: after Lewis, Denoyer, Riedel, ACL 2019, section 2: noisy clozes.
    """
    rng = random.Random(0)  # noqa: S311 no secret
    paragraphs = body_lines(texts)
    rng.shuffle(paragraphs)
    questions: list[Question] = []
    for paragraph in paragraphs:
        if len(questions) == n:
            break
        sentences = plain_sentences(paragraph)
        if sentences and (question := _make_cloze(sentences, rng)) is not None:
            questions.append(question)
    return questions


def _make_cloze(sentences: Sequence[str], rng: random.Random) -> Question | None:
    first = rng.randrange(max(1, len(sentences) - MAX_SENTENCES + 1))
    context = sentences[first : first + MAX_SENTENCES]
    index = rng.randrange(len(context))
    sentence, sentence_start = context[index], sum(len(previous) + 1 for previous in context[:index])
    spans = [match.span() for kind in (_NAME, _NUMBER, _THING) for match in kind.finditer(sentence)]
    spans = [(start, end) for start, end in spans if len(sentence[start:end].split()) <= MAX_ANSWER_WORDS]
    if not spans:
        return None
    start, end = rng.choice(spans)
    before, after = _WORD.findall(sentence[:start]), _WORD.findall(sentence[end:])
    words = [*after, *before] if rng.random() < 0.5 else [*before, *after]
    share = rng.uniform(MIN_SHARE, MAX_SHARE)
    kept = [_drop_some_endings(word, rng) for word in words if rng.random() < share]
    first_kept = rng.randint(0, max(0, len(kept) - MAX_WORDS))
    verb = [rng.choice(VERBS)] if rng.random() < VERB_SHARE else []
    question_words = rng.choice(QUESTION_WORDS[_answer_kind(sentence, start, end)])
    kept = _shuffle_locally(kept[first_kept : first_kept + MAX_WORDS], rng)
    question = " ".join([question_words, *verb, *kept]) + "?"
    return Question(question, " ".join(context), (sentence[start:end],), sentence_start + start)


def _answer_kind(sentence: str, start: int, end: int) -> str:
    """Return the kind of the answer, a key of `QUESTION_WORDS`."""
    answer = sentence[start:end]
    if answer[0].isdigit():
        return "year" if _YEAR.fullmatch(answer) else "number"
    if answer[0].isupper():
        return "place" if _PLACE_BEFORE.search(sentence[:start]) else "name"
    return "thing"


def _drop_some_endings(word: str, rng: random.Random) -> str:
    return _ENDINGS.sub("", word) if rng.random() < STEM_SHARE else word


def _shuffle_locally(words: Sequence[str], rng: random.Random) -> list[str]:
    """Move each word by less than `MAX_DISPLACEMENT` positions."""
    positions = [index + rng.uniform(0, MAX_DISPLACEMENT) for index in range(len(words))]
    return [word for _, word in sorted(zip(positions, words, strict=True))]

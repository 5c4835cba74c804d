"""Questions about short texts, most of them answered by a span of the text.

XQuAD: Artetxe, Ruder, Yogatama, ACL 2020; from SQuAD 1.1 (Rajpurkar et al., EMNLP 2016); CC BY-SA 4.0. QAMR: Michael et
al., NAACL 2018; MIT, with sentences of Wikipedia (CC BY-SA) and Wikinews (CC BY). FairytaleQA: Xu et al., ACL 2022;
Apache-2.0.
"""

import json
from dataclasses import dataclass
from typing import Any

from training.data.files import DataFile, DataFolder
from training.data.text_files import TextFile, read_texts
from training.errors import DataError

_XQUAD = DataFile(
    name="xquad.en.json.gz",
    url="https://github.com/google-deepmind/xquad",
    sha256="36c41f5f7aace8ee0468fefd41bb46886642e7f8ad880dd48c132fdd75674648",
    is_downloadable=False,
)
_QAMR_SOURCE = "https://github.com/uwnlp/qamr"
_QAMR_SENTENCES = DataFile(
    name="wiki-sentences.tsv.gz",
    url=_QAMR_SOURCE,
    sha256="7c61f7dabe5d6818515581ca9db12ba0ed25363de52049870036bdff8b8af89e",
    is_downloadable=False,
)
_QAMR_DEV = DataFile(
    name="filtered-dev.tsv.gz",
    url=_QAMR_SOURCE,
    sha256="5eea920c4fa08f18844be0d4da9aa092a1bccf0737ac7e4aecff0e6fc1eb81e1",
    is_downloadable=False,
)
_QAMR_TEST = DataFile(
    name="filtered-test.tsv.gz",
    url=_QAMR_SOURCE,
    sha256="59d823331e98d50dd99173076e1f71d3bde9251138d02da3872a3e406fc05e01",
    is_downloadable=False,
)
_FAIRYTALE_QA = DataFile(
    name="fairytaleqa.jsonl.gz",
    url="https://github.com/uci-soe/FairytaleQAData",
    sha256="a2f2e903b11abb93dcb5367b4d834f539185631a2976458613404dc74f919d24",
    is_downloadable=False,
)
# How the Penn Treebank writes brackets and quotation marks.
_PENN_TREEBANK_MARKS = {
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
    "-LCB-": "{",
    "-RCB-": "}",
    "``": '"',
    "''": '"',
}
_N_QAMR_COLUMNS = 9


@dataclass(frozen=True)
class Question:
    """A question, the text it is about, and its right answers.

    `start` is the index of the character in `context` at which `answers[0]` begins, or `None` if it is not a span of
    it.
    """

    question: str
    context: str
    answers: tuple[str, ...]
    start: int | None


@dataclass(frozen=True)
class FairytaleQa:
    """Questions about fairy tales: 8,548 in `train`, 1,025 in `valid` and 1,007 in `test`; splits share no tale."""

    train: list[Question]
    valid: list[Question]
    test: list[Question]


def xquad(folder: DataFolder) -> list[Question]:
    """Read 1,190 English questions about 240 paragraphs of Wikipedia; each has one answer, a span.

    Raises:
        DataError: the file is missing or damaged.
    """
    (file,) = read_texts(folder, "qa-xquad-en", [_XQUAD])
    try:
        paragraphs = [part for article in json.loads(file.text)["data"] for part in article["paragraphs"]]
        rows = [(part["context"], row) for part in paragraphs for row in part["qas"]]
    except json.JSONDecodeError as error:
        raise file.error(error.lineno, f"not JSON: {error.msg}") from error
    except (KeyError, TypeError) as error:
        raise DataError(f"{file.name} is not in the format of SQuAD 1.1: {error!r}") from error
    return [_squad_question(file, number, *row) for number, row in enumerate(rows, start=1)]


def _squad_question(file: TextFile, number: int, context: Any, row: Any) -> Question:
    match (context, row):
        case str(context), {"question": str(question), "answers": [{"text": str(answer), "answer_start": int(start)}]}:
            if start >= 0 and context.startswith(answer, start):
                return Question(question, context, (answer,), start)
            raise DataError(f"{file.name}, question {number}: no {answer!r} at character {start} of the context")
    raise DataError(f"{file.name}, question {number}: expected a question and its one answer in the context")


def qamr(folder: DataFolder) -> list[Question]:
    """Read 36,748 questions about the words of 978 sentences, from the filtered dev and test files in order.

    These are the 97.5% whose answer is an unbroken run of words, which becomes their only answer; the other 930 are
    left out. The context is the sentence with spaces between words and punctuation, and with ordinary brackets and
    quotation marks.

    Raises:
        DataError: a file is missing or damaged.
    """
    sentences, *parts = read_texts(folder, "qa-qamr", [_QAMR_SENTENCES, _QAMR_DEV, _QAMR_TEST])
    words = {name: sentence.split(" ") for _, (name, sentence) in sentences.tab_separated(2)}
    rows = ((part, number, row) for part in parts for number, row in part.tab_separated(_N_QAMR_COLUMNS))
    questions = (_qamr_question(file, number, row, words) for file, number, row in rows)
    return [question for question in questions if question]


def _qamr_question(file: TextFile, number: int, row: list[str], sentences: dict[str, list[str]]) -> Question | None:
    name, question, answer = row[0], row[5].strip(), row[6]
    if name not in sentences:
        raise file.error(number, f"no sentence {name!r}")
    words = [_PENN_TREEBANK_MARKS.get(word, word) for word in sentences[name]]
    indices = _word_indices(file, number, answer, len(words))
    first, end = indices[0], indices[-1] + 1
    if indices != list(range(first, end)):
        return None
    start = sum(len(word) + 1 for word in words[:first])
    return Question(question, " ".join(words), (" ".join(words[first:end]),), start)


def _word_indices(file: TextFile, number: int, answer: str, n_words: int) -> list[int]:
    indices = [int(index) if index.isdecimal() else n_words for index in answer.split(" ")]
    if max(indices) >= n_words:
        raise file.error(number, f"the answer {answer!r} is not a list of indices of {n_words} words")
    return indices


def fairytale_qa(folder: DataFolder) -> FairytaleQa:
    """Read all three splits; each question has one or two answers.

    In 4,153 questions the first answer is a span of the context, apart from capitals and a final full stop; it is
    returned as spelt in the context. The other questions have no `start`.

    Raises:
        DataError: the file is missing or damaged.
    """
    (file,) = read_texts(folder, "qa-fairytaleqa", [_FAIRYTALE_QA])
    splits: dict[str, list[Question]] = {"train": [], "val": [], "test": []}
    for number, row in file.json_objects():
        if row.get("split") not in splits:
            raise file.error(number, f"the split {row.get('split')!r} is none of {', '.join(splits)}")
        splits[row["split"]].append(_fairytale_question(file, number, row))
    return FairytaleQa(*splits.values())


def _fairytale_question(file: TextFile, number: int, row: dict[str, Any]) -> Question:
    match row:
        case {
            "question": str(question),
            "context": str(context),
            "answers": [str(first), *others],
            "answer_start": int(start),
        } if all(isinstance(other, str) for other in others):
            if start < 0:
                return Question(question, context, (first, *others), None)
            return Question(question, context, (_literal_span(file, number, context, first, start), *others), start)
    raise file.error(number, "expected a question, its context and its answers")


def _literal_span(file: TextFile, number: int, context: str, answer: str, start: int) -> str:
    for spelling in (answer, answer.removesuffix(".")):
        span = context[start : start + len(spelling)]
        if span and span.lower() == spelling.lower():
            return span
    raise file.error(number, f"no {answer!r} at character {start} of the context")

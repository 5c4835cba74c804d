"""Scores of a model's answers about texts, and baselines for them."""

import lzma
import re
import string
from collections import Counter
from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU
from scipy.stats import spearmanr
from torch import Tensor

_OUTSIDE = "O"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def entity_f1(truth: Sequence[Sequence[str]], guess: Sequence[Sequence[str]]) -> float:
    """Return the micro F1 of entities, whose kind and both ends must be right, from rows of BIO tags.

    An `I-` tag after `O` or after another kind begins an entity, as in conlleval and in seqeval's default mode. The
    score is 0 if neither side has an entity.

    Raises:
        ValueError: the rows differ in length, or a tag is not O, B-kind or I-kind.

    Source: Tjong Kim Sang and De Meulder 2003.
    """
    if [len(row) for row in truth] != [len(row) for row in guess]:
        raise ValueError("the true and the guessed tags differ in number")
    true, guessed = _entities(truth), _entities(guess)
    return 2 * len(true & guessed) / max(1, len(true) + len(guessed))


def _entities(rows: Sequence[Sequence[str]]) -> set[tuple[int, int, int, str]]:
    """Return each entity as its row, first position, position after the last, and kind."""
    found: set[tuple[int, int, int, str]] = set()
    for number, row in enumerate(rows):
        start, kind = 0, ""
        for position, tag in enumerate([*row, _OUTSIDE]):
            prefix, _, tag_kind = tag.partition("-")
            if tag != _OUTSIDE and (prefix not in ("B", "I") or not tag_kind):
                raise ValueError(f"tag {tag!r} is not O, B-kind or I-kind")
            if prefix == "B" or tag_kind != kind:
                if kind:
                    found.add((number, start, position, kind))
                start, kind = position, tag_kind
    return found


def exact_match(guess: str, answers: Sequence[str]) -> float:
    """Return 1 if the guess equals one of the answers after normalisation, else 0.

    Source: Rajpurkar et al. 2016, section 6.1; normalised as SQuAD 1.1's evaluation does.
    """
    return float(any(_normalised_words(guess) == _normalised_words(answer) for answer in answers))


def token_f1(guess: str, answers: Sequence[str]) -> float:
    """Return the F1 of the guess's normalised words, as a bag, against the best matching answer.

    Source: Rajpurkar et al. 2016, section 6.1; normalised as SQuAD 1.1's evaluation does.
    """
    return max(_bag_f1(_normalised_words(guess), _normalised_words(answer)) for answer in answers)


def _bag_f1(guess: Sequence[str], answer: Sequence[str]) -> float:
    shared = (Counter(guess) & Counter(answer)).total()
    return 2 * shared / (len(guess) + len(answer)) if shared else 0.0


def _normalised_words(text: str) -> list[str]:
    """Return the words in lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def best_overlap_sentence(question: str, context: str) -> str:
    """Return the first sentence of the context that shares the most distinct normalised words with the question.

    This is a baseline after the sliding window of Rajpurkar et al. 2016, with the overlap of words alone.
    """
    question_words = set(_normalised_words(question))
    return max(
        SENTENCE_END.split(context.strip()),
        key=lambda sentence: len(question_words.intersection(_normalised_words(sentence))),
    )


def spearman(first: Tensor, second: Tensor) -> float:
    """Return Spearman's rank correlation of two tensors `[N]`; equal values share their mean rank.

    Source: Spearman 1904.
    """
    return float(spearmanr(first.double().numpy(force=True), second.double().numpy(force=True)).statistic)


def bleu(guesses: Sequence[str], references: Sequence[str], *, lowercase: bool) -> float:
    """Return corpus BLEU in 0..100 with one reference for each guess, 13a tokens and exponential smoothing.

    Raises:
        ValueError: the numbers of guesses and references differ.

    Source: Papineni et al. 2002, section 2.3; Post 2018.
    """
    if len(guesses) != len(references):
        raise ValueError(f"{len(guesses)} guesses for {len(references)} references")
    return float(BLEU(lowercase=lowercase, tokenize="13a").corpus_score(guesses, [references]).score)


def compressed_bits_per_byte(data: bytes) -> float:
    """Return the bits of the file that `xz -9` makes of the data, headers included, per byte of data."""
    return 8 * len(lzma.compress(data, preset=9)) / len(data)

"""STS benchmark: pairs of sentences with scores of their similarity. Cer et al., SemEval 2017; English.

The files are those of stsb-multi-mt (P. May, 2021). The scores are CC BY-SA 4.0; the sentences keep the licences of
their sources.
"""

from dataclasses import dataclass

from training.data.files import DataFile, DataFolder
from training.data.text_files import TextFile, read_texts

MAX_SCORE = 5.0
"""Score of two sentences with the same meaning."""
_SOURCE = "https://github.com/PhilipMay/stsb-multi-mt"
_TRAIN = DataFile(
    name="train.csv.gz",
    url=_SOURCE,
    sha256="c26ace3bddafb79cc26365960bfbfaebd98426c70d2307d1d282587b8cf941fe",
    is_downloadable=False,
)
_DEV = DataFile(
    name="dev.csv.gz",
    url=_SOURCE,
    sha256="2844cac00615fea567b1647104aeb3b83c6e535a5735fcc4d53857074c80cb27",
    is_downloadable=False,
)
_TEST = DataFile(
    name="test.csv.gz",
    url=_SOURCE,
    sha256="366ad5bb18624b167b1827a6519a8c15a40215bcbc1de512461b832baa07f9d8",
    is_downloadable=False,
)


@dataclass(frozen=True)
class ScoredPair:
    """Two sentences and the mean human score of their similarity, from 0 (unrelated) to 5 (the same meaning)."""

    first: str
    second: str
    score: float


@dataclass(frozen=True)
class StsB:
    """The sentence pairs: 5,749 in `train`, 1,500 in `dev` and 1,379 in `test`."""

    train: list[ScoredPair]
    dev: list[ScoredPair]
    test: list[ScoredPair]


def stsb(folder: DataFolder) -> StsB:
    """Read all three splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    return StsB(*(_pairs(file) for file in read_texts(folder, "stsb-en", [_TRAIN, _DEV, _TEST])))


def _pairs(file: TextFile) -> list[ScoredPair]:
    rows = file.comma_separated(3)
    return [ScoredPair(first, second, _score(file, number, score)) for number, (first, second, score) in rows]


def _score(file: TextFile, number: int, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        raise file.error(number, f"the score {text!r} is not a number") from None
    if not 0 <= score <= MAX_SCORE:
        raise file.error(number, f"the score {text} is not between 0 and {MAX_SCORE:g}")
    return score

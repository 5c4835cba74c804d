"""AG News: beginnings of news articles, in four classes. Zhang, Zhao, LeCun, NIPS 2015; A. Gulli, AG's corpus.

The licence allows research in data mining and other non-commercial activity.
"""

import html
import re
from dataclasses import dataclass

from training.data.files import DataFile, DataFolder
from training.data.labelled_text import LabelledText
from training.data.text_files import TextFile, read_texts

LABELS = ("World", "Sports", "Business", "Sci/Tech")
_SOURCE = "http://groups.di.unipi.it/~gulli/AG_corpus_of_news_articles.html"
_TRAIN = DataFile(
    name="train_subset.csv.gz",
    url=_SOURCE,
    sha256="08c19a12c7fb456e06d4d375523ca7c50c2d573ea1aa61d532f46d9c5c61eb13",
    is_downloadable=False,
)
_TEST = DataFile(
    name="test.csv.gz",
    url=_SOURCE,
    sha256="3c277beb6ce3dd635407635cb90a7c5ceaf87168fabb3be218e39aa2b097f706",
    is_downloadable=False,
)


# In most of the HTML entities of these files, a space has replaced the ampersand.
_ENTITY = re.compile(r"[ &](#\d+|quot|amp|lt|gt|nbsp|hellip);")
_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class AgNews:
    """The texts of AG News: 14,536 of the 120,000 training texts, and all 7,600 test texts, 1,900 of each class."""

    train: list[LabelledText]
    test: list[LabelledText]


def agnews(folder: DataFolder) -> AgNews:
    """Read both splits.

    Test texts are a title and a description; two thirds of the training texts are a description alone.

    Raises:
        DataError: a file is missing or damaged.
    """
    train, test = read_texts(folder, "agnews", [_TRAIN, _TEST])
    return AgNews(_training_rows(train), _test_rows(test))


def _training_rows(file: TextFile) -> list[LabelledText]:
    rows = file.below_header(file.comma_separated(3), ("label", "fields", "text"))
    return [_labelled(file, number, label, text) for number, (label, _, text) in rows]


def _test_rows(file: TextFile) -> list[LabelledText]:
    return [
        _labelled(file, number, label, f"{title} {description}")
        for number, (label, title, description) in file.comma_separated(3)
    ]


def _labelled(file: TextFile, number: int, label: str, text: str) -> LabelledText:
    if label not in ("1", "2", "3", "4"):
        raise file.error(number, f"the label {label!r} is none of 1, 2, 3 and 4")
    return LabelledText(strip_markup(text), int(label) - 1)


def strip_markup(text: str) -> str:
    """Remove HTML tags, HTML entities and the file's backslash escapes, such as in `Haiti #39;s` for `Haiti's`.

    Three in ten texts contain some.
    """
    # The readme of the CSV files says that line breaks are escaped with a backslash.
    unescaped = html.unescape(_ENTITY.sub(r"&\1;", text.replace("\\", " ")))
    return " ".join(_TAG.sub(" ", unescaped).split())

"""Articles of the English Wikipedia begun in 2018, as of about the end of 2020. Wikipedia contributors.

CC BY-SA 3.0 and GFDL; the page history of each title names its authors. The articles were extracted from the dumps with
WikiExtractor; lists, and stubs of less than 200 characters, were left out. Every 50th article is held out.
"""

from dataclasses import dataclass

from training.data.files import DataFile, DataFolder
from training.data.text_files import TextFile, read_texts

_SOURCE = "https://dumps.wikimedia.org/enwiki/"
_TRAIN = DataFile(
    name="train.txt.gz",
    url=_SOURCE,
    sha256="43316a487a06cedf494decdfa4ee57da611802979f29f53946e717b0fbc3b3b6",
    is_downloadable=False,
)
_VALID = DataFile(
    name="valid.txt.gz",
    url=_SOURCE,
    sha256="8479b85515e4e96e736ebba40ab2df3838ee2a4dbc45e8058410c435d0f4d015",
    is_downloadable=False,
)


@dataclass(frozen=True)
class Articles:
    """26,511 articles in `train` and 541 in `valid`: a title line, then a line per paragraph or heading."""

    train: list[str]
    valid: list[str]


def wikipedia(folder: DataFolder) -> Articles:
    """Read both splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    return Articles(*(_articles(file) for file in read_texts(folder, "wikipedia-en-sample", [_TRAIN, _VALID])))


def _articles(file: TextFile) -> list[str]:
    articles = file.text.removesuffix("\n").split("\n\n")
    line = 1
    for article in articles:
        title, _, text = article.partition("\n")
        if not (title and text):
            raise file.error(line, "expected an article with a title and at least one line of text")
        line += article.count("\n") + 2
    return articles

"""WikiText-2, validation and test splits: good articles of Wikipedia. Merity et al., arXiv:1609.07843, 2016.

CC BY-SA 3.0. The official download is one zip file, which has to be unpacked by hand.
"""

from dataclasses import dataclass

from training.data.files import DataFile, DataFolder
from training.data.text_files import read_texts

_SOURCE = "https://www.salesforce.com/products/einstein/ai-research/the-wikitext-dependency-language-modeling-dataset/"
_VALID = DataFile(
    name="valid.txt.gz",
    url=_SOURCE,
    sha256="3ac34ae2b6509075d52302c50a04a8a1970739ffe1a904f2cd374fefbea3cbf2",
    is_downloadable=False,
)
_TEST = DataFile(
    name="test.txt.gz",
    url=_SOURCE,
    sha256="a2b26b5d2619cc1f6cd34c8e116a451aed09af51479346aadfbf508ceb8b192e",
    is_downloadable=False,
)


@dataclass(frozen=True)
class WikiText:
    """The unchanged texts of both splits, 3,760 lines in `valid` and 4,358 in `test`.

    Words are separated by spaces, rare ones are `<unk>`, and headings look like ` = Title = `.
    """

    valid: str
    test: str


def wikitext2(folder: DataFolder) -> WikiText:
    """Read both splits.

    Raises:
        DataError: a file is missing or damaged.
    """
    return WikiText(*(file.text for file in read_texts(folder, "wikitext-2", [_VALID, _TEST])))

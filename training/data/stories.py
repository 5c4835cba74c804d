"""Stories for children: picture books, fairy tales, and the beginning of TinyStories.

African Storybook (https://github.com/global-asp/asp-source) and Pratham Books StoryWeaver
(https://github.com/global-asp/pb-source): CC BY of each book's author, except for one book in the public domain. Fairy
tales: Project Gutenberg, public domain, chosen for FairytaleQA (https://github.com/uci-soe/FairytaleQAData; Xu et al.,
ACL 2022; Apache-2.0). TinyStories: Eldan, Li, arXiv:2305.07759, 2023; CDLA-Sharing-1.0.
"""

import re
from dataclasses import dataclass
from typing import Any

from training.data.files import DataFile, DataFolder
from training.data.text_files import TextFile, read_texts

_STORIES = DataFile(
    name="stories.jsonl.gz",
    url="https://github.com/global-asp/asp-source",
    sha256="a6f090847eff0b2dd44fc6dbe6cbe6fb8f36aada311c264d990721fa7cd88e3f",
    is_downloadable=False,
)
_TINY_STORIES = DataFile(
    name="tinystories-first-4MB-lowercased.txt.gz",
    url="https://huggingface.co/datasets/roneneldan/TinyStories",
    sha256="b339f17049d7aa6c4c42e04ce0c4cef20ce0ab98aa5525772bd6b01682fc1125",
    is_downloadable=False,
)
_HELD_OUT_PERCENT = 5
# These stories are left out because their questions are used to evaluate question answering models.
_LEFT_OUT = re.compile(r"FairytaleQA/.*/(val|test)")
_STORY_END = re.compile(r"(?<!\n)\n(?!\n)")


@dataclass(frozen=True)
class Stories:
    """887 stories in `train` and 46 in `held_out`, the last 5% of the file.

    Each is a title line, followed by a line per page or section.
    """

    train: list[str]
    held_out: list[str]


def childrens_stories(folder: DataFolder) -> Stories:
    """Read picture books and fairy tales, without the fairy tales of FairytaleQA's validation and test splits.

    Raises:
        DataError: the file is missing or damaged.
    """
    (file,) = read_texts(folder, "childrens-stories", [_STORIES])
    rows = [_fields(file, number, row) for number, row in file.json_objects()]
    stories = [f"{title}\n{text}" for title, text, source in rows if not _LEFT_OUT.fullmatch(source)]
    n_train = len(stories) - len(stories) * _HELD_OUT_PERCENT // 100
    return Stories(stories[:n_train], stories[n_train:])


def _fields(file: TextFile, number: int, row: dict[str, Any]) -> tuple[str, str, str]:
    match row:
        case {"title": str(title), "text": str(text), "source": str(source)}:
            return title, text, source
    raise file.error(number, "expected a story with a title, a text and a source")


def tiny_stories(folder: DataFolder) -> list[str]:
    """Read 5,478 pieces of TinyStories in lower case, with an empty line between the paragraphs of a piece.

    A single line break separates two stories. Some stories have single line breaks between paragraphs as well, which
    cannot be told apart, so that about one piece in ten is a part of a story. White space at both ends of a line is
    removed.

    Raises:
        DataError: the file is missing or damaged.
    """
    (file,) = read_texts(folder, "tinystories-sample", [_TINY_STORIES])
    text = "\n".join(line.strip() for _, line in file.lines()).strip("\n")
    if not text:
        raise file.error(1, "no stories")
    return _STORY_END.split(text)

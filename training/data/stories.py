"""Stories for children: picture books and fairy tales, and the beginning of TinyStories.

African Storybook (https://github.com/global-asp/asp-source) and Pratham Books StoryWeaver
(https://github.com/global-asp/pb-source): CC BY of each book's author, one in the public domain. Fairy tales: Project
Gutenberg, public domain, chosen for FairytaleQA (https://github.com/uci-soe/FairytaleQAData; Xu et al., ACL 2022;
Apache-2.0). TinyStories: Eldan, Li, arXiv:2305.07759, 2023; CDLA-Sharing-1.0.
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
# The questions on these stories measure the models that answer questions.
_LEFT_OUT = re.compile(r"FairytaleQA/.*/(val|test)")
_STORY_END = re.compile(r"(?<!\n)\n(?!\n)")


@dataclass(frozen=True)
class Stories:
    """`train` 887 stories and `held_out` 46, the last 5% of the file: the title, then a page or section a line."""

    train: list[str]
    held_out: list[str]


def childrens_stories(folder: DataFolder) -> Stories:
    """Picture books and fairy tales; the fairy tales that FairytaleQA validates and tests on are left out.

    Raises:
        DataError: the file cannot be had or is damaged.
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
    raise file.error(number, "a story has a title, a text and a source")


def tiny_stories(folder: DataFolder) -> list[str]:
    """5,478 pieces in lower case, with an empty line between two paragraphs of one.

    A single line end divides two stories. Some stories have single line ends between their paragraphs, too, and nothing
    tells the two apart: about one piece in ten is a part of a story. Blanks at both ends of a line are dropped.

    Raises:
        DataError: the file cannot be had or is damaged.
    """
    (file,) = read_texts(folder, "tinystories-sample", [_TINY_STORIES])
    text = "\n".join(line.strip() for _, line in file.lines()).strip("\n")
    if not text:
        raise file.error(1, "no stories")
    return _STORY_END.split(text)

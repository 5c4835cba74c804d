"""SST-2: sentences and phrases of film reviews, as cut for GLUE. Socher et al., EMNLP 2013; Wang et al., ICLR 2019.

The source states no licence.
"""

from dataclasses import dataclass

from training.data.files import DataFile, DataFolder
from training.data.labelled_text import LabelledText
from training.data.text_files import TextFile, read_texts

LABELS = ("negative", "positive")
_SOURCE = "https://gluebenchmark.com/tasks"
_TRAIN = DataFile(
    name="train.tsv.gz",
    url=_SOURCE,
    sha256="1c4843303462f8f93e006ff618a9e61d207468cafd030046d7d7fd6b78af342b",
    is_downloadable=False,
)
_DEV = DataFile(
    name="dev.tsv.gz",
    url=_SOURCE,
    sha256="19553efc6f7bac0b7fdd37d4e29dc37c15e9e779767249a16f857fbfcedb23fa",
    is_downloadable=False,
)


@dataclass(frozen=True)
class Sst2:
    """67,349 phrases in `train` and 872 whole sentences in `dev`, in lower case, with spaces around punctuation."""

    train: list[LabelledText]
    dev: list[LabelledText]


def sst2(folder: DataFolder) -> Sst2:
    """Read both splits whose labels are public.

    Raises:
        DataError: a file is missing or damaged.
    """
    return Sst2(*(_sentences(file) for file in read_texts(folder, "sst2", [_TRAIN, _DEV])))


def _sentences(file: TextFile) -> list[LabelledText]:
    sentences = []
    for number, (sentence, label) in file.below_header(file.tab_separated(2), ("sentence", "label")):
        if label not in ("0", "1"):
            raise file.error(number, f"the label {label!r} is neither 0 nor 1")
        sentences.append(LabelledText(sentence.rstrip(), int(label)))
    return sentences

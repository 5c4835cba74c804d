"""Multi30K: captions of photographs, English and German. Elliott, Frank, Sima'an, Specia, VL 2016.

The captions derive from Flickr30K; they are for non-commercial research and educational purposes.
"""

from dataclasses import dataclass

from training.data.files import DataFile, DataFolder
from training.data.text_files import TextFile, read_texts
from training.errors import DataError

_SOURCE = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
_TRAIN_EN = DataFile(
    name="train.en.gz",
    url=_SOURCE + "train.en.gz",
    sha256="d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
)
_TRAIN_DE = DataFile(
    name="train.de.gz",
    url=_SOURCE + "train.de.gz",
    sha256="726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
)
_VALID_EN = DataFile(
    name="val.en.gz",
    url=_SOURCE + "val.en.gz",
    sha256="14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
)
_VALID_DE = DataFile(
    name="val.de.gz",
    url=_SOURCE + "val.de.gz",
    sha256="f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
)
_TEST_EN = DataFile(
    name="test_2016_flickr.en.gz",
    url=_SOURCE + "test_2016_flickr.en.gz",
    sha256="611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
)
_TEST_DE = DataFile(
    name="test_2016_flickr.de.gz",
    url=_SOURCE + "test_2016_flickr.de.gz",
    sha256="9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
)


@dataclass(frozen=True)
class TranslationPair:
    """A caption in English, `source`, and its translation into German, `target`."""

    source: str
    target: str


@dataclass(frozen=True)
class Multi30k:
    """The caption pairs: 29,000 in `train`, 1,014 in `valid`, and the 1,000 of test_2016_flickr in `test`."""

    train: list[TranslationPair]
    valid: list[TranslationPair]
    test: list[TranslationPair]


def multi30k(folder: DataFolder) -> Multi30k:
    """Read all three splits; white space at both ends of a caption is removed.

    Raises:
        DataError: a file is missing or damaged, or the lines of two languages do not pair.
    """
    files = [_TRAIN_EN, _TRAIN_DE, _VALID_EN, _VALID_DE, _TEST_EN, _TEST_DE]
    texts = read_texts(folder, "multi30k-en-de", files)
    return Multi30k(*(_pairs(source, target) for source, target in zip(texts[::2], texts[1::2], strict=True)))


def _pairs(source: TextFile, target: TextFile) -> list[TranslationPair]:
    sources, targets = _captions(source), _captions(target)
    if len(sources) != len(targets):
        raise DataError(f"{source.name} has {len(sources)} lines, {target.name} has {len(targets)}")
    return [TranslationPair(*captions) for captions in zip(sources, targets, strict=True)]


def _captions(file: TextFile) -> list[str]:
    captions = []
    for number, line in file.lines():
        if not (caption := line.strip()):
            raise file.error(number, "an empty line")
        captions.append(caption)
    return captions

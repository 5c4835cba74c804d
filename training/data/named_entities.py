"""Sentences with tagged names of persons, places and organisations. The licence of all three data sets is CC BY 4.0.

WikiGold: Balasuriya et al., People's Web 2009. WNUT-17: Derczynski et al., W-NUT 2017. Broad Twitter Corpus:
Derczynski, Bontcheva, Roberts, COLING 2016.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from training.data.files import DataFile, DataFolder
from training.data.text_files import TextFile, read_texts

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
"""Tags in the BIO scheme: `B` begins a name, `I` continues it, and `O` is outside of names."""

_WIKIGOLD = DataFile(
    name="wikigold.conll.txt.gz",
    url="https://figshare.com/articles/Learning_multilingual_named_entity_recognition_from_Wikipedia/5462500",
    sha256="9676eb08de3a586b9421ab52e06028f792dfb9ef633090fa2cec18d812d4bf8f",
    is_downloadable=False,
)
_WNUT17_SOURCE = "https://github.com/leondz/emerging_entities_17"
_WNUT17 = tuple(
    DataFile(name=name, url=_WNUT17_SOURCE, sha256=sha256, is_downloadable=False)
    for name, sha256 in (
        ("train.conll.gz", "73166ca232684f62c789af13efcbd7e2cc54937fd0e72a8ae53c3c7c2ac50c06"),
        ("dev.conll.gz", "290cb9e279496df9fe592e29e8af80acb5fc56991ae7087020c038a0ad946bac"),
        ("test.conll.gz", "c2a9d98dc76b035b78f287f6f8f479d20832622ab2fdc79d0b380131d4ff4351"),
    )
)
_BROAD_TWITTER_SOURCE = "https://github.com/GateNLP/broad_twitter_corpus"
_BROAD_TWITTER = tuple(
    DataFile(name=name, url=_BROAD_TWITTER_SOURCE, sha256=sha256, is_downloadable=False)
    for name, sha256 in (
        ("a.conll.gz", "e61e3b2e5ea752166e7d5871bf08217bac65e8c3f55afd2b18d0f0f74ffe748a"),
        ("b.conll.gz", "2883d2a538edba0e16c939eb0781e453d56c4ff57b8b815fc713351d51ac3374"),
        ("e.conll.gz", "8f7855300532885fb756672541d8927a68202f644103db6c94afca2169dd2ca2"),
        ("f.conll.gz", "8ddc512cb7d40488bd606cc115ba3489b2290bcac015d094150552dc1ab67b70"),
        ("g.conll.gz", "b6881bccc3f11e40527d836691de84205615551c53f20223782c2014ee8bafc5"),
        ("h.conll.gz", "989dbacc6164d281c00449806276bae13f85c10140d468999313cd4be1a90c4f"),
    )
)
_DOCUMENT_START = ("-DOCSTART-",)


@dataclass(frozen=True)
class TaggedSentence:
    """The words of a sentence, at least one and none with white space, and a tag of `TAGS` for each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _TagScheme:
    """How a file tags words.

    `kinds` maps the file's kinds of names to those of `TAGS`, or to `None` for kinds that are left out.
    `marks_beginnings` is true if the file tags the first word of a name with `B`.
    """

    separator: str
    kinds: Mapping[str, str | None]
    marks_beginnings: bool


_WIKIGOLD_SCHEME = _TagScheme(
    separator=" ", kinds={"PER": "PER", "LOC": "LOC", "ORG": "ORG", "MISC": None}, marks_beginnings=False
)
_WNUT17_SCHEME = _TagScheme(
    separator="\t",
    kinds={
        "person": "PER",
        "location": "LOC",
        "corporation": "ORG",
        "group": "ORG",
        "product": None,
        "creative-work": None,
    },
    marks_beginnings=True,
)
_BROAD_TWITTER_SCHEME = _TagScheme(
    separator="\t", kinds={"PER": "PER", "LOC": "LOC", "ORG": "ORG"}, marks_beginnings=True
)


@dataclass(frozen=True)
class Wnut17:
    """Posts on social media: 3,394 in `train`, 1,009 in `dev` and 1,287 in `test`; most names of the test are rare."""

    train: list[TaggedSentence]
    dev: list[TaggedSentence]
    test: list[TaggedSentence]


def wikigold(folder: DataFolder) -> list[TaggedSentence]:
    """Read 1,696 sentences of Wikipedia, with MISC tags replaced by O.

    The file has no `B` tags, so that two neighbouring names of one kind count as one name.

    Raises:
        DataError: the file is missing or damaged.
    """
    (file,) = read_texts(folder, "ner-wikigold", [_WIKIGOLD])
    return [row for row in _sentences(file, _WIKIGOLD_SCHEME) if row.words != _DOCUMENT_START]


def alternating_halves(rows: list[TaggedSentence]) -> tuple[list[TaggedSentence], list[TaggedSentence]]:
    """Return the rows with even indices, for training, and those with odd indices, for testing."""
    return rows[::2], rows[1::2]


def wnut17(folder: DataFolder) -> Wnut17:
    """Read all three splits; corporations and groups become ORG, products and creative works become O.

    Raises:
        DataError: a file is missing or damaged.
    """
    files = read_texts(folder, "ner-wnut17", _WNUT17)
    return Wnut17(*(_sentences(file, _WNUT17_SCHEME) for file in files))


def broad_twitter(folder: DataFolder) -> list[TaggedSentence]:
    """Read the 9,338 tweets of the sections a, b, e, f, g and h.

    White space within a word is removed, and so are words of white space alone.

    Raises:
        DataError: a file is missing or damaged.
    """
    files = read_texts(folder, "ner-btc", _BROAD_TWITTER)
    return [row for file in files for row in _sentences(file, _BROAD_TWITTER_SCHEME)]


def _sentences(file: TextFile, scheme: _TagScheme) -> list[TaggedSentence]:
    sentences = []
    for block in _blocks(file):
        words, tags, previous_kind = [], [], ""
        for number, line in block:
            word, tag = _word_and_tag(file, number, line, scheme)
            standard = _standard_tag(file, number, tag, previous_kind, scheme)
            if word:
                words.append(word)
                tags.append(standard)
                previous_kind = tag.partition("-")[2]
        if words:
            sentences.append(TaggedSentence(tuple(words), tuple(tags)))
    return sentences


def _blocks(file: TextFile) -> Iterator[list[tuple[int, str]]]:
    block: list[tuple[int, str]] = []
    for number, line in file.lines():
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _word_and_tag(file: TextFile, number: int, line: str, scheme: _TagScheme) -> tuple[str, str]:
    word, separator, tag = line.rpartition(scheme.separator)
    prefix, _, kind = tag.partition("-")
    if not separator or (tag != "O" and (prefix not in ("B", "I") or kind not in scheme.kinds)):
        raise file.error(number, f"expected a word and its tag, not {line!r}")
    return "".join(word.split()), tag


def _standard_tag(file: TextFile, number: int, tag: str, previous_kind: str, scheme: _TagScheme) -> str:
    """Convert a file's tag to one of `TAGS`; `previous_kind` is the file's kind of the word before, or empty."""
    prefix, _, kind = tag.partition("-")
    if scheme.marks_beginnings and prefix == "I" and kind != previous_kind:
        raise file.error(number, f"{tag} continues a name that has not begun")
    standard = scheme.kinds[kind] if kind else None
    if standard is None:
        return "O"
    return f"I-{standard}" if prefix == "I" and kind == previous_kind else f"B-{standard}"

"""Reading the labels of tokens: which kind of entity a label names, and where in an entity its tokens stand.

The scheme is derived from all labels of a checkpoint together. Known are IO, IOB1, IOB2, IOE1, IOE2, BIOES, BILOU,
BMEWO and BMES, with the letter before the kind (`B-PER`, `B_PER`, `b-per`), after it (`PER-B`, `PER_B`) or alone (`B`).

Source: Ramshaw, Marcus 1995; Tjong Kim Sang, Veenstra 1999; Ratinov, Roth 2009.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

OUTSIDE_NAMES = frozenset({"O", "OUT", "OUTSIDE", "NONE"})
"""Names, in capitals, of the label of tokens outside all entities. `O` is that label wherever it exists."""
SPECIAL_NAMES = re.compile(r"[\[<]/?(PAD|CLS|SEP|UNK|MASK|S|START|STOP|BOS|EOS)[\]>]|PAD", re.IGNORECASE)
"""Labels that some checkpoints have for special tokens; such a label on a token of the text names nothing."""
UNNAMED_KIND = "ENTITY"
"""Kind of all entities of a checkpoint whose labels are letters alone."""

_INSIDE, _ENDS, _SINGLES = frozenset("IM"), frozenset("EL"), frozenset("SUW")
_FORMS = (
    re.compile(r"(?P<letter>[BIMELSUW])-(?P<kind>.+)"),
    re.compile(r"(?P<letter>[BIMELSUW])_(?P<kind>.+)"),
    re.compile(r"(?P<letter>[bimelsuw])[-_](?P<kind>.+)"),
    re.compile(r"(?P<kind>.+)[-_](?P<letter>[BIMELSUW])"),
    re.compile(r"(?P<kind>.+)[-_](?P<letter>[bimelsuw])"),
    re.compile(r"(?P<letter>[BIMELSUW])(?P<kind>)"),
)
"""Patterns of labels. All labels of a checkpoint have the same form, apart from those outside entities."""


@dataclass(frozen=True, slots=True)
class Tag:
    """What a label says of a token.

    Attributes:
        label: the label.
        kind: the kind of the entity; None for a token outside all entities.
        begins: whether the token is the first one of an entity.
        ends: whether it is the last one.
    """

    label: str
    kind: str | None
    begins: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class LabelScheme:
    """The meaning of each label of a checkpoint.

    Attributes:
        tags: what each label says, in the order of the labels.
        marks_beginnings: whether the first token of an entity of several tokens has a label of its own.
    """

    tags: tuple[Tag, ...]
    marks_beginnings: bool

    def parts(self, previous: Tag, tag: Tag) -> bool:
        """Return whether a token of an entity begins another entity than the token before it.

        If beginnings are marked, several tokens in a row may be labelled as the last one of an entity, as the pieces of
        its last word are.
        """
        if previous.kind != tag.kind or tag.begins:
            return True
        continues_end = self.marks_beginnings and tag.ends and not previous.begins
        return previous.ends and not continues_end


@lru_cache(maxsize=64)
def read_label_scheme(labels: tuple[str, ...]) -> LabelScheme:
    """Return the scheme of a checkpoint's labels. A label that is of no scheme is a kind of its own."""
    outside = _outside_labels(labels)
    split = _split_labels([label for label in labels if label not in outside])
    tags = tuple(Tag(label, None) if label in outside else _tag(label, split.get(label)) for label in labels)
    return LabelScheme(tags, any(tag.begins and not tag.ends for tag in tags))


def _outside_labels(labels: Sequence[str]) -> set[str]:
    names = {"O"} if "O" in labels else {label for label in labels if label.upper() in OUTSIDE_NAMES}
    return names | {label for label in labels if SPECIAL_NAMES.fullmatch(label)}


def _tag(label: str, split: tuple[str, str] | None) -> Tag:
    if split is None:
        return Tag(label, label)
    letter, kind = split
    is_single = letter in _SINGLES
    return Tag(label, kind or UNNAMED_KIND, begins=is_single or letter == "B", ends=is_single or letter in _ENDS)


def _split_labels(labels: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Return the letter, as a capital, and the kind of each label that has them.

    All labels must be of one form and scheme. Beside labels without a letter, only `B-` and `I-` are recognised, and
    the other letters of kinds that have a `B-`, if these are of one scheme.
    """
    for form in _FORMS:
        split = dict(_matches(form, labels))
        if len(split) == len(labels) and _is_scheme(split):
            return split
    found = dict(_matches(_FORMS[0], labels))
    by_kind = _letters_by_kind(found)
    split = {label: pair for label, pair in found.items() if pair[0] in "BI" or "B" in by_kind[pair[1]]}
    if not _is_scheme(split):
        split = {label: pair for label, pair in found.items() if pair[0] in "BI"}
    return split if _has_pairs(split) or len(_letters_by_kind(split)) > 1 else {}


def _matches(form: re.Pattern[str], labels: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    for label in labels:
        if match := form.fullmatch(label):
            yield label, (match["letter"].upper(), match["kind"])


def _is_scheme(split: Mapping[str, tuple[str, str]]) -> bool:
    """Return whether the letters of these labels are those of one scheme, and not the beginnings of words.

    `E-mail`, for example, is only the end of a `mail` if the labels have another part of it.
    """
    by_kind = _letters_by_kind(split)
    letters = set().union(*by_kind.values())
    if any(len(letters & group) > 1 for group in (_INSIDE, _ENDS, _SINGLES)):
        return False
    if "B" in letters and any(kind_letters <= _ENDS for kind_letters in by_kind.values()):
        return False
    is_usual = all(label[:2] in ("B-", "I-", "I_") for label in split)
    return bool(split) and (is_usual or _has_pairs(split))


def _has_pairs(split: Mapping[str, tuple[str, str]]) -> bool:
    """Return whether a kind has labels with different letters, one of which is the first or an inner token's."""
    return any(len(letters) > 1 and letters & {"B", *_INSIDE} for letters in _letters_by_kind(split).values())


def _letters_by_kind(split: Mapping[str, tuple[str, str]]) -> Mapping[str, set[str]]:
    by_kind: defaultdict[str, set[str]] = defaultdict(set)
    for letter, kind in split.values():
        by_kind[kind].add(letter)
    return by_kind

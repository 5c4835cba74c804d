"""The meaning of labels is derived from all of them together."""

import pytest

from models.codecs.text.label_schemes import UNNAMED_KIND, read_label_scheme


def spans(labels: str, said: str) -> list[tuple[str, int, int]]:
    """Return the kind, the first token and the one after the last of each entity that the labels of tokens say."""
    names = tuple(labels.split())
    scheme = read_label_scheme(names)
    found: list[tuple[str, int, int]] = []
    previous = None
    for place, label in enumerate(said.split()):
        tag = scheme.tags[names.index(label)]
        if tag.kind is not None:
            continues = previous is not None and previous.kind is not None and not scheme.parts(previous, tag)
            start = found.pop()[1] if continues else place
            found.append((tag.kind, start, place + 1))
        previous = tag
    return found


IOB = "O B-PER I-PER B-LOC I-LOC"
BIOES = "O B-PER I-PER E-PER S-PER B-LOC I-LOC E-LOC S-LOC"
IOE = "O I-PER E-PER I-LOC E-LOC"


@pytest.mark.parametrize(
    ("labels", "said", "expected"),
    [
        ("O I-PER I-LOC", "I-PER I-PER I-LOC O I-LOC", [("PER", 0, 2), ("LOC", 2, 3), ("LOC", 4, 5)]),
        (IOB, "I-PER I-PER B-PER O I-PER", [("PER", 0, 2), ("PER", 2, 3), ("PER", 4, 5)]),  # IOB1
        (IOB, "B-PER I-PER B-PER I-LOC", [("PER", 0, 2), ("PER", 2, 3), ("LOC", 3, 4)]),
        (IOE, "I-PER E-PER E-PER I-PER", [("PER", 0, 2), ("PER", 2, 3), ("PER", 3, 4)]),
        (BIOES, "B-PER I-PER E-PER B-PER E-PER", [("PER", 0, 3), ("PER", 3, 5)]),
        (BIOES, "S-PER S-PER I-PER S-PER", [("PER", 0, 1), ("PER", 1, 2), ("PER", 2, 3), ("PER", 3, 4)]),
        (BIOES, "S-PER E-PER O E-PER I-PER", [("PER", 0, 1), ("PER", 1, 2), ("PER", 3, 4), ("PER", 4, 5)]),
        (BIOES, "B-LOC E-LOC E-LOC S-LOC", [("LOC", 0, 3), ("LOC", 3, 4)]),  # the last word has two tokens
        ("O B-PER E-PER", "B-PER E-PER E-PER B-PER", [("PER", 0, 3), ("PER", 3, 4)]),
        ("O I-PER S-PER", "S-PER I-PER I-PER S-PER", [("PER", 0, 1), ("PER", 1, 3), ("PER", 3, 4)]),
        ("O B-PER I-PER L-PER U-PER", "B-PER I-PER L-PER U-PER U-PER", [("PER", 0, 3), ("PER", 3, 4), ("PER", 4, 5)]),
        ("B-PER M-PER E-PER W-PER O", "B-PER M-PER E-PER W-PER", [("PER", 0, 3), ("PER", 3, 4)]),
        ("B-PER M-PER E-PER S-PER O S-LAW", "B-PER E-PER S-LAW S-LAW", [("PER", 0, 2), ("LAW", 2, 3), ("LAW", 3, 4)]),
    ],
)
def test_entities_begin_and_end_as_the_scheme_says(
    labels: str, said: str, expected: list[tuple[str, int, int]]
) -> None:
    assert spans(labels, said) == expected


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        ("O B-work-of-art I-work-of-art", [None, "work-of-art", "work-of-art"]),
        ("O B-BILL I-ISBN I-BILL B-ISBN", [None, "BILL", "ISBN", "BILL", "ISBN"]),
        ("o b-per i-per", [None, "per", "per"]),
        ("O B_PER I_PER", [None, "PER", "PER"]),
        ("O I_PER I_LOC", [None, "PER", "LOC"]),
        ("O PER-B PER-I work-of-art-B work-of-art-I", [None, "PER", "PER", "work-of-art", "work-of-art"]),
        ("O PER_B PER_E PER_I PER_S", [None, "PER", "PER", "PER", "PER"]),
        ("B I O", [UNNAMED_KIND, UNNAMED_KIND, None]),
        ("B M E S", [UNNAMED_KIND] * 4),
        ("NONE B-PER I-PER", [None, "PER", "PER"]),
        ("O NONE OUT", [None, "NONE", "OUT"]),
        ("PAD O B-PER I-PER E-PER S-PER OTHER", [None, None, "PER", "PER", "PER", "PER", "OTHER"]),
        ("[PAD] O B-PER I-PER [CLS] </s>", [None, None, "PER", "PER", None, None]),
        ("[NAME] [DATE] O", ["[NAME]", "[DATE]", None]),
        ("O B-PER I-PER MISC", [None, "PER", "PER", "MISC"]),
        ("O B-PER I-PER E-mail", [None, "PER", "PER", "E-mail"]),
        ("O E-mail I-mail Phone", [None, "E-mail", "I-mail", "Phone"]),
        ("O E-mail S-Bahn U-Bahn W-LAN", [None, "E-mail", "S-Bahn", "U-Bahn", "W-LAN"]),
        ("O vitamin-B hepatitis-B", [None, "vitamin-B", "hepatitis-B"]),
        ("O B-52 F-16", [None, "B-52", "F-16"]),
        ("B-PER I-PER M-PER O", ["PER", "PER", "M-PER", None]),
        ("LABEL_0 LABEL_1 LABEL_2", ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ("NN NNS VB I", ["NN", "NNS", "VB", "I"]),
    ],
)
def test_letters_are_those_of_a_scheme_only_if_all_labels_say_so(labels: str, kinds: list[str | None]) -> None:
    assert [tag.kind for tag in read_label_scheme(tuple(labels.split())).tags] == kinds


def test_a_scheme_is_read_once() -> None:
    assert read_label_scheme(("O", "B-X", "I-X")) is read_label_scheme(("O", "B-X", "I-X"))

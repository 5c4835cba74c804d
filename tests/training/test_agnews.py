"""Tests of the AG News reader: which texts it reads, and which markup it removes."""

import pytest

from tests.training.conftest import Place
from training.data import agnews
from training.data.labelled_text import LabelledText
from training.errors import DataError


def news(place: Place, train: str, test: str) -> agnews.AgNews:
    return agnews.agnews(place(agnews, "agnews", {"train_subset.csv.gz": train, "test.csv.gz": test}))


def test_news_have_spaces_for_backslashes_and_labels_from_0(place: Place) -> None:
    train = 'label,fields,text\n4,description,"Up to \\$5, he said."\n'
    read = news(place, train, '"1","A ""Title""","First\\second, third."\n')
    assert read.train == [LabelledText("Up to $5, he said.", 3)]
    assert read.test == [LabelledText('A "Title" First second, third.', 0)]
    assert [agnews.LABELS[row.label] for row in read.train + read.test] == ["Sci/Tech", "World"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("Haiti #39;s straits", "Haiti's straits"),
        ("the  #36;10 million", "the $10 million"),
        ("&lt;b&gt;BURLINGAME&lt;/b&gt;, Calif. #151; BEA", "BURLINGAME , Calif.— BEA"),
        (" quot;Yes quot; he said", '"Yes" he said'),
        ("AT amp;T\\falls; AOL; 5 < 6", "AT&T falls; AOL; 5 < 6"),
    ],
)
def test_news_are_without_html(found: str, expected: str) -> None:
    assert agnews.strip_markup(found) == expected


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("1,description,Text\n", "", "train_subset.csv.gz, line 1: expected the header: label, fields, text"),
        ("label,fields,text\n", "1,A,B\n5,A,B\n", "test.csv.gz, line 2: the label '5' is none of"),
        ("label,fields,text\n", "1,A\n", "test.csv.gz, line 1: 2 columns; expected 3"),
    ],
)
def test_damaged_news_are_refused(place: Place, train: str, test: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        news(place, train, test)

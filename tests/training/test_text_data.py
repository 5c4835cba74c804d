"""Tests of the readers of text data sets, with small and with damaged files."""

import json
from typing import Any

import pytest

from tests.training.conftest import Place
from training.data import (
    multi30k,
    named_entities,
    novels,
    questions,
    sst2,
    stories,
    stsb,
    wikipedia,
    wikitext,
)
from training.data.labelled_text import LabelledText
from training.data.multi30k import TranslationPair
from training.data.named_entities import TaggedSentence
from training.data.questions import Question
from training.data.stsb import ScoredPair
from training.errors import DataError


def json_lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_an_empty_line_divides_articles(place: Place) -> None:
    contents = {"train.txt.gz": "One\nText.\nMore.\n\nTwo\nText.\n", "valid.txt.gz": "Three\nText.\n"}
    articles = wikipedia.wikipedia(place(wikipedia, "wikipedia-en-sample", contents))
    assert articles.train == ["One\nText.\nMore.", "Two\nText."]
    assert articles.valid == ["Three\nText."]


@pytest.mark.parametrize(("text", "line"), [("One\nText.\n\nTwo\n", 4), ("One\nText.\n\n\nTwo\nText.\n", 4), ("", 1)])
def test_an_article_without_text_is_refused(place: Place, text: str, line: int) -> None:
    folder = place(wikipedia, "wikipedia-en-sample", {"train.txt.gz": "A\nB\n", "valid.txt.gz": text})
    with pytest.raises(DataError, match=f"valid.txt.gz, line {line}: expected an article with a title"):
        wikipedia.wikipedia(folder)


def story(title: str, source: str = "African Storybook") -> dict[str, str]:
    return {"title": title, "text": "One.\nTwo.", "author": "A", "license": "CC BY", "source": source}


def test_the_last_stories_are_held_out_and_those_of_other_tests_left_out(place: Place) -> None:
    rows = [story(f"{i}") for i in range(38)]
    rows.insert(3, story("seen in a test", "FairytaleQA/first-round/test"))
    rows.insert(7, story("validated on", "FairytaleQA//val"))
    rows += [story("38", "FairytaleQA/blue/train"), story("39"), story("tested on", "FairytaleQA/blue/test")]
    read = stories.childrens_stories(place(stories, "childrens-stories", {"stories.jsonl.gz": json_lines(*rows)}))
    assert read.train == [f"{i}\nOne.\nTwo." for i in range(38)]
    assert read.held_out == ["38\nOne.\nTwo.", "39\nOne.\nTwo."]


def test_few_stories_are_all_trained_on(place: Place) -> None:
    read = stories.childrens_stories(place(stories, "childrens-stories", {"stories.jsonl.gz": json_lines(story("A"))}))
    assert (len(read.train), read.held_out) == (1, [])


def test_a_story_without_text_is_refused(place: Place) -> None:
    rows = json_lines(story("A"), {**story("B"), "text": None})
    with pytest.raises(
        DataError, match=r"stories.jsonl.gz, line 2: expected a story with a title, a text and a source"
    ):
        stories.childrens_stories(place(stories, "childrens-stories", {"stories.jsonl.gz": rows}))


def tiny(place: Place, text: str) -> list[str]:
    name = "tinystories-first-4MB-lowercased.txt.gz"
    return stories.tiny_stories(place(stories, "tinystories-sample", {name: text}))


def test_a_single_line_end_divides_tiny_stories(place: Place) -> None:
    text = "one day.\n\nthe end. \nonce upon\n \na time.\n\n\nbye.\nthird.\n"
    assert tiny(place, text) == ["one day.\n\nthe end.", "once upon\n\na time.\n\n\nbye.", "third."]


def test_no_tiny_stories_are_refused(place: Place) -> None:
    with pytest.raises(DataError, match="line 1: no stories"):
        tiny(place, "\n \n")


def test_a_form_feed_divides_novels(place: Place) -> None:
    folder = place(novels, "english-novels-1880-1912", {"novels.txt.gz": "ONE\n\nI\n\f\nTWO\nII\n"})
    assert novels.novels(folder) == ["ONE\n\nI", "TWO\nII"]


def test_an_empty_novel_is_refused(place: Place) -> None:
    folder = place(novels, "english-novels-1880-1912", {"novels.txt.gz": "ONE\nI\n\f\n\n\f\nTWO\n"})
    with pytest.raises(DataError, match=r"novels.txt.gz, line 4: an empty novel"):
        novels.novels(folder)


def test_wikitext_is_unchanged(place: Place) -> None:
    contents = {"valid.txt.gz": " \n = A = \n", "test.txt.gz": " b <unk> \n"}
    read = wikitext.wikitext2(place(wikitext, "wikitext-2", contents))
    assert (read.valid, read.test) == (" \n = A = \n", " b <unk> \n")


CAPTIONS = {
    "train.en.gz": "A man.\nA dog.\n",
    "train.de.gz": "Ein Mann. \nEin Hund.\n",
    "val.en.gz": "A cat.\n",
    "val.de.gz": "Eine Katze.\n",
    "test_2016_flickr.en.gz": "A tree.\n",
    "test_2016_flickr.de.gz": "Ein Baum.\n",
}


def test_captions_pair_line_by_line(place: Place) -> None:
    read = multi30k.multi30k(place(multi30k, "multi30k-en-de", CAPTIONS))
    assert read.train == [TranslationPair("A man.", "Ein Mann."), TranslationPair("A dog.", "Ein Hund.")]
    assert (read.valid, read.test) == (
        [TranslationPair("A cat.", "Eine Katze.")],
        [TranslationPair("A tree.", "Ein Baum.")],
    )


@pytest.mark.parametrize(
    ("german", "message"),
    [
        ("Eine Katze.\nEin Tier.\n", r"val.en.gz has 1 lines, .*val.de.gz has 2"),
        (" \n", "val.de.gz, line 1: an empty line"),
    ],
)
def test_captions_that_do_not_pair_are_refused(place: Place, german: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        multi30k.multi30k(place(multi30k, "multi30k-en-de", {**CAPTIONS, "val.de.gz": german}))


def reviews(place: Place, dev: str) -> sst2.Sst2:
    contents = {"train.tsv.gz": 'sentence\tlabel\na "good film \t1\n', "dev.tsv.gz": dev}
    return sst2.sst2(place(sst2, "sst2", contents))


def test_sentences_lose_trailing_space(place: Place) -> None:
    read = reviews(place, "sentence\tlabel\nbad . \t0\n")
    assert (read.train, read.dev) == ([LabelledText('a "good film', 1)], [LabelledText("bad .", 0)])
    assert [sst2.LABELS[row.label] for row in read.train + read.dev] == ["positive", "negative"]


@pytest.mark.parametrize(
    ("dev", "message"),
    [
        ("bad . \t0\n", "dev.tsv.gz, line 1: expected the header: sentence, label"),
        ("", "dev.tsv.gz, line 1: expected the header"),
        ("sentence\tlabel\nbad .\n", "dev.tsv.gz, line 2: 1 columns; expected 2"),
        ("sentence\tlabel\nbad .\t2\n", "dev.tsv.gz, line 2: the label '2' is neither 0 nor 1"),
    ],
)
def test_damaged_reviews_are_refused(place: Place, dev: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        reviews(place, dev)


def scored(place: Place, test: str) -> stsb.StsB:
    contents = {"train.csv.gz": '"A, b.",C.,2.615\r\n', "dev.csv.gz": "D.,E.,0\r\n", "test.csv.gz": test}
    return stsb.stsb(place(stsb, "stsb-en", contents))


def test_pairs_have_scores(place: Place) -> None:
    read = scored(place, "F.,G.,5.0\r\n")
    assert read.train == [ScoredPair("A, b.", "C.", 2.615)]
    assert (read.dev, read.test) == ([ScoredPair("D.", "E.", 0.0)], [ScoredPair("F.", "G.", 5.0)])


@pytest.mark.parametrize(
    ("score", "message"),
    [("high", "'high' is not a number"), ("5.1", "5.1 is not between 0 and 5"), ("nan", "nan is not between")],
)
def test_damaged_scores_are_refused(place: Place, score: str, message: str) -> None:
    with pytest.raises(DataError, match=f"test.csv.gz, line 2: the score {message}"):
        scored(place, f"F.,G.,1\r\nF.,G.,{score}\r\n")


def gold(place: Place, text: str) -> list[TaggedSentence]:
    return named_entities.wikigold(place(named_entities, "ner-wikigold", {"wikigold.conll.txt.gz": text}))


def test_neighbours_of_one_kind_are_one_name(place: Place) -> None:
    text = "Ann I-PER\nLee I-PER\nParis I-LOC\nsaw O\nBob I-PER\n\n-DOCSTART- O\n\nPunk I-MISC\nMad I-ORG\n"
    assert gold(place, text) == [
        TaggedSentence(("Ann", "Lee", "Paris", "saw", "Bob"), ("B-PER", "I-PER", "B-LOC", "O", "B-PER")),
        TaggedSentence(("Punk", "Mad"), ("O", "B-ORG")),
    ]


def test_a_name_does_not_cross_sentences(place: Place) -> None:
    assert gold(place, "Ann I-PER\n\nLee I-PER\n") == [
        TaggedSentence(("Ann",), ("B-PER",)),
        TaggedSentence(("Lee",), ("B-PER",)),
    ]


def test_halves_alternate(place: Place) -> None:
    rows = [TaggedSentence((str(i),), ("O",)) for i in range(5)]
    first, second = named_entities.alternating_halves(rows)
    assert ([row.words for row in first], [row.words for row in second]) == ([("0",), ("2",), ("4",)], [("1",), ("3",)])


def test_kinds_of_wnut17_become_three(place: Place) -> None:
    train = "Ann\tB-person\nLee\tI-person\nAcme\tB-corporation\nBand\tB-group\nX\tI-group\n\t\nhere\tB-location\n"
    dev = "phone\tB-product\nfilm\tB-creative-work\nfilm\tI-creative-work\n"
    contents = {"train.conll.gz": train, "dev.conll.gz": dev, "test.conll.gz": "so\tO\n"}
    read = named_entities.wnut17(place(named_entities, "ner-wnut17", contents))
    assert read.train == [
        TaggedSentence(("Ann", "Lee", "Acme", "Band", "X"), ("B-PER", "I-PER", "B-ORG", "B-ORG", "I-ORG")),
        TaggedSentence(("here",), ("B-LOC",)),
    ]
    assert read.dev == [TaggedSentence(("phone", "film", "film"), ("O", "O", "O"))]
    assert read.test == [TaggedSentence(("so",), ("O",))]


def tweets(place: Place, **sections: str) -> list[TaggedSentence]:
    contents = {f"{name}.conll.gz": sections.get(name, f"{name}\tO\n") for name in "abefgh"}
    return named_entities.broad_twitter(place(named_entities, "ner-btc", contents))


def test_words_of_tweets_have_no_white_space(place: Place) -> None:
    read = tweets(place, e="Ann\tB-PER\n\u2764 \tO\n\tO\nke s\tO\n\n \tO\n")
    assert [row.words for row in read] == [("a",), ("b",), ("Ann", "\u2764", "kes"), ("f",), ("g",), ("h",)]
    assert read[2].tags == ("B-PER", "O", "O")
    assert {tag for row in read for tag in row.tags} <= set(named_entities.TAGS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Ann", "expected a word and its tag, not 'Ann'"),
        ("Ann\tB-DOG", r"expected a word and its tag, not 'Ann\\tB-DOG'"),
        ("Ann\tX-PER", "expected a word and its tag"),
        ("O", "expected a word and its tag"),
        ("Ann\tI-PER", "I-PER continues a name that has not begun"),
    ],
)
def test_damaged_tags_are_refused(place: Place, line: str, message: str) -> None:
    with pytest.raises(DataError, match=f"b.conll.gz, line 2: {message}"):
        tweets(place, b=f"Acme\tB-ORG\n{line}\n")


def squad(**changes: Any) -> str:
    row = {"id": "1", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 4}]} | changes
    return json.dumps({"data": [{"title": "T", "paragraphs": [{"context": "Oh, Ann.", "qas": [row]}]}]})


def squad_questions(place: Place, text: str) -> list[Question]:
    return questions.xquad(place(questions, "qa-xquad-en", {"xquad.en.json.gz": text}))


def test_squad_is_read_flat(place: Place) -> None:
    assert squad_questions(place, squad().replace("Oh", "\u00dch")) == [Question("Who?", "\u00dch, Ann.", ("Ann",), 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{\n{", "line 2: not JSON"),
        ("[]", "is not in the format of SQuAD 1.1"),
        ('{"data": [{}]}', "is not in the format of SQuAD 1.1: KeyError"),
        (squad(answers=[]), "question 1: expected a question and its one answer"),
        (squad(answers=[{"text": "Ann", "answer_start": 3}]), "question 1: no 'Ann' at character 3"),
        (squad(answers=[{"text": "Ann", "answer_start": -4}]), "question 1: no 'Ann' at character -4"),
    ],
)
def test_damaged_squad_is_refused(place: Place, text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"xquad.en.json.gz.*{message}"):
        squad_questions(place, text)


def qamr_row(answer: str, sentence: str = "s1") -> str:
    return f"{sentence}\t0 1\t7\t0\t1\tWho lives there? \t{answer}\t8:1\t9:1\n"


def qamr(place: Place, dev: str, test: str = "") -> list[Question]:
    contents = {
        "wiki-sentences.tsv.gz": "s0\tNo .\ns1\tThe `` old '' man -LRB- Bob -RRB- lives .\n",
        "filtered-dev.tsv.gz": dev,
        "filtered-test.tsv.gz": test,
    }
    return questions.qamr(place(questions, "qa-qamr", contents))


def test_answers_of_qamr_are_unbroken_runs_of_words(place: Place) -> None:
    read = qamr(place, qamr_row("6") + qamr_row("0 4"), qamr_row("1 2 3 4 5"))
    context = 'The " old " man ( Bob ) lives .'
    assert read == [
        Question("Who lives there?", context, ("Bob",), 18),
        Question("Who lives there?", context, ('" old " man (',), 4),
    ]
    assert all(context.startswith(row.answers[0], row.start) for row in read)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (qamr_row("0", "s2"), "no sentence 's2'"),
        (qamr_row("10"), "the answer '10' is not a list of indices of 10 words"),
        (qamr_row("1 x"), "the answer '1 x' is not a list of indices"),
        (qamr_row(""), "the answer '' is not a list of indices"),
        ("s1\t0\n", "2 columns; expected 9"),
    ],
)
def test_damaged_rows_of_qamr_are_refused(place: Place, row: str, message: str) -> None:
    with pytest.raises(DataError, match=f"filtered-dev.tsv.gz, line 2: {message}"):
        qamr(place, qamr_row("6") + row)


def fairytale_row(**changes: Any) -> dict[str, Any]:
    row = {"split": "train", "question": "What?", "context": "It was The cold, he said.", "answers": ["the cold"]}
    return {**row, "answer_start": 7, **changes}


def fairytale(place: Place, *rows: dict[str, Any]) -> questions.FairytaleQa:
    contents = {"fairytaleqa.jsonl.gz": json_lines(*rows)}
    return questions.fairytale_qa(place(questions, "qa-fairytaleqa", contents))


def test_answers_are_spelt_as_in_the_context(place: Place) -> None:
    with_stop = fairytale_row(split="val", answers=["The Cold.", "frost"])
    read = fairytale(place, fairytale_row(), with_stop, fairytale_row(split="test", answers=["ice"], answer_start=-1))
    context = "It was The cold, he said."
    assert read.train == [Question("What?", context, ("The cold",), 7)]
    assert read.valid == [Question("What?", context, ("The cold", "frost"), 7)]
    assert read.test == [Question("What?", context, ("ice",), None)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "dev"}, "the split 'dev' is none of train, val, test"),
        ({"answers": []}, "expected a question, its context and its answers"),
        ({"answers": "cold"}, "expected a question, its context and its answers"),
        ({"answers": ["the cold", 1]}, "expected a question, its context and its answers"),
        ({"context": None}, "expected a question, its context and its answers"),
        ({"answer_start": 6}, "no 'the cold' at character 6 of the context"),
        ({"answers": ["."], "answer_start": 0}, "no '.' at character 0"),
    ],
)
def test_damaged_fairytale_questions_are_refused(place: Place, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"fairytaleqa.jsonl.gz, line 2: {message}"):
        fairytale(place, fairytale_row(), fairytale_row(**changes))

"""Conversion of the classes of tokens to entities."""

import warnings
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from transformers.pipelines.token_classification import AggregationStrategy

from models.codecs.text.entities import Aggregation, entities
from models.codecs.text.words import trim
from models.tasks.text import Details, Tokens
from tests.models.codecs.letter_tokenizers import byte_level, codec_on, metaspace, wordpiece

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXT = "Anna Schmidt met Bob in New York"
PIECES = ("[CLS]", "Anna", "Sch", "midt", "met", "Bob", "in", "New", "York", "[SEP]")
OFFSETS = ((0, 0), (0, 4), (5, 8), (8, 12), (13, 16), (17, 20), (21, 23), (24, 27), (28, 32), (0, 0))


def tokens() -> Tokens:
    n = len(PIECES)
    details = Details(offsets=OFFSETS, texts=[None, *[0] * (n - 2), None])
    return Tokens(ids=np.arange(n), type_ids=np.zeros(n, np.int64), details=lambda: details, sources=(TEXT,))


def scores(*labels: str) -> torch.Tensor:
    """The label of each token between the special ones at 0.9, or at what follows its name."""
    rows = torch.full((len(PIECES), len(LABELS)), 0.02)
    for place, label in enumerate(labels, start=1):
        name, _, value = label.partition("=")
        rows[place, LABELS.index(name)] = float(value or 0.9)
    return rows


def found(aggregation: Aggregation, *labels: str) -> list[tuple[str, str, float]]:
    got = entities(tokens(), scores(*labels), LABELS, aggregation)
    assert all(entity.word == TEXT[entity.start : entity.end] for entity in got)
    return [(entity.kind, entity.word, round(entity.score, 4)) for entity in got]


def test_neighbours_of_one_kind_are_one_entity() -> None:
    labels = ("B-PER", "I-PER=0.6", "I-PER=0.6", "O", "B-PER", "O", "B-LOC", "I-LOC=0.5")
    assert found("simple", *labels) == [("PER", "Anna Schmidt", 0.7), ("PER", "Bob", 0.9), ("LOC", "New York", 0.7)]


def test_a_beginning_parts_two_of_one_kind() -> None:
    labels = ("B-PER", "B-PER", "I-PER", "O", "O", "O", "B-LOC", "B-LOC")
    words = [word for _, word, _ in found("simple", *labels)]
    assert words == ["Anna", "Schmidt", "New", "York"]


def test_each_token_has_its_own_label_without_aggregation() -> None:
    assert found("none", "B-PER", "I-PER", "O", "O", "O", "O", "I-LOC", "O") == [
        ("B-PER", "Anna", 0.9),
        ("I-PER", "Sch", 0.9),
        ("I-LOC", "New", 0.9),
    ]


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("first", "Schmidt"), ("average", "Schmidt"), ("max", None), ("simple", "Sch")]
)
def test_words_are_named_as_a_whole(aggregation: Aggregation, expected: str | None) -> None:
    labels = ("O", "B-PER=0.6", "O=0.61" if aggregation == "max" else "O=0.3", "O", "O", "O", "O", "O")
    words = [word for kind, word, _ in found(aggregation, *labels) if kind == "PER"]
    assert words == ([expected] if expected else [])


@given(st.lists(st.sampled_from(LABELS), min_size=8, max_size=8), st.sampled_from(get_args(Aggregation)))
def test_entities_follow_one_another(labels: list[str], aggregation: Aggregation) -> None:
    got = entities(tokens(), scores(*labels), LABELS, aggregation)
    assert all(entity.end <= following.start for entity, following in pairwise(got))
    assert {entity.kind for entity in got} <= {"PER", "LOC", *LABELS} - {"O"}


TRANSFORMERS: Any = transformers  # which has few types
TOKENIZERS = {"wordpiece": wordpiece, "byte-level": byte_level, "metaspace": metaspace}


def labelled(kind: str, text: str, *named: str) -> list[str]:
    """Return the words of the entities if every token that begins in one of these parts of the text is a person's."""
    tokens = codec_on(TOKENIZERS[kind]()).encode(text)
    starts = [trim(text, *offsets)[0] for offsets in tokens.details().offsets]
    persons = [any(text.index(part) <= start < text.index(part) + len(part) for part in named) for start in starts]
    scores = torch.tensor([[0.1, 0.1, 0.8] if is_person else [0.8, 0.1, 0.1] for is_person in persons])
    got = entities(tokens, scores, ("O", "B-PER", "I-PER"), "first")
    assert all(entity.word == text[entity.start : entity.end] == entity.word.strip() for entity in got)
    return [entity.word for entity in got]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_words_are_whole_and_end_at_punctuation_whichever_the_tokenizer(kind: str) -> None:
    assert labelled(kind, "Is Angela Merkel, 67, here?", "Angela Mer") == ["Angela Merkel"]
    assert labelled(kind, "We met Merkel's dog (Rex).", "Mer", "R") == ["Merkel", "Rex"]
    assert labelled(kind, "Agent B52x of York.", "B", "Y") == ["B52x", "York"]
    assert labelled(kind, "in New  York\nCity now", "New  York\nCity") == ["New  York\nCity"]
    assert labelled(kind, "at Zoë Höß now", "Z", "H") == ["Zoë Höß"]
    assert labelled(kind, "東京都", "京") == ["京"]
    assert labelled(kind, "", "") == []


def test_characters_that_the_tokenizer_leaves_out_part_no_word() -> None:
    assert labelled("wordpiece", "met Mer\u00adkel now", "M") == ["Mer\u00adkel"]
    assert labelled("wordpiece", "met Jose\u0301 now", "J") == ["Jose\u0301"]


def test_tokens_of_an_unknown_text_are_words_of_their_own() -> None:
    tokens = Tokens.of_ids([1, 7, 8, 9, 2], {1, 2})
    scores = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05]])
    got = entities(tokens, scores, ("O", "B-X", "I-X"), "first")
    assert [(entity.kind, entity.word) for entity in got] == [("X", ""), ("X", "")]


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """The pipeline of `transformers`; its tokenizer is to be set, and its model is not used."""
    config = TRANSFORMERS.BertConfig(
        vocab_size=2, hidden_size=2, num_hidden_layers=0, num_attention_heads=1, intermediate_size=2, num_labels=5
    )
    config.id2label = dict(enumerate(LABELS))
    tokenizer = TRANSFORMERS.PreTrainedTokenizerFast(tokenizer_object=wordpiece())
    model = TRANSFORMERS.BertForTokenClassification(config)
    return TRANSFORMERS.TokenClassificationPipeline(model=model, tokenizer=tokenizer, device="cpu")


@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_entities_agree_with_the_pipeline_of_transformers(kind: str, aggregation: Aggregation, pipeline: Any) -> None:
    text = "Anna Schmidt met Bob Lee in New York"
    text += ", says (really) Jean-Baptiste B52." * (kind == "wordpiece")  # the pipeline parts no words at punctuation
    codec, draw = codec_on(TOKENIZERS[kind]()), torch.Generator().manual_seed(1)
    tokens = codec.encode(text)
    logits = 2 * torch.randn(len(tokens), len(LABELS), generator=draw)
    details = tokens.details()
    output = {
        "logits": logits[None],
        "input_ids": torch.from_numpy(tokens.ids)[None],
        "sentence": text,
        "offset_mapping": torch.tensor([trim(text, *offsets) for offsets in details.offsets])[None],
        "special_tokens_mask": torch.tensor([[each is None for each in details.texts]]),
    }
    pipeline.tokenizer = TRANSFORMERS.PreTrainedTokenizerFast(tokenizer_object=TOKENIZERS[kind]())
    strategy = AggregationStrategy(aggregation)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pipeline.postprocess([output], aggregation_strategy=strategy)
    got = entities(tokens, logits.softmax(-1), LABELS, aggregation)
    name = "entity" if aggregation == "none" else "entity_group"
    assert [(entity.kind, entity.start, entity.end) for entity in got] == [
        (each[name], each["start"], each["end"]) for each in expected
    ]
    assert [entity.score for entity in got] == pytest.approx([float(each["score"]) for each in expected], abs=1e-5)
    assert len(got) > 3

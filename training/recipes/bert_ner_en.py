"""BERT that finds the names of persons, places and organisations in texts."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.codecs.text import TokenizersCodec
from models.codecs.text.entities import entities
from models.family import Model
from models.tasks import CLASSIFY_TOKENS
from models.tasks.text import ClassifyTokensRequest, Tokens
from models.text.embedding import hidden_states
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel
from models.transformers.bert.config import BertConfig
from training.data.files import DataFolder
from training.data.named_entities import TAGS, TaggedSentence, alternating_halves, broad_twitter, wikigold, wnut17
from training.data.wikipedia import wikipedia
from training.recipe import Bar, Resources
from training.recipes.bert_mini_en import SHAPE, VOCABULARY
from training.texts.english import sentences
from training.texts.finetuning import CapitalPrediction, TokenClassification, first_tokens, tags_of_first_tokens
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import draw_examples, quote
from training.texts.scores import entity_f1

MAX_TOKENS, BATCH_SIZE = 128, 64
N_SENTENCES = 250_000
FROZEN_STEPS, FROZEN_RATE = 300, 0.05
SAMPLE_INPUTS = (
    "Anna Schmidt lives in London and works for Siemens.",
    "The president of France met Angela Merkel in Berlin.",
    "Microsoft bought the company for two billion dollars.",
    "He played for Manchester United before he moved to Spain.",
    "Paris Hilton was seen in Paris.",
    "My sister and I went to the beach.",
    "The University of Oxford is older than the city of Berlin.",
    "John Lennon and Paul McCartney wrote the song.",
    "Apple and Google opened offices in Ireland.",
    "she met peter in new york last summer",
)


def training_sentences(data: DataFolder) -> list[TaggedSentence]:
    """Return the training data: tweets, WNUT-17 without its test split, and half of WikiGold.

    WikiGold is repeated four times, since it is small.
    """
    first, _ = alternating_halves(wikigold(data))
    posts = wnut17(data)
    return [*broad_twitter(data), *posts.train, *posts.dev, *(4 * first)]


def article_sentences(data: DataFolder) -> list[str]:
    """Return `N_SENTENCES` random sentences of Wikipedia's articles."""
    return draw_examples(sentences(wikipedia(data).train), N_SENTENCES)


class BertNerEn(TextRecipe):
    """Recipe of `bert-ner-en`: the first 4 of the 6 layers of `bert-mini-en`, with a class for each word."""

    name = "bert-ner-en"
    family = "transformers/bert"
    parent = "bert-mini-en"
    config = BertConfig(**{**SHAPE, "n_layers": 4}, heads=("tokens",), labels=TAGS)
    vocabulary = VOCABULARY
    max_tokens = MAX_TOKENS
    stages = (
        CapitalPrediction(
            name="capitals",
            vocabulary=VOCABULARY,
            max_tokens=MAX_TOKENS,
            rows_of=article_sentences,
            n_epochs=1,
            batch_size=64,
            lr=1e-3,
            dropout=0.0,
        ),
        TokenClassification(
            vocabulary=VOCABULARY,
            max_tokens=MAX_TOKENS,
            rows_of=training_sentences,
            n_epochs=8,
            batch_size=32,
            lr=7e-4,
            dropout=0.15,
            masked_share=0.2,
        ),
    )
    bars = {  # noqa: RUF012
        "wikigold_f1": Bar(must=0.55, aim=0.70, higher_is_better=True),
        "gain_over_frozen": Bar(must=0.05, higher_is_better=True),
    }
    metrics = {  # noqa: RUF012
        "wikigold_f1": "F1 of entities, the other half of WikiGold (848 sentences), by seqeval's rules",
        "wnut17_f1": "F1 of entities, WNUT-17 test, its six kinds mapped to three",
        "frozen_f1": "F1 on WikiGold of a linear classifier on bert-mini-en as it is, for comparison",
        "gain_over_frozen": "the difference of the first and the third",
    }
    default_for = ("classify_tokens",)
    short_description = "names of persons, places, organisations"
    headline = "F1 {wikigold_f1:.4f} on WikiGold, {wnut17_f1:.4f} on WNUT-17"
    summary = """
BERT of English, the first 4 of the 6 layers of `bert-mini-en`, tuned to find the names of persons (PER), places (LOC)
and organisations (ORG). Family: `transformers/bert`. It reads lower case: capitals do not help it.
"""
    procedure = f"""
First, which words of {N_SENTENCES:,} sentences of Wikipedia are written with a capital (Mayhew et al. 2020): once, in
batches of 64, at 0.001. Then the Broad Twitter Corpus (Derczynski et al. 2016), WNUT-17's training and development
splits (Derczynski et al. 2017; person, location, corporation and group kept) and every other sentence of WikiGold
(Balasuriya et al. 2009; MISC dropped), the last four times: 8 epochs in batches of 32, AdamW at 0.0007 with a linear
decay, dropout 0.15, a fifth of the tokens behind masks.
"""
    limits = """
Names it has not read in training or pretraining are hard for it, for it does not see capitals. Tweets and
encyclopaedias are what it knows.
"""
    known_failings = "Misses names that it has not read in training, and does not see capitals."
    data_licence = "Wikipedia: CC BY-SA 3.0. The three data sets of names: CC BY 4.0."

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the F1 of entities on test data, and that of a linear classifier on the untuned parent."""
        model, codec = cast("TextEncoder", model), self.codec(resources)
        _, test = alternating_halves(wikigold(resources.data))
        wikigold_f1 = entity_f1([row.tags for row in test], predict_tags(model, codec, test))
        wnut17_test = wnut17(resources.data).test
        parent = cast("TextEncoder", resources.model("bert-mini-en"))
        frozen_tags = tags_from_frozen_parent(parent, codec, training_sentences(resources.data), test)
        frozen_f1 = entity_f1([row.tags for row in test], frozen_tags)
        return {
            "wikigold_f1": wikigold_f1,
            "wnut17_f1": entity_f1([row.tags for row in wnut17_test], predict_tags(model, codec, wnut17_test)),
            "frozen_f1": frozen_f1,
            "gain_over_frozen": wikigold_f1 - frozen_f1,
        }

    @override
    def samples(self, model: TextModel, resources: Resources) -> tuple[list[str], list[str]]:
        """Show sentences and the names found in them."""
        codec = self.codec(resources)
        _, test = alternating_halves(wikigold(resources.data))
        held_out = [" ".join(row.words) for row in draw_examples(test, N_SAMPLES)]
        lines = [_show_entities(cast("TextEncoder", model), codec, text) for text in (*SAMPLE_INPUTS, *held_out)]
        return lines[: len(SAMPLE_INPUTS)], lines[len(SAMPLE_INPUTS) :]


def predict_tags(model: TextEncoder, codec: TokenizersCodec, rows: Sequence[TaggedSentence]) -> list[list[str]]:
    """Return the likeliest tag of each word, predicted at its first token."""
    texts = [codec.encode_truncated(" ".join(row.words)) for row in rows]
    with torch.inference_mode():
        scores = [
            result.scores
            for start in range(0, len(texts), BATCH_SIZE)
            for result in model.run(
                CLASSIFY_TOKENS, [ClassifyTokensRequest(tokens=text) for text in texts[start : start + BATCH_SIZE]]
            )
        ]
    return [_tags_by_word(*triple) for triple in zip(texts, rows, scores, strict=True)]


def _tags_by_word(text: Tokens, row: TaggedSentence, scores: Tensor) -> list[str]:
    """Return each word's likeliest tag; words without a token, or beyond the model's longest input, get `O`."""
    tags = ["O"] * len(row.words)
    for word, position in first_tokens(text, row.words).items():
        tags[word] = TAGS[int(scores[position].argmax())]
    return tags


def tags_from_frozen_parent(
    parent: TextEncoder, codec: TokenizersCodec, rows: Sequence[TaggedSentence], test: Sequence[TaggedSentence]
) -> list[list[str]]:
    """Return the tags of each test row, from a linear classifier on the parent's states, trained on `rows`."""
    states, tags = _states(parent, codec, rows)
    torch.manual_seed(0)
    head = nn.Linear(states.shape[1], len(TAGS))
    optimiser = torch.optim.Adam(head.parameters(), lr=FROZEN_RATE)
    for _ in range(FROZEN_STEPS):
        optimiser.zero_grad()
        functional.cross_entropy(head(states), tags).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    texts = [codec.encode_truncated(" ".join(row.words)) for row in test]
    with torch.inference_mode():
        scores = [head(hidden_states(parent, [text])[0]) for text in texts]
    return [_tags_by_word(*triple) for triple in zip(texts, test, scores, strict=True)]


def _states(parent: TextEncoder, codec: TokenizersCodec, rows: Sequence[TaggedSentence]) -> tuple[Tensor, Tensor]:
    """Return the hidden state of each word's first token, `[n, D]`, and the index of its tag, `[n]`."""
    states, tags = [], []
    for start in range(0, len(rows), BATCH_SIZE):
        part = rows[start : start + BATCH_SIZE]
        texts = [codec.encode_truncated(" ".join(row.words)) for row in part]
        with torch.inference_mode():
            hidden = hidden_states(parent, texts)
        labels = [tags_of_first_tokens(*pair) for pair in zip(texts, part, strict=True)]
        states += [state[tag >= 0] for state, tag in zip(hidden, labels, strict=True)]
        tags += [tag[tag >= 0] for tag in labels]
    return torch.cat(states).clone(), torch.cat(tags)


def _show_entities(model: TextEncoder, codec: TokenizersCodec, text: str) -> str:
    tokens = codec.encode_truncated(text)
    with torch.inference_mode():
        (result,) = model.run(CLASSIFY_TOKENS, [ClassifyTokensRequest(tokens=tokens)])
    found = entities(tokens, result.scores, TAGS, "first")
    return f"{quote(text)} → {', '.join(f'{entity.kind} {quote(entity.word)}' for entity in found) or 'no names'}"


RECIPE = BertNerEn()

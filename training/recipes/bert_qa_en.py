"""BERT of answers: the span of a context that answers a question."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, cast

import torch
from rich.progress import track

from models.codecs.text.answers import answers
from models.codecs.text.codec import FastCodec
from models.family import Model
from models.layers.encoder import TextEncoder
from models.layers.text_model import TextModel
from models.tasks import ANSWER
from models.tasks import text as t
from models.transformers.bert.config import BertConfig
from training.data.files import DataFolder
from training.data.questions import Question, fairytale_qa, qamr, xquad
from training.data.wikipedia import wikipedia
from training.recipe import Bar, Shelf
from training.recipes.bert_mini_en import N_POSITIONS, SHAPE, VOCABULARY
from training.texts.clozes import clozes
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import drawn, quoted
from training.texts.scores import best_overlap_sentence, exact_match, token_f1
from training.texts.spans import Spans

AMONG_SHARE, MAX_OTHERS = 0.5, 6
"""How many of QAMR's questions get sentences around theirs, and how many sentences at most."""
N_CLOZES, N_KEPT_CLOZES = 60_000, 20_000
MAX_ANSWER_TOKENS, STRIDE = 30, 64
CONTEXT = (
    "The Amazon rainforest covers most of the Amazon basin of South America. The basin covers 7,000,000 square "
    "kilometres, of which 5,500,000 are covered by the rainforest. Most of the forest lies in Brazil, with 60% of it, "
    "followed by Peru with 13%. The name Amazon is said to arise from a war that Francisco de Orellana fought with "
    "the Tapuyas. In 2005, the forest had its worst drought in one hundred years."
)
CHOSEN = (
    "Which country has most of the forest?",
    "How large is the basin?",
    "Who fought a war with the Tapuyas?",
    "What happened in 2005?",
    "How much of the forest is in Peru?",
    "Where is the Amazon basin?",
    "When was the worst drought?",
    "What covers most of the basin?",
    "Whom did Francisco de Orellana fight?",
    "How many square kilometres are covered by the rainforest?",
)


def questions(data: DataFolder) -> list[Question]:
    """QAMR's, half of them among other sentences, the literal spans of FairytaleQA twice, and some that were made."""
    tales = [row for row in fairytale_qa(data).train if row.start is not None]
    return [*among_others(qamr(data)), *tales, *tales, *clozes(wikipedia(data).train, N_KEPT_CLOZES)]


def of_articles(data: DataFolder) -> list[Question]:
    """Made of Wikipedia's articles."""
    return clozes(wikipedia(data).train, N_CLOZES)


def among_others(rows: Sequence[Question]) -> list[Question]:
    """Half of the contexts, which are sentences, at a random place among up to `MAX_OTHERS` of the others."""
    draw = random.Random(0)  # noqa: S311 no secret
    sentences = sorted({row.context for row in rows})
    return [
        _among(row, draw.sample(sentences, draw.randint(1, MAX_OTHERS)), draw) if draw.random() < AMONG_SHARE else row
        for row in rows
    ]


def _among(row: Question, others: list[str], draw: random.Random) -> Question:
    others = [one for one in others if one != row.context]
    before = others[: draw.randint(0, len(others))]
    context = " ".join([*before, row.context, *others[len(before) :]])
    shift = sum(len(one) + 1 for one in before)
    return replace(row, context=context, start=None if row.start is None else row.start + shift)


def tuning(**settings: Any) -> Spans:
    """Of this model; its rows are given."""
    return Spans(
        vocabulary=VOCABULARY, max_tokens=N_POSITIONS, batch_size=32, lr=1e-3, dropout=0.0, hints=3.0, **settings
    )


class BertQaEn(TextRecipe):
    """All layers of its parent, and two numbers for each token."""

    name = "bert-qa-en"
    family = "transformers/bert"
    parent = "bert-mini-en"
    config = BertConfig(**SHAPE, heads=("span",))
    vocabulary = VOCABULARY
    max_tokens = N_POSITIONS
    stages = (
        tuning(name="clozes", rows_of=of_articles, n_epochs=1, muon_lr=0.01),
        tuning(name="questions", rows_of=questions, n_epochs=2, muon_lr=0.005),
    )
    bars = {  # noqa: RUF012
        "gain_over_overlap": Bar(must=0.10, more=True),
        "xquad_f1": Bar(must=0.25, aim=0.45, more=True),
    }
    metrics = {  # noqa: RUF012
        "xquad_f1": "F1 of words, the 1,190 questions of XQuAD-en (from SQuAD 1.1's development set)",
        "xquad_em": "exact matches, the same",
        "overlap_f1": "F1 of answering with the sentence that shares most words with the question, the same",
        "gain_over_overlap": "the difference of the first and the third",
        "fairytale_f1": "F1 of words, the 410 questions of FairytaleQA test whose answer is a literal span",
        "fairytale_em": "exact matches, the same",
    }
    what = "answers in contexts"
    headline = "XQuAD F1 {xquad_f1:.4f} (best sentence: {overlap_f1:.4f})"
    summary = """
BERT of English, all 6 layers of `bert-mini-en`, tuned to point at the span of a context that answers a question.
Family: `transformers/bert`.
"""
    story = f"""
First, {N_CLOZES:,} questions that nobody asked, made of sentences of Wikipedia's articles: a question word and some of
a sentence's words, for a name, a number or a thing in it, among its neighbours; once, with Muon at 0.01 for matrices
and AdamW at 0.001 for the rest. Then two epochs, Muon at 0.005, of QAMR (Michael et al. 2018; its development and test
files, 36,748 questions on single sentences, half of them at a random place among up to six others), FairytaleQA (Xu et
al. 2022; the 3,308 questions of the training split whose answer is a literal span, twice) and {N_KEPT_CLOZES:,} of the
first. Batches of 32, with a linear decay in each part. Beside the answer, the model tells of each token of the context
whether the question has it too, from what it knows half-way up, and whether it is in the answer's sentence, by heads
that are dropped at the end (docs/decisions/0016). SQuAD was never trained on.
"""
    limits = """
It points at something that looks like an answer of the kind asked for, near words of the question; it does not reason.
Where a question has no answer in the context, it answers all the same.
"""
    data_licence = (
        "Wikipedia: CC BY-SA 3.0. QAMR: MIT, sentences of Wikipedia (CC BY-SA) and Wikinews (CC BY). "
        "FairytaleQA: Apache-2.0. XQuAD, for the measurement: CC BY-SA 4.0."
    )

    def evaluate(self, models: Sequence[Model], shelf: Shelf) -> dict[str, float]:
        """Answers to questions of two test sets."""
        model, codec = cast("TextEncoder", models[0]), self.codec(shelf)
        foreign = xquad(shelf.data)
        fairy = [row for row in fairytale_qa(shelf.data).test if row.start is not None]
        said, told = found_answers(model, codec, foreign), found_answers(model, codec, fairy)
        overlap = [best_overlap_sentence(row.question, row.context) for row in foreign]
        f1, overlap_f1 = _mean(token_f1, said, foreign), _mean(token_f1, overlap, foreign)
        return {
            "xquad_f1": f1,
            "xquad_em": _mean(exact_match, said, foreign),
            "overlap_f1": overlap_f1,
            "gain_over_overlap": f1 - overlap_f1,
            "fairytale_f1": _mean(token_f1, told, fairy),
            "fairytale_em": _mean(exact_match, told, fairy),
        }

    def samples(self, model: TextModel, shelf: Shelf) -> tuple[list[str], list[str]]:
        """Questions on one paragraph, and questions of XQuAD with their true answers."""
        codec, encoder = self.codec(shelf), cast("TextEncoder", model)
        own = [Question(question, CONTEXT, ("",), None) for question in CHOSEN]
        foreign = drawn(xquad(shelf.data), N_SAMPLES)
        said, told = found_answers(encoder, codec, own), found_answers(encoder, codec, foreign)
        lines = [f"{quoted(row.question)} → {quoted(one)}" for row, one in zip(foreign, told, strict=True)]
        return (
            [f"{quoted(row.question)} → {quoted(one)}" for row, one in zip(own, said, strict=True)],
            [f"{line} (true: {quoted(row.answers[0])})" for line, row in zip(lines, foreign, strict=True)],
        )

    def samples_section(self, model: TextModel, shelf: Shelf) -> str:
        """The paragraph behind the chosen ones first."""
        return f"> {CONTEXT}\n\n{super().samples_section(model, shelf)}"


def found_answers(model: TextEncoder, codec: FastCodec, rows: Sequence[Question]) -> list[str]:
    """The likeliest span for each question, as `/answer` gives it."""
    found: list[str] = []
    with torch.inference_mode():
        for row in track(rows, "answers"):
            windows = tuple(codec.windows(row.question, row.context, STRIDE))
            (result,) = ANSWER.run(model, [t.AnswerRequest(windows=windows)])
            (best,) = answers(
                windows, result.spans, top_k=1, max_answer_tokens=MAX_ANSWER_TOKENS, allow_no_answer=False
            )
            found.append(best.answer)
    return found


def _mean(score: Callable[[str, Sequence[str]], float], guesses: Sequence[str], rows: Sequence[Question]) -> float:
    return mean(score(guess, row.answers) for guess, row in zip(guesses, rows, strict=True))


RECIPE = BertQaEn()

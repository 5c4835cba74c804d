"""BERT that finds the span of a context that answers a question."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, cast

import torch
from rich.progress import track
from typing_extensions import override

from models.codecs.text import TokenizersCodec
from models.codecs.text.answers import answers
from models.family import Model
from models.tasks import ANSWER
from models.tasks.text import AnswerRequest
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel
from models.transformers.bert.config import BertConfig
from training.data.files import DataFolder
from training.data.questions import Question, fairytale_qa, qamr, xquad
from training.data.wikipedia import wikipedia
from training.recipe import Bar, Resources
from training.recipes.bert_mini_en import N_POSITIONS, SHAPE, VOCABULARY
from training.texts.clozes import clozes
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import draw_examples, quote
from training.texts.scores import best_overlap_sentence, exact_match, token_f1
from training.texts.spans import SpanExtraction

SURROUNDED_SHARE, MAX_SURROUNDING = 0.5, 6
"""Share of QAMR's questions whose sentence is put among others, and the maximum number of these others."""
N_CLOZES, N_MIXED_CLOZES = 60_000, 20_000
MAX_ANSWER_TOKENS, STRIDE = 30, 64
CONTEXT = (
    "The Amazon rainforest covers most of the Amazon basin of South America. The basin covers 7,000,000 square "
    "kilometres, of which 5,500,000 are covered by the rainforest. Most of the forest lies in Brazil, with 60% of it, "
    "followed by Peru with 13%. The name Amazon is said to arise from a war that Francisco de Orellana fought with "
    "the Tapuyas. In 2005, the forest had its worst drought in one hundred years."
)
SAMPLE_INPUTS = (
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


def training_questions(data: DataFolder) -> list[Question]:
    """Return the questions of the second stage, from QAMR, FairytaleQA and clozes.

    Half of QAMR's sentences are put among others, and the literal spans of FairytaleQA count twice.
    """
    tales = [row for row in fairytale_qa(data).train if row.start is not None]
    return [*with_surrounding_sentences(qamr(data)), *tales, *tales, *clozes(wikipedia(data).train, N_MIXED_CLOZES)]


def article_clozes(data: DataFolder) -> list[Question]:
    """Return clozes made of Wikipedia's articles."""
    return clozes(wikipedia(data).train, N_CLOZES)


def with_surrounding_sentences(rows: Sequence[Question]) -> list[Question]:
    """Put half of the contexts, which are single sentences, at a random position among other contexts."""
    rng = random.Random(0)  # noqa: S311 no secret
    sentences = sorted({row.context for row in rows})
    return [
        _surround(row, rng.sample(sentences, rng.randint(1, MAX_SURROUNDING)), rng)
        if rng.random() < SURROUNDED_SHARE
        else row
        for row in rows
    ]


def _surround(row: Question, others: list[str], rng: random.Random) -> Question:
    others = [sentence for sentence in others if sentence != row.context]
    before = others[: rng.randint(0, len(others))]
    context = " ".join([*before, row.context, *others[len(before) :]])
    shift = sum(len(sentence) + 1 for sentence in before)
    return replace(row, context=context, start=None if row.start is None else row.start + shift)


def span_stage(**settings: Any) -> SpanExtraction:
    """Return a fine-tuning stage of this model with the given rows."""
    return SpanExtraction(
        vocabulary=VOCABULARY, max_tokens=N_POSITIONS, batch_size=32, lr=1e-3, dropout=0.0, hint_weight=3.0, **settings
    )


class BertQaEn(TextRecipe):
    """Recipe of `bert-qa-en`: all layers of `bert-mini-en`, with two logits for each token."""

    name = "bert-qa-en"
    family = "transformers/bert"
    parent = "bert-mini-en"
    config = BertConfig(**SHAPE, heads=("span",))
    vocabulary = VOCABULARY
    max_tokens = N_POSITIONS
    stages = (
        span_stage(name="clozes", rows_of=article_clozes, n_epochs=1, muon_lr=0.01),
        span_stage(name="questions", rows_of=training_questions, n_epochs=2, muon_lr=0.005),
    )
    bars = {  # noqa: RUF012
        "gain_over_overlap": Bar(must=0.10, higher_is_better=True),
        "xquad_f1": Bar(must=0.25, aim=0.45, higher_is_better=True),
    }
    metrics = {  # noqa: RUF012
        "xquad_f1": "F1 of words, the 1,190 questions of XQuAD-en (from SQuAD 1.1's development set)",
        "xquad_em": "exact matches, the same",
        "overlap_f1": "F1 of answering with the sentence that shares most words with the question, the same",
        "gain_over_overlap": "the difference of the first and the third",
        "fairytale_f1": "F1 of words, the 410 questions of FairytaleQA test whose answer is a literal span",
        "fairytale_em": "exact matches, the same",
    }
    default_for = ("answer",)
    short_description = "answers in contexts"
    headline = "XQuAD F1 {xquad_f1:.4f} (best sentence: {overlap_f1:.4f})"
    summary = """
BERT of English, all 6 layers of `bert-mini-en`, tuned to point at the span of a context that answers a question.
Family: `transformers/bert`.
"""
    procedure = f"""
First, {N_CLOZES:,} questions that nobody asked, made of sentences of Wikipedia's articles: a question word and some of
a sentence's words, for a name, a number or a thing in it, among its neighbours; once, with Muon at 0.01 for matrices
and AdamW at 0.001 for the rest. Then two epochs, Muon at 0.005, of QAMR (Michael et al. 2018; its development and test
files, 36,748 questions on single sentences, half of them at a random place among up to six others), FairytaleQA (Xu et
al. 2022; the 3,308 questions of the training split whose answer is a literal span, twice) and {N_MIXED_CLOZES:,} of the
first. Batches of 32, with a linear decay in each part. Beside the answer, the model tells of each token of the context
whether the question has it too, from what it knows half-way up, and whether it is in the answer's sentence, by heads
that are dropped at the end (docs/decisions/0016). SQuAD was never trained on.
"""
    limits = """
It points at something that looks like an answer of the kind asked for, near words of the question; it does not reason.
Where a question has no answer in the context, it answers all the same.
"""
    known_failings = "Does not reason; answers even where the context has no answer."
    data_licence = (
        "Wikipedia: CC BY-SA 3.0. QAMR: MIT, sentences of Wikipedia (CC BY-SA) and Wikinews (CC BY). "
        "FairytaleQA: Apache-2.0. XQuAD, for the measurement: CC BY-SA 4.0."
    )

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the answers to the questions of two test sets."""
        model, codec = cast("TextEncoder", model), self.codec(resources)
        xquad_rows = xquad(resources.data)
        fairytale_rows = [row for row in fairytale_qa(resources.data).test if row.start is not None]
        xquad_answers = find_answers(model, codec, xquad_rows)
        fairytale_answers = find_answers(model, codec, fairytale_rows)
        overlap = [best_overlap_sentence(row.question, row.context) for row in xquad_rows]
        f1, overlap_f1 = _mean(token_f1, xquad_answers, xquad_rows), _mean(token_f1, overlap, xquad_rows)
        return {
            "xquad_f1": f1,
            "xquad_em": _mean(exact_match, xquad_answers, xquad_rows),
            "overlap_f1": overlap_f1,
            "gain_over_overlap": f1 - overlap_f1,
            "fairytale_f1": _mean(token_f1, fairytale_answers, fairytale_rows),
            "fairytale_em": _mean(exact_match, fairytale_answers, fairytale_rows),
        }

    @override
    def samples(self, model: TextModel, resources: Resources) -> tuple[list[str], list[str]]:
        """Show answers about one paragraph, and answers to XQuAD's questions with the true ones."""
        codec, encoder = self.codec(resources), cast("TextEncoder", model)
        chosen = [Question(question, CONTEXT, ("",), None) for question in SAMPLE_INPUTS]
        drawn = draw_examples(xquad(resources.data), N_SAMPLES)
        found = find_answers(encoder, codec, [*chosen, *drawn])
        lines = [
            f"{quote(row.question)} → {quote(answer)}" for row, answer in zip([*chosen, *drawn], found, strict=True)
        ]
        n = len(chosen)
        true = [f"{line} (true: {quote(row.answers[0])})" for line, row in zip(lines[n:], drawn, strict=True)]
        return lines[:n], true

    @override
    def samples_section(self, model: TextModel, resources: Resources) -> str:
        """Return the samples, preceded by the paragraph that the chosen questions are about."""
        return f"> {CONTEXT}\n\n{super().samples_section(model, resources)}"


def find_answers(model: TextEncoder, codec: TokenizersCodec, rows: Sequence[Question]) -> list[str]:
    """Return the likeliest span for each question, as `/answer` does."""
    found: list[str] = []
    with torch.inference_mode():
        for row in track(rows, "answers"):
            windows = tuple(codec.windows(row.question, row.context, STRIDE))
            (result,) = model.run(ANSWER, [AnswerRequest(windows=windows)])
            (best,) = answers(
                windows, result.spans, top_k=1, max_answer_tokens=MAX_ANSWER_TOKENS, allow_no_answer=False
            )
            found.append(best.answer)
    return found


def _mean(score: Callable[[str, Sequence[str]], float], guesses: Sequence[str], rows: Sequence[Question]) -> float:
    return mean(score(guess, row.answers) for guess, row in zip(guesses, rows, strict=True))


RECIPE = BertQaEn()

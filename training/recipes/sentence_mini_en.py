"""A sentence encoder: sentences with similar meanings get similar vectors."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from models.codecs.text import TokenizersCodec
from models.family import Model
from models.text.embedding import vectors
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel
from models.transformers.bert.config import BertConfig
from training.data.files import DataFolder
from training.data.questions import qamr
from training.data.stsb import ScoredPair, stsb
from training.data.wikipedia import wikipedia
from training.recipe import Bar, Resources, TrainedModel
from training.recipes.bert_mini_en import SHAPE, VOCABULARY
from training.texts.english import body_lines, plain_sentences
from training.texts.finetuning import ContrastivePairs, SimilarityRanking
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import draw_examples, quote
from training.texts.scores import spearman

MAX_TOKENS, BATCH_SIZE = 128, 64
N_NEIGHBOURS = 60_000
MIN_RELATED_SCORE = 4.0
"""Minimum score, of 5, at which two sentences of STS-B count as related."""
SAMPLE_INPUTS = (
    ("A man is playing a guitar.", "Someone makes music."),
    ("A man is playing a guitar.", "A man is eating soup."),
    ("The stock market fell sharply.", "Shares lost much of their value."),
    ("The stock market fell sharply.", "The market square was empty."),
    ("Two dogs run through the snow.", "Animals are running outside in winter."),
    ("She bought a new car.", "She sold her old bicycle."),
    ("The president resigned on Monday.", "The head of state stepped down."),
    ("How old are you?", "What is your age?"),
    ("It is raining.", "The sun is shining."),
    ("A child sleeps in a bed.", "A kid is asleep."),
)


def related_pairs(data: DataFolder) -> list[tuple[str, str]]:
    """Return pairs of neighbouring sentences, of questions and their sentences, and of similar sentences."""
    follow = [pair for line in body_lines(wikipedia(data).train) for pair in pairwise(plain_sentences(line))]
    asked = [(row.question, row.context) for row in qamr(data)]
    alike = [(row.first, row.second) for row in stsb(data).train if row.score >= MIN_RELATED_SCORE]
    return [*draw_examples(follow, N_NEIGHBOURS), *asked, *(4 * alike)]


def scored_pairs(data: DataFolder) -> list[ScoredPair]:
    """Return the training split of STS-B."""
    return stsb(data).train


class SentenceMiniEn(TextRecipe):
    """Recipe of `sentence-mini-en`: the first 4 layers of `bert-mini-en`; a vector is the mean of a text's tokens."""

    name = "sentence-mini-en"
    family = "transformers/bert"
    parent = "bert-mini-en"
    config = BertConfig(**{**SHAPE, "n_layers": 4})
    vocabulary = VOCABULARY
    max_tokens = MAX_TOKENS
    stages = (
        ContrastivePairs(
            name="neighbours",
            vocabulary=VOCABULARY,
            max_tokens=MAX_TOKENS,
            rows_of=related_pairs,
            n_epochs=1,
            batch_size=128,
            lr=1e-3,
        ),
        SimilarityRanking(
            name="similarities",
            vocabulary=VOCABULARY,
            max_tokens=MAX_TOKENS,
            rows_of=scored_pairs,
            n_epochs=6,
            batch_size=64,
            lr=4e-4,
            dropout=0.15,
        ),
    )
    bars = {"stsb_spearman": Bar(must=0.65, aim=0.75, higher_is_better=True)}  # noqa: RUF012
    metrics = {  # noqa: RUF012
        "stsb_spearman": "Spearman's rank correlation of cosines and scores, STS-B test, 1,379 pairs",
        "untuned_spearman": "the same of bert-mini-en as it is, the mean of its last hidden states",
        "words_spearman": "the same of the mean of its word embeddings",
    }
    default_for = ("encode", "similarity", "rerank", "project")
    short_description = "sentences as vectors"
    headline = "STS-B test, Spearman {stsb_spearman:.4f} (untuned: {untuned_spearman:.4f})"
    summary = """
BERT of English, the first 4 of the 6 layers of `bert-mini-en`, tuned so that the cosine of two sentences' vectors tells
how alike they are. Family: `transformers/bert`. A vector has 160 elements and unit length: the mean of the tokens'.
"""
    procedure = f"""
First, pairs that belong together, among all others of a batch of 128, at a temperature of 0.05: {N_NEIGHBOURS:,} pairs
of neighbouring sentences of Wikipedia's articles, the 36,748 questions of QAMR (Michael et al. 2018) with their
sentences, and the pairs of STS-B's training split that score 4 or more, four times. Then the 5,749 pairs of STS-B's
training split (Cer et al. 2017) in the order of their scores (CoSENT), 6 epochs in batches of 64. AdamW at 0.001 and
0.0004 with a linear decay.
"""
    limits = """
It was tuned on captions, headlines and forum posts, as STS-B has them; sentences of other kinds, and whole paragraphs,
it compares less well. Two sentences that contradict each other are alike to it.
"""
    known_failings = "Takes sentences that contradict each other for alike; compares whole paragraphs badly."
    data_licence = (
        "STS-B: scores CC BY-SA 4.0, sentences with the licences of their sources. QAMR: MIT, sentences of Wikipedia "
        "(CC BY-SA) and Wikinews (CC BY)."
    )

    @override
    def write(
        self, folder: Path, runs: Sequence[TrainedModel], folds: Sequence[TrainedModel], resources: Resources
    ) -> None:
        """Write the checkpoint, with the files in which sentence-transformers describes how vectors are made."""
        super().write(folder, runs, folds, resources)
        kinds = {"0": ("", "Transformer"), "1": ("1_Pooling", "Pooling"), "2": ("2_Normalize", "Normalize")}
        modules = [
            {"idx": int(number), "name": number, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in kinds.items()
        ]
        pooling = {"word_embedding_dimension": self.config.width, "pooling_mode_mean_tokens": True}
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "modules.json").write_text(json.dumps(modules, indent=2) + "\n")
        (folder / "1_Pooling/config.json").write_text(json.dumps(pooling, indent=2) + "\n")
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": self.max_tokens}) + "\n")

    @override
    def evaluate(self, models: Sequence[Model], resources: Resources) -> dict[str, float]:
        """Measure the rank correlation on STS-B's test split, and that of two encoders without tuning."""
        model, codec = cast("TextEncoder", models[0]), self.codec(resources)
        parent = cast("TextEncoder", resources.model("bert-mini-en"))
        test = stsb(resources.data).test
        truth = torch.tensor([row.score for row in test])
        pairs = [(row.first, row.second) for row in test]
        return {
            "stsb_spearman": spearman(cosines(model, codec, pairs), truth),
            "untuned_spearman": spearman(cosines(parent, codec, pairs), truth),
            "words_spearman": spearman(word_cosines(parent, codec, pairs), truth),
        }

    @override
    def samples(self, model: TextModel, resources: Resources) -> tuple[list[str], list[str]]:
        """Show pairs of sentences and the cosines of their vectors."""
        rows = draw_examples(stsb(resources.data).test, N_SAMPLES)
        pairs = [*SAMPLE_INPUTS, *((row.first, row.second) for row in rows)]
        values = cosines(cast("TextEncoder", model), self.codec(resources), pairs).tolist()
        lines = [f"{quote(a)} and {quote(b)} → {value:.2f}" for (a, b), value in zip(pairs, values, strict=True)]
        n = len(SAMPLE_INPUTS)
        return lines[:n], [f"{line} (people: {row.score:.1f} of 5)" for line, row in zip(lines[n:], rows, strict=True)]


def cosines(model: TextEncoder, codec: TokenizersCodec, pairs: Sequence[tuple[str, str]]) -> Tensor:
    """Return the cosine of the two texts' vectors for each pair, `[n]`."""
    firsts, seconds = (_vectors(model, codec, [pair[side] for pair in pairs]) for side in (0, 1))
    return functional.cosine_similarity(firsts, seconds)


def _vectors(model: TextEncoder, codec: TokenizersCodec, texts: Sequence[str]) -> Tensor:
    tokens = [codec.encode_truncated(text) for text in texts]
    with torch.inference_mode():
        parts = [
            vectors(model, tokens[start : start + BATCH_SIZE], "mean") for start in range(0, len(tokens), BATCH_SIZE)
        ]
    return torch.cat(parts)


def word_cosines(model: TextEncoder, codec: TokenizersCodec, pairs: Sequence[tuple[str, str]]) -> Tensor:
    """Return the cosine of the two texts' mean word embeddings for each pair, `[n]`."""
    words = model.word_matrix()
    firsts, seconds = (
        torch.stack([words[codec.encode(pair[side], add_special_tokens=False).ids].mean(0) for pair in pairs])
        for side in (0, 1)
    )
    return functional.cosine_similarity(firsts, seconds)


RECIPE = SentenceMiniEn()

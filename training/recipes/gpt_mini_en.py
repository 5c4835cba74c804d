"""GPT for English: an encyclopaedia, novels and stories, with more stories at the end."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rich.progress import track
from torch.nn import functional
from typing_extensions import override

from models.family import Model
from models.tasks import GENERATE
from models.tasks.generation import GenerateRequest
from models.text.attention_patterns import WithinTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_model import TextModel
from models.transformers.gpt.config import GptConfig
from models.transformers.gpt.model import Gpt
from training.data.files import DataFolder
from training.data.stories import childrens_stories
from training.data.wikipedia import wikipedia
from training.data.wikitext import wikitext2
from training.recipe import Bar, Resources, TrainedModel
from training.texts.corpus import TokenIds, tokenise_documents
from training.texts.english import TEXTS_LICENCE, as_wikitext, english_texts, sentences
from training.texts.ngrams import KneserNey
from training.texts.pretraining import CausalPretraining, TextSource
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import draw_examples, quote
from training.texts.scores import compressed_bits_per_byte
from training.texts.vocabulary import GPT_ROLES, Vocabulary, byte_level

VOCAB_SIZE, N_POSITIONS = 8192, 256
N_TOKENS, N_LAST_TOKENS = 18_000_000, 5_000_000
STORIES_SHARE, N_WIKITEXT_WORDS = 3, 33_000
"""Repetitions of the stories in the last stage, and the number of words that WikiText keeps."""
STRIDE, BATCH_SIZE = 128, 32
ORDER = 5
SAMPLE_INPUTS = (
    "Once upon a time there was a little girl who",
    "The old king had three sons.",
    "One day, a fox met a hen.",
    '"Where are you going?" asked the',
    "The city is located in",
    "He was born in 1960 and studied",
    "The album was released",
    "She looked out of the window and",
    "In the morning the children went",
    "The company was founded in",
)


def stories_and_articles(data: DataFolder) -> list[str]:
    """Return the texts of the last stage: the stories several times, and some of the articles.

    A tenth of the articles is unchanged, and a sixth is rewritten in the style of WikiText.
    """
    articles = wikipedia(data).train
    wikitext_style = as_wikitext(articles, N_WIKITEXT_WORDS)[5::6]
    return [*(STORIES_SHARE * childrens_stories(data).train), *articles[::10], *wikitext_style]


def held_out(data: DataFolder) -> dict[str, str]:
    """Return the texts the model is measured on, by the prefix of their metrics."""
    return {
        "wikipedia": "\n\n".join(wikipedia(data).valid),
        "stories": "\n\n".join(childrens_stories(data).held_out),
        "wikitext2": wikitext2(data).test,
    }


VOCABULARY = Vocabulary(
    folder="transformers/gpt/gpt-mini-en", roles=GPT_ROLES, train=byte_level(english_texts, VOCAB_SIZE, GPT_ROLES)
)
_TEST_NAMES = {
    "wikipedia": "held-out articles of Wikipedia",
    "stories": "the last 5% of the children's stories",
    "wikitext2": "WikiText-2 test",
}


class GptMiniEn(TextRecipe):
    """Recipe of `gpt-mini-en`: 6 layers of width 160."""

    name = "gpt-mini-en"
    family = "transformers/gpt"
    config = GptConfig(
        vocab_size=VOCAB_SIZE, n_positions=N_POSITIONS, width=160, n_layers=6, n_heads=5, inner_width=640
    )
    vocabulary = VOCABULARY
    max_tokens = N_POSITIONS
    stages = (
        CausalPretraining(
            vocabulary=VOCABULARY,
            sources=(TextSource("articles, stories, novels", english_texts),),
            n_tokens=N_TOKENS,
            length=N_POSITIONS,
            batch_size=16,
        ),
        CausalPretraining(
            name="stories",
            vocabulary=VOCABULARY,
            sources=(TextSource("stories, articles", stories_and_articles),),
            n_tokens=N_LAST_TOKENS,
            length=N_POSITIONS,
            batch_size=16,
            rate_factor=0.25,
        ),
    )
    bars = {  # noqa: RUF012
        "wikipedia_bits": Bar(must=1.80, aim=1.40),
        **{f"{name}_over_xz": Bar(must=0.65) for name in _TEST_NAMES},
        **{f"{name}_over_ngrams": Bar(must=1.0) for name in _TEST_NAMES},
    }
    metrics = {  # noqa: RUF012
        **{f"{name}_bits": f"bits a byte, {what}" for name, what in _TEST_NAMES.items()},
        **{f"{name}_over_xz": f"its share of the bits of `xz -9`, {what}" for name, what in _TEST_NAMES.items()},
        **{
            f"{name}_over_ngrams": f"its share of the bits of an interpolated Kneser-Ney model of order {ORDER}, {what}"
            for name, what in _TEST_NAMES.items()
        },
    }
    default_for = ("generate", "score_text")
    short_description = "texts, continued"
    headline = "{wikipedia_bits:.3f} bits a byte of Wikipedia, {stories_bits:.3f} of stories"
    summary = """
GPT of English, with 6 layers of 160, 5 heads and 640 inner units: 3.2 million parameters. It continues texts: stories
best. Family: `transformers/gpt`. Vocabulary: 8,192 pairs of bytes.
"""
    procedure = f"""
26,511 articles of the English Wikipedia begun in 2018, 887 stories for children and 50 novels of 1880 to 1912: about 86
MB. Rows of 256 tokens of whole texts, one after the other. {N_TOKENS:,} tokens, then {N_LAST_TOKENS:,} at a quarter of
the rate of the stories, every tenth article, and every sixth in the spelling of WikiText (blanks around marks, `<unk>`
for rare words, which it never writes: `<` is suppressed); batches of 16 rows, Muon at 0.01 for matrices and AdamW at
0.005 for the rest, with a linear decay. The Kneser-Ney model was fitted to the same texts, but for the last spelling,
cut by the same tokenizer.
"""
    limits = """
What it writes sounds like a story or an encyclopaedia for a sentence or two, and then loses its thread. Nothing in it
is knowledge: names, years and places are made up.
"""
    known_failings = "Loses its thread after a sentence or two; names, years and places are made up."
    data_licence = TEXTS_LICENCE

    @override
    def write(self, folder: Path, run: TrainedModel, folds: Sequence[TrainedModel], resources: Resources) -> None:
        """Write the checkpoint, and suppress the token `<` in its generation settings.

        It begins `<unk>`, which the model has learned from texts in WikiText's style.
        """
        super().write(folder, run, folds, resources)
        suppressed_id = self.vocabulary.tokenizer(resources).token_to_id("<")
        (folder / "generation_config.json").write_text(
            json.dumps({"suppress_tokens": [suppressed_id]}, indent=2) + "\n"
        )

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure bits per byte, and their ratios to those of a compressor and of an n-gram model."""
        model, tokenizer = cast("Gpt", model), self.vocabulary.tokenizer(resources)
        ngrams = KneserNey.fit(
            np.concatenate(tokenise_documents(tokenizer, english_texts(resources.data), "n-grams")),
            VOCAB_SIZE,
            order=ORDER,
        )
        measured: dict[str, float] = {}
        for name, text in held_out(resources.data).items():
            (row,) = tokenise_documents(tokenizer, [text], name)
            n_bytes = len(text.encode())
            bits = text_bits(model, row, name) / n_bytes
            ngram_bits = -float(ngrams.log2_probs(row).sum()) / n_bytes
            measured[f"{name}_bits"] = bits
            measured[f"{name}_over_xz"] = bits / compressed_bits_per_byte(text.encode())
            measured[f"{name}_over_ngrams"] = bits / ngram_bits
        return measured

    @override
    def samples(self, model: TextModel, resources: Resources) -> tuple[list[str], list[str]]:
        """Show beginnings of texts and how the model continues them."""
        examples = draw_examples(sentences(wikipedia(resources.data).valid), N_SAMPLES)
        beginnings = [" ".join(text.split()[:8]) for text in examples]
        lines = [self._show_continuation(cast("Gpt", model), resources, text) for text in (*SAMPLE_INPUTS, *beginnings)]
        return lines[: len(SAMPLE_INPUTS)], lines[len(SAMPLE_INPUTS) :]

    def _show_continuation(self, model: Gpt, resources: Resources, text: str) -> str:
        codec = self.codec(resources)
        request = GenerateRequest(tokens=codec.encode(text), max_new_tokens=40, do_sample=True, top_p=0.9, seed=0)
        with torch.inference_mode():
            (result,) = model.run(GENERATE, [request])
        continuation = codec.decode([token.id for token in result.sequences[0].tokens])
        return f"{quote(text)} → {quote(continuation)}"


def text_bits(model: Gpt, row: TokenIds, name: str) -> float:
    """Return the bits of all tokens of a text but the first.

    Windows overlap, so that each token is predicted from at least half of the model's context where the text allows it.
    """
    ids = torch.from_numpy(row).long()
    starts = range(0, max(1, len(ids) - N_POSITIONS + STRIDE), STRIDE)
    nats = 0.0
    with torch.inference_mode():
        for batch_start in track(range(0, len(starts), BATCH_SIZE), f"bits of {name}"):
            windows = [ids[start : start + N_POSITIONS] for start in starts[batch_start : batch_start + BATCH_SIZE]]
            batch = RaggedBatch.of_rows(
                torch.nn.utils.rnn.pad_sequence(windows, batch_first=True), [len(window) for window in windows]
            )
            hidden = model.hidden(batch, WithinTexts(batch.segments, causal=True))
            for number, (window, states) in enumerate(zip(windows, batch.segments.split(hidden), strict=True)):
                # All tokens but the last `STRIDE` were scored in the window before.
                n_scored = 1 if batch_start + number == 0 else N_POSITIONS - STRIDE
                logits = model.logits(states[n_scored - 1 : -1])
                nats += functional.cross_entropy(logits, window[n_scored:], reduction="sum").item()
    return nats / math.log(2)


RECIPE = GptMiniEn()

"""ALBERT for English: masked words and sentence order, with one block shared by all layers."""

from typing import Any

from typing_extensions import override

from models.transformers.albert.config import AlbertConfig
from models.transformers.albert.objective import loss
from training.recipe import Bar
from training.texts.english import ENCODER_TEXTS, ORDERED_HELD_OUT, ORDERED_TEXTS, english_texts
from training.texts.language import MASKED_METRICS, MaskedLanguageRecipe
from training.texts.pairs import SentenceOrder
from training.texts.pretraining import CausalEncoderPretraining, MaskedPretraining
from training.texts.vocabulary import ALBERT_ROLES, Vocabulary, unigram

VOCAB_SIZE, N_POSITIONS = 5000, 512
N_FIRST_TOKENS, N_TOKENS, N_LONG_TOKENS = 8_000_000, 10_000_000, 4_000_000
VOCABULARY = Vocabulary(
    folder="transformers/albert/albert-mini-en", roles=ALBERT_ROLES, train=unigram(english_texts, VOCAB_SIZE)
)
SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "n_positions": N_POSITIONS,
    "n_token_types": 2,
    "embedding_width": 96,
    "width": 192,
    "n_layers": 6,
    "n_heads": 6,
    "inner_width": 768,
}


def pretraining(**settings: Any) -> SentenceOrder:
    """Return a pretraining stage of this model with the given sources and number of tokens."""
    return SentenceOrder(vocabulary=VOCABULARY, masking="whole-word", loss_of=loss, **settings)


class AlbertMiniEn(MaskedLanguageRecipe):
    """Recipe of `albert-mini-en`: one layer of width 192, applied 6 times."""

    name = "albert-mini-en"
    family = "transformers/albert"
    config = AlbertConfig(**SHAPE, heads=("pooler", "pair", "masked"))
    vocabulary = VOCABULARY
    max_tokens = N_POSITIONS
    stages = (
        CausalEncoderPretraining(
            name="reading-on", vocabulary=VOCABULARY, sources=ENCODER_TEXTS, n_tokens=N_FIRST_TOKENS
        ),
        pretraining(sources=ORDERED_TEXTS, n_tokens=N_TOKENS, rate_factor=0.3),
        pretraining(
            name="longer-rows",
            sources=ORDERED_TEXTS,
            n_tokens=N_LONG_TOKENS,
            length=N_POSITIONS,
            batch_size=12,
            rate_factor=0.2,
            n_learned_positions=128,
        ),
    )
    bars = {"sentence_order_accuracy": Bar(must=0.75, aim=0.85, higher_is_better=True)}  # noqa: RUF012
    pair_metric = "sentence_order_accuracy"
    metrics = {  # noqa: RUF012
        **MASKED_METRICS,
        "sentence_order_accuracy": "accuracy of the order of two parts, the same",
    }
    sample_inputs = (
        "The capital of France is [MASK].",
        "She opened the [MASK] and went into the house.",
        "He was born in [MASK] and grew up in London.",
        "The film was [MASK] by the critics.",
        "The king and the [MASK] lived in a castle.",
        "They won the match by two [MASK].",
        "The river flows into the [MASK].",
        "He plays the [MASK] in a rock band.",
        "Water [MASK] at a hundred degrees.",
        "The album was released in [MASK] by Columbia Records.",
    )
    short_description = "masked words, the order of sentences"
    headline = "sentence order {sentence_order_accuracy:.4f}"
    summary = """
ALBERT of English in lower case, with one block of width 192, 6 heads and 768 inner units that is run 6 times, and
words embedded in 96: 1.1 million parameters. It guesses masked words, and which of two parts of a text comes first.
Family: `transformers/albert`. Vocabulary: 5,000 pieces of a unigram model.
"""
    procedure = f"""
26,511 articles of the English Wikipedia begun in 2018, 887 stories for children and 50 novels of 1880 to 1912: about 86
MB. First {N_FIRST_TOKENS:,} tokens, each guessed from those before it alone (docs/decisions/0016), with Muon at 0.01
for matrices and AdamW at 0.005 for the rest. Then {N_TOKENS:,} tokens of the articles and stories without their titles:
whole sentences of one text, as many as 128 tokens hold, cut in two between two of them, the two parts the other way
round half of the time; 15% of the words are masked as wholes, anew each time; at three tenths of the rates. Batches of
32 rows. At the end {N_LONG_TOKENS:,} tokens of the same in rows of 512, 12 a batch, at a fifth of the rates; the later
positions begin as copies of the first 128 (Beltagy et al. 2020). A linear decay in each part.
"""
    limits = """
Small, and trained on less than an hour of reading: it knows everyday words and the tone of an encyclopaedia, and few
facts. How an article begins it tells from the rest far better than what of its middle follows what.
"""
    known_failings = "Small and briefly trained: knows everyday words and few facts; reads lower case only."

    @override
    def held_out(self) -> MaskedPretraining:
        return pretraining(sources=ORDERED_HELD_OUT, n_tokens=0, length=N_POSITIONS)


RECIPE = AlbertMiniEn()

"""BERT for English: masked words and next sentences, trained on an encyclopaedia, stories and novels."""

from typing import Any

from typing_extensions import override

from models.transformers.bert.config import BertConfig
from models.transformers.bert.objective import loss
from training.texts.english import ENCODER_TEXTS, HELD_OUT, english_texts
from training.texts.language import MASKED_METRICS, MaskedLanguageRecipe
from training.texts.pairs import NextSentences
from training.texts.pretraining import CausalEncoderPretraining, MaskedPretraining
from training.texts.vocabulary import BERT_ROLES, Vocabulary, wordpiece

VOCAB_SIZE, N_POSITIONS = 5000, 256
N_FIRST_TOKENS, N_TOKENS, N_LONG_TOKENS = 12_000_000, 12_000_000, 1_000_000
VOCABULARY = Vocabulary(
    folder="transformers/bert/bert-mini-en", roles=BERT_ROLES, train=wordpiece(english_texts, VOCAB_SIZE)
)
SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "n_positions": N_POSITIONS,
    "n_token_types": 2,
    "width": 160,
    "n_layers": 6,
    "n_heads": 5,
    "inner_width": 640,
}


def pretraining(**settings: Any) -> NextSentences:
    """Return a pretraining stage of this model with the given sources and number of tokens."""
    return NextSentences(vocabulary=VOCABULARY, masking="dynamic", loss_of=loss, **settings)


class BertMiniEn(MaskedLanguageRecipe):
    """Recipe of `bert-mini-en`: deep and narrow, 6 layers of width 160 (docs/decisions/0016)."""

    name = "bert-mini-en"
    family = "transformers/bert"
    config = BertConfig(**SHAPE, heads=("pooler", "pair", "masked"))
    vocabulary = VOCABULARY
    max_tokens = N_POSITIONS
    stages = (
        CausalEncoderPretraining(
            name="reading-on", vocabulary=VOCABULARY, sources=ENCODER_TEXTS, n_tokens=N_FIRST_TOKENS
        ),
        pretraining(sources=ENCODER_TEXTS, n_tokens=N_TOKENS, masked_share=0.3, rate_factor=0.3),
        pretraining(
            name="longer-rows",
            sources=ENCODER_TEXTS,
            n_tokens=N_LONG_TOKENS,
            length=N_POSITIONS,
            batch_size=16,
            rate_factor=0.1,
        ),
    )
    pair_metric = "next_sentence_accuracy"
    metrics = {  # noqa: RUF012
        **MASKED_METRICS,
        "next_sentence_accuracy": "accuracy of next sentences, the same",
    }
    sample_inputs = (
        "The capital of France is [MASK].",
        "She opened the [MASK] and went into the house.",
        "He was born in [MASK] and grew up in London.",
        "The film was [MASK] by the critics.",
        "The king and the [MASK] lived in a castle.",
        "They won the match by two [MASK].",
        "The [MASK] is the largest planet of the solar system.",
        "He plays the [MASK] in a rock band.",
        "Water [MASK] at a hundred degrees.",
        "The album was released in [MASK] by Columbia Records.",
    )
    default_for = ("fill_mask", "attend", "tokenize", "detokenize")
    short_description = "masked words, vectors; the parent of the others"
    headline = "pseudo-perplexity {pseudo_perplexity:.2f}; next sentences {next_sentence_accuracy:.3f}"
    summary = """
BERT of English in lower case, with 6 layers of 160, 5 heads and 640 inner units: 2.8 million parameters. It guesses
masked words, and whether a text follows another. Family: `transformers/bert`. Vocabulary: 5,000 pieces of words.
"""
    procedure = f"""
26,511 articles of the English Wikipedia begun in 2018, 887 stories for children and 50 novels of 1880 to 1912: about 86
MB. First {N_FIRST_TOKENS:,} tokens in rows of 128, each token guessed from those before it alone (docs/decisions/0016),
with Muon at 0.01 for matrices and AdamW at 0.005 for the rest. Then {N_TOKENS:,} tokens in rows of 128 of one document,
cut in two behind a sentence; the second part is another document's half of the time; 30% of the tokens are masked, anew
each time; at three tenths of the rates. Then {N_LONG_TOKENS:,} in rows of 256 with 15% masked, at a tenth of the rates.
Batches of 4,096 tokens, with a linear decay in each part.
"""
    limits = """
Small, and trained on some hours of reading: it knows everyday words and the tone of an encyclopaedia, and few facts.
Trained on rows of 128 tokens, and on few of 256. Everything is in lower case.
"""
    known_failings = (
        "Small and briefly trained: knows everyday words and few facts; reads lower case only; weak beyond 128 tokens."
    )

    @override
    def held_out(self) -> MaskedPretraining:
        return pretraining(sources=HELD_OUT, n_tokens=0)


RECIPE = BertMiniEn()

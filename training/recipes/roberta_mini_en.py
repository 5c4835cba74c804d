"""RoBERTa for English: masked words only, in consecutive whole texts."""

from typing import Any

from typing_extensions import override

from models.transformers.roberta.config import RobertaConfig
from training.texts.english import ENCODER_TEXTS, HELD_OUT, english_texts
from training.texts.language import MaskedLanguageRecipe
from training.texts.pretraining import CausalEncoderPretraining, MaskedPretraining
from training.texts.vocabulary import ROBERTA_ROLES, Vocabulary, byte_level

VOCAB_SIZE, N_POSITIONS, PADDING_ID = 8192, 256, 1
N_FIRST_TOKENS, N_TOKENS = 8_000_000, 16_000_000
VOCABULARY = Vocabulary(
    folder="transformers/roberta/roberta-mini-en",
    roles=ROBERTA_ROLES,
    train=byte_level(english_texts, VOCAB_SIZE, ROBERTA_ROLES),
)
SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "n_positions": N_POSITIONS + PADDING_ID + 1,
    "n_token_types": 1,
    "width": 128,
    "n_layers": 6,
    "n_heads": 4,
    "inner_width": 512,
    "norm_eps": 1e-5,
    "padding_id": PADDING_ID,
}


def pretraining(**settings: Any) -> MaskedPretraining:
    """Return a pretraining stage of this model with the given sources and number of tokens."""
    return MaskedPretraining(vocabulary=VOCABULARY, masking="dynamic", **settings)


class RobertaMiniEn(MaskedLanguageRecipe):
    """Recipe of `roberta-mini-en`: 6 layers of width 128."""

    name = "roberta-mini-en"
    family = "transformers/roberta"
    config = RobertaConfig(**SHAPE, heads=("masked",))
    vocabulary = VOCABULARY
    max_tokens = N_POSITIONS
    stages = (
        CausalEncoderPretraining(
            name="reading-on", vocabulary=VOCABULARY, sources=ENCODER_TEXTS, n_tokens=N_FIRST_TOKENS
        ),
        pretraining(sources=ENCODER_TEXTS, n_tokens=N_TOKENS, rate_factor=0.3),
    )
    sample_inputs = (
        "The capital of France is<mask>.",
        "She opened the<mask> and went into the house.",
        "He was born in<mask> and grew up in London.",
        "The film was<mask> by the critics.",
        "The king and the<mask> lived in a castle.",
        "They won the match by two<mask>.",
        "The company<mask> that it would open a new factory.",
        "He plays the<mask> in a rock band.",
        "The United<mask> of America",
        "The album was released in<mask> by Columbia Records.",
    )
    short_description = "masked words"
    headline = "pseudo-perplexity {pseudo_perplexity:.2f}"
    summary = """
RoBERTa of English, with 6 layers of 128, 4 heads and 512 inner units: 2.3 million parameters. It guesses masked words,
capitals and punctuation included. Family: `transformers/roberta`. Vocabulary: 8,192 pairs of bytes.
"""
    procedure = f"""
26,511 articles of the English Wikipedia begun in 2018, 887 stories for children and 50 novels of 1880 to 1912: about 86
MB. First {N_FIRST_TOKENS:,} tokens, each guessed from those before it alone (docs/decisions/0016), with Muon at 0.01
for matrices and AdamW at 0.005 for the rest. Then {N_TOKENS:,} tokens of whole texts, one after the other; 15% of the
tokens are masked, anew each time, and there are no pairs; at three tenths of the rates. Batches of 32 rows of 128
tokens, with a linear decay in each part.
"""
    limits = """
Small, and trained on less than an hour of reading: it knows everyday words and the tone of an encyclopaedia, and few
facts. Trained on rows of 128 tokens; it takes 256, but has not learned the later positions.
"""
    known_failings = (
        "Small and briefly trained: knows everyday words and few facts; has not learned positions beyond 128 tokens."
    )

    @override
    def held_out(self) -> MaskedPretraining:
        return pretraining(sources=HELD_OUT, n_tokens=0)


RECIPE = RobertaMiniEn()

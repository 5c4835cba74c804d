"""The Transformer that translates captions from English into German."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from rich.progress import track
from typing_extensions import override

from models.codecs.text import TokenizersCodec
from models.family import Model
from models.tasks import TRANSLATE
from models.tasks.generation import GenerateRequest
from models.text.text_model import TextModel
from models.transformers.vanilla.config import VanillaTransformerConfig
from models.transformers.vanilla.model import VanillaTransformer
from training.data.files import DataFolder
from training.data.multi30k import TranslationPair, multi30k
from training.recipe import Bar, Resources
from training.texts.recipe import N_SAMPLES, TextRecipe
from training.texts.samples import draw_examples, quote
from training.texts.scores import bleu
from training.texts.translation import Translation
from training.texts.vocabulary import MARIAN_ROLES, Vocabulary, byte_level

VOCAB_SIZE, N_POSITIONS, N_BEAMS = 6000, 128, 5
BATCH_SIZE = 50
SAMPLE_INPUTS = (
    "A man is riding a bike.",
    "Two dogs are playing in the snow.",
    "A little girl in a pink dress is climbing stairs.",
    "People are sitting at a table in a restaurant.",
    "A woman is cutting vegetables in the kitchen.",
    "Three children are jumping into a swimming pool.",
    "A football player is about to kick the ball.",
    "An old man plays the guitar on the street.",
    "A group of tourists is waiting for a train.",
    "The parliament adopted the new law yesterday.",
)


def _captions(data: DataFolder) -> list[str]:
    return [text for pair in multi30k(data).train for text in (pair.source, pair.target)]


VOCABULARY = Vocabulary(
    folder="transformers/vanilla/transformer-multi30k-en-de",
    roles=MARIAN_ROLES,
    train=byte_level(_captions, VOCAB_SIZE, MARIAN_ROLES),
)
END_ID, PAD_ID = 0, 2
"""Ids of the end and padding tokens, by the order of `MARIAN_ROLES`."""


class TransformerMulti30kEnDe(TextRecipe):
    """Recipe of `transformer-multi30k-en-de`: 4 + 4 layers of width 128, one embedding matrix for both languages."""

    name = "transformer-multi30k-en-de"
    family = "transformers/vanilla"
    config = VanillaTransformerConfig(
        vocab_size=VOCAB_SIZE,
        target_vocab_size=VOCAB_SIZE,
        n_positions=N_POSITIONS,
        width=128,
        n_encoder_layers=4,
        n_decoder_layers=4,
        n_encoder_heads=4,
        n_decoder_heads=4,
        encoder_inner_width=512,
        decoder_inner_width=512,
        start_id=PAD_ID,
        end_ids=(END_ID,),
        suppressed_ids=(PAD_ID,),
    )
    licence = "non-commercial research and education, as the captions it was trained on"
    vocabulary = VOCABULARY
    max_tokens = N_POSITIONS
    stages = (
        Translation(
            vocabulary=VOCABULARY,
            max_tokens=N_POSITIONS,
            pairs_of=lambda data: multi30k(data).train,
            n_epochs=20,
            batch_size=128,
            muon_lr=0.005,
            adamw_lr=2e-3,
            dropout=0.3,
        ),
    )
    bars = {"bleu_lower": Bar(must=36.0, aim=41.0, higher_is_better=True)}  # noqa: RUF012
    metrics = {  # noqa: RUF012
        "bleu": "BLEU, test_2016_flickr, cased (sacreBLEU, 13a), beams of 5",
        "bleu_lower": "BLEU of the same in lower case (13a)",
        "bleu_greedy": "BLEU, cased, without beams",
    }
    default_for = ("translate",)
    short_description = "captions, English to German"
    headline = "BLEU {bleu_lower:.2f} in lower case, {bleu:.2f} cased (test_2016_flickr)"
    summary = """
The Transformer as it first was, with 4 + 4 layers of 128, 4 heads and 512 inner units, one matrix for the words of both
languages: 2.6 million parameters. It translates captions of pictures from English into German. Family:
`transformers/vanilla`. Vocabulary: 6,000 pairs of bytes, both languages together.
"""
    procedure = """
Multi30k (Elliott et al. 2016), the 29,000 pairs of the training split, raw. 20 epochs in batches of 128 pairs, Muon at
0.005 for matrices, AdamW at 0.002 for the rest, with a linear decay; dropout 0.3, labels smoothed by 0.1. The weights
are the average over the last fifth of all steps.
"""
    limits = """
It knows captions: short sentences in the present tense about what is to be seen. Anything else comes out as a caption,
or garbled; see the last of the chosen samples.
"""
    known_failings = "Translates captions of pictures; any other text comes out as a caption, or garbled."
    data_licence = "Multi30k: derived from Flickr30K, for non-commercial research and educational purposes."

    @override
    def special_ids(self, resources: Resources) -> dict[str, Any]:
        """Return the id of the padding token, which also begins a translation."""
        return {"pad_token_id": PAD_ID}

    @override
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Measure BLEU on the test split, with and without beam search."""
        model, codec, test = cast("VanillaTransformer", model), self.codec(resources), multi30k(resources.data).test
        sources, references = [pair.source for pair in test], [pair.target for pair in test]
        beams = translations(model, codec, sources, N_BEAMS)
        greedy = translations(model, codec, sources, 1)
        return {
            "bleu": bleu(beams, references, lowercase=False),
            "bleu_lower": bleu(beams, references, lowercase=True),
            "bleu_greedy": bleu(greedy, references, lowercase=False),
        }

    @override
    def samples(self, model: TextModel, resources: Resources) -> tuple[list[str], list[str]]:
        """Show captions and their translations."""
        test: list[TranslationPair] = draw_examples(multi30k(resources.data).test, N_SAMPLES)
        inputs = [*SAMPLE_INPUTS, *(pair.source for pair in test)]
        translated = translations(cast("VanillaTransformer", model), self.codec(resources), inputs, N_BEAMS)
        lines = [f"{quote(source)} → {quote(target)}" for source, target in zip(inputs, translated, strict=True)]
        return lines[: len(SAMPLE_INPUTS)], lines[len(SAMPLE_INPUTS) :]


def translations(model: VanillaTransformer, codec: TokenizersCodec, texts: Sequence[str], num_beams: int) -> list[str]:
    """Translate the texts as `/translate` does."""
    translated: list[str] = []
    with torch.inference_mode():
        for start in track(range(0, len(texts), BATCH_SIZE), f"translations, {num_beams} beams"):
            tokens = [codec.encode_truncated(text) for text in texts[start : start + BATCH_SIZE]]
            requests = [GenerateRequest(tokens=text_tokens, num_beams=num_beams) for text_tokens in tokens]
            translated += [
                codec.decode([token.id for token in result.sequences[0].tokens])
                for result in model.run(TRANSLATE, requests)
            ]
    return translated


RECIPE = TransformerMulti30kEnDe()

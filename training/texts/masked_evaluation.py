"""Evaluate the predictions of a pretrained encoder on texts it was not trained on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.progress import track
from torch.nn import functional

from models.codecs.text import TokenizersCodec
from models.tasks import SCORE_TEXT
from models.tasks.text import ScoreTextRequest
from models.text.attention_patterns import WithinTexts
from models.text.text_encoder import TextEncoder
from training.recipe import Resources
from training.texts.pretraining import MaskedPretraining

BATCH_SIZE = 64


@dataclass(frozen=True)
class MaskedPredictionScores:
    """The loss in nats and the accuracy at masked tokens, and the accuracy on text pairs, 0 without pairs."""

    loss: float
    accuracy: float
    pair_accuracy: float


def masked_prediction_scores(
    model: TextEncoder, stage: MaskedPretraining, resources: Resources
) -> MaskedPredictionScores:
    """Score the model on the items of `stage`, whose sources are held out; masks are drawn with the seed 0."""
    generator = torch.Generator().manual_seed(0)
    items = stage.items(resources)
    order = torch.randperm(len(items[0]), generator=generator)  # so that a batch mixes documents
    items = tuple(tensor[order] for tensor in items)
    n_masked = n_right = n_paired = 0
    loss = 0.0
    with torch.inference_mode():
        for start in range(0, len(items[0]), BATCH_SIZE):
            masked_batch = stage.masked_batch(tuple(tensor[start : start + BATCH_SIZE] for tensor in items), generator)
            hidden = model.hidden(masked_batch.texts, WithinTexts(masked_batch.texts.segments))
            is_masked = masked_batch.targets >= 0
            logits, targets = model.masked_logits(hidden[is_masked]), masked_batch.targets[is_masked]
            loss += functional.cross_entropy(logits, targets, reduction="sum").item()
            n_masked += len(targets)
            n_right += int((logits.argmax(1) == targets).sum())
            if model.pair_head is not None:
                n_paired += int((model.pair_logits(masked_batch.texts, hidden).argmax(1) == masked_batch.labels).sum())
    return MaskedPredictionScores(loss / n_masked, n_right / n_masked, n_paired / len(items[0]))


def pseudo_perplexity(model: TextEncoder, codec: TokenizersCodec, texts: Sequence[str]) -> float:
    """Return exp of the mean negative log-probability of each token when it alone is masked.

    Source: Salazar et al. 2020, section 2.
    """
    log_probs: list[torch.Tensor] = []
    with torch.inference_mode():
        for text in track(texts, "pseudo-perplexity"):
            (result,) = model.run(SCORE_TEXT, [ScoreTextRequest(tokens=codec.encode_truncated(text))])
            log_probs.append(result.log_probs)
    return math.exp(-float(torch.cat(log_probs).mean()))

"""Classes of texts and of their tokens."""

from collections.abc import Sequence
from typing import cast

from models.ops.devices import to_cpu
from models.results import rank_labels
from models.tasks.classification import Activation, ClassifyResult
from models.tasks.text import ClassifyTextRequest, ClassifyTokensRequest, ClassifyTokensResult
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel


def classify(model: TextModel, requests: Sequence[ClassifyTextRequest]) -> list[ClassifyResult]:
    """Return the likeliest classes of each text, with their scores.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    logits = model.class_logits([request.tokens for request in requests])
    default = cast("Activation", model.label_activation)
    return [
        rank_labels(model.labels, row, activation=request.function_to_apply or default, top_k=request.top_k)
        for request, row in zip(requests, logits.unbind(), strict=True)
    ]


def classify_tokens(model: TextEncoder, requests: Sequence[ClassifyTokensRequest]) -> list[ClassifyTokensResult]:
    """Return the probabilities of the classes of each token.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    batch, hidden = model.read([request.tokens for request in requests])
    scores = to_cpu(model.token_logits(hidden)).softmax(-1)
    return [ClassifyTokensResult(scores=of_text) for of_text in batch.by_text(scores)]

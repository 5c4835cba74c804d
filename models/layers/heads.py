"""Heads of Transformers: layers after the last block.

Shapes: `N` tokens, `B` texts, `D` width, `E` width of the word embeddings, `V` vocabulary.
"""

import torch
from torch import Tensor, nn

from models.layers.activations import ACTIVATIONS


class Pooler(nn.Module):
    """act(W h + b), where h is the hidden state of a text's first token (Devlin et al. 2019, appendix A.1)."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, first: Tensor) -> Tensor:
        """Compute `[B, D]` from `[B, D]`."""
        pooled: Tensor = self.activation(self.dense(first))
        return pooled


class MaskedLanguageHead(nn.Module):
    """V LayerNorm(act(W h + b)) + c (Devlin et al. 2019, task 1).

    V are the word embeddings or, if the head is `untied`, a matrix of its own.
    """

    def __init__(
        self, width: int, embedding_width: int, vocab_size: int, activation: str, norm_eps: float, *, untied: bool
    ) -> None:
        super().__init__()
        self.dense = nn.Linear(width, embedding_width)
        self.activation = ACTIVATIONS[activation]()
        self.norm = nn.LayerNorm(embedding_width, norm_eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.decoder = nn.Parameter(torch.randn(vocab_size, embedding_width) * 0.02) if untied else None

    def forward(self, hidden: Tensor, words: Tensor) -> Tensor:
        """Return logits `[N, V]` of hidden states `[N, D]`, with the word embeddings `[V, E]`."""
        features = self.norm(self.activation(self.dense(hidden)))
        return nn.functional.linear(features, words if self.decoder is None else self.decoder, self.bias)

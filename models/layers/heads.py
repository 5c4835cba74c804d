"""What a Transformer's last hidden states are turned into.

Shapes: `N` tokens, `B` texts, `D` width, `V` vocabulary.
"""

import torch
from torch import Tensor, nn

from models.layers.feedforward import ACTIVATIONS


class Pooler(nn.Module):
    """tanh(W h + b) of a text's first token (Devlin et al. 2019, appendix A.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, first: Tensor) -> Tensor:
        """`[B, D]` to `[B, D]`."""
        return torch.tanh(self.dense(first))


class MaskedLanguageHead(nn.Module):
    """V LayerNorm(act(W h + b)) + c, V the word embeddings unless `untied` (Devlin et al. 2019, task 1)."""

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
        """`[N, D]` and the word embeddings `[V, E]`, to logits `[N, V]`."""
        features = self.norm(self.activation(self.dense(hidden)))
        return nn.functional.linear(features, words if self.decoder is None else self.decoder, self.bias)

"""How a checkpoint makes one vector of a text, and how it compares such vectors."""

from dataclasses import dataclass
from typing import Literal

TokenPooling = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "last"]
"""A way in which the vectors of a text's tokens become one; the names are those of sentence-transformers, but `last`.

`mean_sqrt_len_tokens` divides the sum by the square root of the number of tokens; `weightedmean` weights each token by
its position, from 1.
"""
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
"""A measure of how alike two vectors are; of the two distances, the negative."""


@dataclass(frozen=True, kw_only=True)
class SparsePooling:
    """How the logits of a text's tokens become one sparse vector of the vocabulary's width.

    Each logit x becomes log(1 + max(0, x)), and the text's vector is the maximum or the sum over its tokens.

    Source: Formal et al. 2021, SPLADE, equation 3; and SPLADE v2, equation 6.

    Attributes:
        strategy: whether the maximum or the sum is taken.
        is_repeated: whether the logarithm is taken twice: log(1 + log(1 + max(0, x))).
        max_active: how many elements are kept, the largest; all if None.
    """

    strategy: Literal["max", "sum"] = "max"
    is_repeated: bool = False
    max_active: int | None = None


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings:
    """How a checkpoint makes one vector of a text; the defaults are those of models that are no sentence encoders.

    Attributes:
        poolings: how the vectors of the tokens become one; those of several poolings are concatenated in this order.
        normalize: whether the text's vector is scaled to unit length at the end.
        dimensions: how many elements are kept, from the first, after that; all if None.
        skips_prompt: whether the tokens of a prompt are left out of the pooling.
        similarity: how vectors are compared.
        sparse: how a sparse vector is made, if that is what the checkpoint is for.
    """

    poolings: tuple[TokenPooling, ...] = ("mean",)
    normalize: bool = False
    dimensions: int | None = None
    skips_prompt: bool = False
    similarity: Similarity = "cosine"
    sparse: SparsePooling | None = None

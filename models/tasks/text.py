"""Requests and results of the tasks that read texts, which arrive as `Tokens`."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.tasks.autoencoding import ProjectionMethod
from models.tasks.classification import Activation

Pooling = Literal["mean", "cls", "max", "last", "none"]
TruncationSide = Literal["left", "right"]
"""The side at which a text that is too long loses tokens: its beginning is at the left."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Details:
    """What a tokenizer knows of each of `T` tokens beside its id.

    Attributes:
        offsets: the first character of the text that the token stands for, and the one after the last.
        texts: 0 or 1 for a token of the first or the second text of a pair, None for a special token.
    """

    offsets: Sequence[tuple[int, int]]
    texts: Sequence[int | None]


@dataclass(kw_only=True, slots=True, eq=False)  # not frozen, because that takes three times as long to construct
class Tokens:
    """A text or a pair of texts as `T` tokens, the form in which models read it.

    Attributes:
        ids: token ids, `[T]`, int64.
        type_ids: token types, `[T]`, int64: 0, and 1 for the second text of a pair.
        details: computes the details, which few tasks need; the text is tokenised once more for it.
        sources: the texts, where they are known.
        n_prompt: number of tokens, from the first, of a prompt that is left out when the tokens are pooled.
    """

    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]
    details: Callable[[], Details]
    sources: tuple[str, ...] = ()
    n_prompt: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of_ids(cls, ids: Sequence[int], special_ids: Collection[int] = ()) -> Self:
        """Return tokens whose text is unknown, so that their offsets are empty; `special_ids` are no part of a text."""

        def details() -> Details:
            texts = [None if token_id in special_ids else 0 for token_id in ids]
            return Details(offsets=[(0, 0)] * len(ids), texts=texts)

        return cls(ids=np.array(ids, np.int64), type_ids=np.zeros(len(ids), np.int64), details=details)


@dataclass(kw_only=True, slots=True, eq=False)  # not frozen, for the same reason as `Tokens`
class TextRequest:
    """A request about one text, or one pair of texts."""

    tokens: Tokens

    @property
    def cost(self) -> int:
        """Number of tokens that this request adds to a batch."""
        return len(self.tokens.ids)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TextsRequest:
    """A request about several texts together."""

    texts: tuple[Tokens, ...]

    @property
    def cost(self) -> int:
        """Number of tokens that this request adds to a batch."""
        return sum(map(len, self.texts))


@dataclass(kw_only=True, slots=True, eq=False)
class EncodeTextRequest(TextRequest):
    """One text to map to a vector.

    Attributes:
        pooling: how the vectors of the tokens become one; the checkpoint's own way if None.
        normalize: whether the vector is scaled to unit length; as the checkpoint says if None.
        dimensions: how many elements of the vector are kept, before it is normalised; as the checkpoint says if None.
        sparse: whether the vector is a sparse one of the vocabulary's width; as the checkpoint says if None.
    """

    pooling: Pooling | None = None
    normalize: bool | None = None
    dimensions: int | None = None
    sparse: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeTextResult:
    """The vector of a text.

    Attributes:
        embedding: the vector, `[D]`; without pooling those of the tokens, `[T, D]`; of a sparse vector those elements
            that are not zero, `[n]`.
        indices: where these elements are, ascending, `[n]`, int64; None unless the vector is sparse.
    """

    embedding: Tensor
    indices: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EncodeTextResults(Sequence[EncodeTextResult]):
    """The vectors of texts, one for each: the rows of `embeddings`, `[B, D]`.

    A result is constructed only where it is asked for, because most answers contain all rows together. They are a NumPy
    array, because freeing a tensor releases the interpreter's lock.
    """

    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, index: Any) -> Any:
        """Return one result, or those of a slice as an object of this class."""
        rows = self.embeddings[index]
        return (
            EncodeTextResults(rows) if isinstance(index, slice) else EncodeTextResult(embedding=torch.from_numpy(rows))
        )


@dataclass(kw_only=True, slots=True, eq=False)
class FillMaskRequest(TextRequest):
    """One text with masks.

    Attributes:
        positions: indices of the masks among the tokens.
        top_k: number of likeliest tokens to return for each mask.
        targets: ids of the tokens to choose from; all tokens if None.
    """

    positions: tuple[int, ...]
    top_k: int = 5
    targets: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """A token that may stand at a mask, and its probability."""

    token: int
    score: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FillMaskResult:
    """The likeliest tokens at each mask, in the order of the request's positions, best first."""

    fills: tuple[tuple[Fill, ...], ...]


@dataclass(kw_only=True, slots=True, eq=False)
class ClassifyTextRequest(TextRequest):
    """One text or pair to classify.

    Attributes:
        top_k: number of classes to return; all if None.
        function_to_apply: maps logits to scores; by the kind of classification that the model was trained for if None.
    """

    top_k: int | None = None
    function_to_apply: Activation | None = None


@dataclass(kw_only=True, slots=True, eq=False)
class ClassifyTokensRequest(TextRequest):
    """One text whose tokens are classified."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifyTokensResult:
    """The probability of each of the model's labels for each token, `[T, n_labels]`."""

    scores: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnswerRequest:
    """A question with windows of its context: pairs, of the question and of a part of the context each."""

    windows: tuple[Tokens, ...]

    @property
    def cost(self) -> int:
        """Number of tokens that this request adds to a batch."""
        return sum(map(len, self.windows))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnswerResult:
    """The logits of each token as the first and as the last of the answer, `[T, 2]` for each window."""

    spans: tuple[Tensor, ...]


@dataclass(kw_only=True, slots=True, eq=False)
class ScoreTextRequest(TextRequest):
    """One text whose likelihood is computed."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScoreTextResult:
    """Log-probabilities in nats, `[n]`, of the tokens at `positions`; special tokens, for example, have none."""

    positions: Sequence[int]
    log_probs: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SimilarityRequest(TextsRequest):
    """A text, `texts[0]`, and candidates, the other texts, that it is compared with."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SimilarityResult:
    """The similarity of each candidate's vector to the text's, `[n]`, by the checkpoint's measure."""

    scores: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RerankRequest(SimilarityRequest):
    """A query, `texts[0]`, and candidates to order by the similarity of their vectors to the query's.

    Attributes:
        top_k: number of candidates to return; all if None.
    """

    top_k: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RerankPairsRequest(TextsRequest):
    """Pairs of a query and of a candidate, `texts`, to order by the score of a classifier's only class.

    Attributes:
        top_k: number of candidates to return; all if None.
        function_to_apply: maps logits to scores; by the kind of classification that the model was trained for if None.
    """

    top_k: int | None = None
    function_to_apply: Activation | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RerankResult:
    """The `k` best candidates, best first; of equal ones the earlier comes first.

    Attributes:
        indices: their places among the candidates, `[k]`, int64.
        scores: their scores, `[k]`.
    """

    indices: Tensor
    scores: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProjectTextsRequest(TextsRequest):
    """Texts to place in a plane by the given method."""

    method: ProjectionMethod = "pca"


@dataclass(kw_only=True, slots=True, eq=False)
class AttendRequest(TextRequest):
    """One text whose attention weights are returned.

    Attributes:
        target: the translation that an encoder-decoder reads beside the text; the one that it generates if None.
        layers: indices of the layers to return; all if None.
        heads: indices of the heads to return; all if None.
    """

    target: Tokens | None = None
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None

    @property
    def cost(self) -> int:
        """Number of pairs of tokens that this request adds to a batch."""
        n_tokens = len(self.tokens) + (len(self.target) if self.target else 0)
        return n_tokens * n_tokens


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AttendResult:
    """Attention weights, `[layers, heads, queries, keys]`; only an encoder-decoder has those of a target.

    Attributes:
        attention: those of the text's `T` tokens over each other, `[layers, heads, T, T]`.
        target_ids: the `U` token ids that the decoder read, `[U]`.
        target_attention: those of the target's tokens over each other, `[layers, heads, U, U]`.
        cross_attention: those of the target's tokens over the text's, `[layers, heads, U, T]`.
    """

    attention: Tensor
    target_ids: Tensor | None = None
    target_attention: Tensor | None = None
    cross_attention: Tensor | None = None

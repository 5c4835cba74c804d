"""Requests and results of the Transformers' tasks. A text arrives as `Tokens`; what answers in text answers in ids."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.tasks.autoencoding import Activation, ProjectionMethod

Pooling = Literal["mean", "cls", "max", "last", "none"]
DEFAULT_NEW_TOKENS = 64
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Details:
    """What is known of each of `T` tokens beside its id.

    `offsets`, the characters of its text it stands for (from, to); `texts`, 0 or 1 for the first or second text of a
    pair, None for special tokens; `words`, the number of its word in its text.
    """

    offsets: Sequence[tuple[int, int]]
    texts: Sequence[int | None]
    words: Sequence[int | None]


@dataclass(kw_only=True, slots=True, eq=False)  # not frozen: there is one for each text, and it takes a third
class Tokens:
    """A text or a pair of texts, as a model reads it: `T` tokens.

    `ids` and `type_ids` are `[T]`, int64. `details` makes the rest, for which few tasks ask: the text is cut once more.
    `sources` are the texts themselves, where they are known.
    """

    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]
    details: Callable[[], Details]
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(kw_only=True, slots=True, eq=False)  # see `Tokens`
class TextRequest:
    """A request about one text, or one pair."""

    tokens: Tokens

    @property
    def cost(self) -> int:
        """Tokens this request adds to a batch."""
        return len(self.tokens.ids)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TextsRequest:
    """A request about several texts together."""

    texts: tuple[Tokens, ...]

    @property
    def cost(self) -> int:
        """Tokens this request adds to a batch."""
        return sum(map(len, self.texts))


@dataclass(kw_only=True, slots=True, eq=False)
class EncodeTextRequest(TextRequest):
    """One text to map to a vector.

    `pooling` of its tokens' vectors and `normalize`, to unit length, are the checkpoint's own where None. The first
    `dimensions` of the vector are kept, all where None; they are normalised after the cut.
    """

    pooling: Pooling | None = None
    normalize: bool | None = None
    dimensions: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeTextResult:
    """`[D]`, or `[T, D]` without pooling."""

    embedding: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class EncodeTextResults(Sequence[EncodeTextResult]):
    """Of texts that are one vector each: the rows of `embeddings`, `[B, D]`.

    Most are sent as they are, all together: a result is made only where one is asked for. No tensor, for each time that
    one is let go, the interpreter's lock is as well.
    """

    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, place: Any) -> Any:
        """One, or those of a slice, as one array again."""
        its = self.embeddings[place]
        return EncodeTextResults(its) if isinstance(place, slice) else EncodeTextResult(embedding=torch.from_numpy(its))


@dataclass(kw_only=True, slots=True, eq=False)
class FillMaskRequest(TextRequest):
    """One text with masks at `places`. The `top_k` likeliest tokens of each, among `targets` only where given."""

    places: tuple[int, ...]
    top_k: int = 5
    targets: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """A token and its probability."""

    token: int
    score: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FillMaskResult:
    """For each mask, best first."""

    fills: tuple[tuple[Fill, ...], ...]


@dataclass(kw_only=True, slots=True, eq=False)
class ClassifyTextRequest(TextRequest):
    """One text or pair to name; see `ClassifyRequest`. `function_to_apply` is the checkpoint's where None."""

    top_k: int | None = None
    function_to_apply: Activation | None = None


@dataclass(kw_only=True, slots=True, eq=False)
class ClassifyTokensRequest(TextRequest):
    """One text whose tokens are to be named."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifyTokensResult:
    """The probability of each of the model's labels for each token: `[T, n_labels]`."""

    scores: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnswerRequest:
    """A question with each window of its context, as pairs."""

    windows: tuple[Tokens, ...]

    @property
    def cost(self) -> int:
        """Tokens this request adds to a batch."""
        return sum(map(len, self.windows))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnswerResult:
    """For each window `[T, 2]`: the logits of each token as the answer's first, and as its last."""

    spans: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GenerateRequest:
    """Continue a text or, of an encoder-decoder, translate it: `n` times, by `seed`.

    Where `max_new_tokens` is None: `DEFAULT_NEW_TOKENS`, or as many as there is room for. With `truncate`, a text that
    leaves no room for them is cut: a prompt at its beginning, a text to translate at its end.

    Greedily unless `do_sample` or several beams. `temperature` (> 0) divides the logits; `top_k` and `top_p` leave only
    the likeliest tokens to draw from; `repetition_penalty` (> 0; Keskar et al. 2019, section 4.1) makes those seen
    less likely. Beam search keeps `num_beams` texts and ranks them by log-likelihood / length ** `length_penalty`.
    `n_alternatives` likeliest tokens are told beside each chosen one.
    """

    tokens: Tokens
    max_new_tokens: int | None = None
    truncate: bool = False
    min_new_tokens: int = 0
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    num_beams: int = 1
    length_penalty: float = 1.0
    n: int = 1
    seed: int = 0
    n_alternatives: int = 0

    @property
    def cost(self) -> int:
        """Tokens this request adds to a batch: those of its prompt."""
        return len(self.tokens)

    @property
    def n_rows(self) -> int:
        """Sequences that run side by side for it."""
        return max(self.n, self.num_beams)


class GeneratedToken(NamedTuple):
    """A token with its log-probability, and the likeliest others with theirs, before any parameter changed them."""

    id: int
    log_prob: float
    alternatives: tuple[tuple[int, float], ...] = ()


class Progress(NamedTuple):
    """The next token of the `sequence`-th of a request's texts; with a `finish_reason`, and perhaps no token, the last.

    `stop`: the model ended its text; `length`: it was cut at the limit. `score` is the last one's, of beam search.
    """

    sequence: int
    token: GeneratedToken | None
    finish_reason: FinishReason | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GeneratedSequence:
    """A text, without the token that ends it; `score` is that of beam search."""

    tokens: tuple[GeneratedToken, ...]
    finish_reason: FinishReason
    score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GenerateResult:
    """The `n` texts; those of beam search best first."""

    sequences: tuple[GeneratedSequence, ...]


@dataclass(kw_only=True, slots=True, eq=False)
class ScoreTextRequest(TextRequest):
    """One text whose likelihood is asked."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScoreTextResult:
    """`log_probs` in nats, `[n]`, of the tokens at `places`; the others, such as special ones, are not predicted."""

    places: Sequence[int]
    log_probs: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SimilarityRequest(TextsRequest):
    """A text and candidates, `texts[0]` and the rest, to compare."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SimilarityResult:
    """The cosine of each candidate's embedding with the source's: `[n]`, in [-1, 1]."""

    scores: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProjectTextsRequest(TextsRequest):
    """Texts to place in a plane; see `ProjectRequest`."""

    method: ProjectionMethod = "pca"


@dataclass(kw_only=True, slots=True, eq=False)
class AttendRequest(TextRequest):
    """One text whose attention is asked; of an encoder-decoder, with its translation `target` (the model's if None)."""

    target: Tokens | None = None
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None

    @property
    def cost(self) -> int:
        """Tokens this request adds to a batch, their pairs counted."""
        n_tokens = len(self.tokens) + (len(self.target) if self.target else 0)
        return n_tokens * n_tokens


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AttendResult:
    """Weights `[layers, heads, T, T]`; of an encoder-decoder also those of the `target_ids`, among themselves and over
    the text: `[layers, heads, U, U]` and `[layers, heads, U, T]`."""

    attention: Tensor
    target_ids: Tensor | None = None
    target_attention: Tensor | None = None
    cross_attention: Tensor | None = None

"""Requests and results of `/generate` and `/translate`, which generate text token by token."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

from models.tasks.text import Tokens

DEFAULT_NEW_TOKENS = 64
MAX_BEAMS = 32
MAX_TEXTS = 64
"""Maximum number of texts of one request."""

EarlyStopping = bool | Literal["never"]

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GenerateRequest:
    """A text to continue or, for an encoder-decoder, to translate.

    The likeliest token is taken each time unless `do_sample` is set or there are several beams. The rules that the
    parameters stand for are described in `models.generation.logits_rules` and `models.generation.sampling`.

    Attributes:
        tokens: the prompt, or the text to translate.
        max_new_tokens: maximum number of tokens to generate; if None, `default_new_tokens`, or as many as fit if fewer.
        default_new_tokens: maximum number of tokens to generate if `max_new_tokens` is None.
        truncate: whether a text that leaves no room for new tokens is cut instead of refused, a prompt at its
            beginning, a text to translate at its end.
        min_new_tokens: number of tokens before which the text may not end.
        do_sample: whether each token is drawn.
        temperature: number, above 0, by which logits are divided before a draw.
        top_k: number of likeliest tokens to draw from; all if None.
        top_p: total probability, above 0 and at most 1, of the likeliest tokens to draw from; all if None.
        min_p: probability, 0 to 1, relative to that of the likeliest token, below which no token is drawn; 0 if None.
        typical_p: total probability, above 0 and at most 1, of the most typical tokens to draw from; all if None.
        repetition_penalty: factor, above 0, by which tokens of the prompt and of the text become less likely.
        presence_penalty: number, -2 to 2, that is subtracted from the logits of tokens of the text.
        frequency_penalty: number, -2 to 2, that is subtracted from the logits of tokens for each time in the text.
        no_repeat_ngram_size: number of tokens in sequences that may occur only once; 0 if any may be repeated.
        bad_words: sequences of token ids that are not generated.
        num_beams: number of beams of a beam search; 1 for none.
        length_penalty: exponent of the length by which beam search divides log-likelihoods.
        early_stopping: when beam search ends: at `num_beams` whole texts (True), when no beginning can beat them at its
            present length (False), or when none can at any length ("never").
        n: number of texts; those of beam search are the best ones.
        seed: seed of all draws.
        n_alternatives: number of likeliest tokens that are returned with each generated token.
    """

    tokens: Tokens
    max_new_tokens: int | None = None
    default_new_tokens: int = DEFAULT_NEW_TOKENS
    truncate: bool = False
    min_new_tokens: int = 0
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    bad_words: tuple[tuple[int, ...], ...] = ()
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    n: int = 1
    seed: int = 0
    n_alternatives: int = 0

    @property
    def cost(self) -> int:
        """Return the number of tokens that this request adds to a batch, those of its prompt."""
        return len(self.tokens)

    @property
    def n_rows(self) -> int:
        """Return the number of sequences that are generated side by side for this request."""
        return max(self.n, self.num_beams)

    @property
    def n_generated(self) -> int:
        """Return the maximum number of tokens that are generated for this request, in all its rows together."""
        return self.n_rows * (self.default_new_tokens if self.max_new_tokens is None else self.max_new_tokens)

    @property
    def n_reserved(self) -> int:
        """Return the number of new tokens that a prompt which is truncated leaves room for."""
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        return min(self.default_new_tokens, DEFAULT_NEW_TOKENS)

    def truncated(self, n_positions: int, *, is_source: bool) -> Self:
        """Return the request with as much of its text as a model with so many positions has room for.

        That is the end of a prompt, which is what is continued, or the beginning of a text to translate, with its last
        token, which ends it.
        """
        n_kept = n_positions if is_source else max(1, n_positions - self.n_reserved)
        if len(self.tokens) <= n_kept:
            return self
        ids = self.tokens.ids.tolist()
        return replace(self, tokens=Tokens.of_ids([*ids[: n_kept - 1], ids[-1]] if is_source else ids[-n_kept:]))


class GeneratedToken(NamedTuple):
    """A token with its log-probability, and the likeliest tokens with theirs, before any parameter changes them."""

    id: int
    log_prob: float
    alternatives: tuple[tuple[int, float], ...] = ()


class Progress(NamedTuple):
    """The next token of one of the texts of a request.

    Attributes:
        sequence: index of the text.
        token: the token; None if the text ends without another one.
        finish_reason: why the text ends, None unless it does. `stop`: the model ended it; `length`: it reached the
            maximum number of tokens.
        score: the score of a text that ends, if it was found by beam search.
    """

    sequence: int
    token: GeneratedToken | None
    finish_reason: FinishReason | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GeneratedSequence:
    """A generated text, without the token that ends it, and its score if it was found by beam search."""

    tokens: tuple[GeneratedToken, ...]
    finish_reason: FinishReason
    score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GenerateResult:
    """The generated texts of one request; those of beam search are sorted, best first."""

    sequences: tuple[GeneratedSequence, ...]

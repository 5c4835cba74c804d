"""What changes the scores of the next token, and which tokens may be drawn: small rules that are applied in turn.

Shapes: `V` vocabulary, `K` tokens that may be drawn.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from typing_extensions import override

from models.tasks.text import GenerateRequest

N_LIKELIEST = 256
"""Number of tokens among which a share of the probability is sought first; to sort all takes longer than a small
model."""


@dataclass(frozen=True, kw_only=True)
class GenerationRules:
    """What a model demands of every text that it generates.

    Attributes:
        end_ids: the tokens that end a text.
        suppressed_ids: tokens that are never generated.
        bad_words: sequences of tokens that are never generated.
        forced_end_id: the token that must be the last one of a text of the maximum length; None if any may be.
    """

    end_ids: tuple[int, ...] = ()
    suppressed_ids: tuple[int, ...] = ()
    bad_words: tuple[tuple[int, ...], ...] = ()
    forced_end_id: int | None = None


@dataclass(slots=True)
class TextSoFar:
    """The tokens of a text before the next one: those that the decoder was given, then those it generated."""

    tokens: list[int]
    n_given: int

    @property
    def n_generated(self) -> int:
        """Count the tokens that were generated."""
        return len(self.tokens) - self.n_given


class LogitsRule(Protocol):
    """Changes the scores of the next token."""

    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        """Return new scores `[V]` in float32; the given ones, which stay as they are, if nothing changes."""


@dataclass(frozen=True)
class RepetitionPenalty:
    """Divides positive scores of tokens of the text by `penalty`, and multiplies negative ones by it.

    Source: Keskar et al. 2019, section 4.1; for negative scores as in `transformers`.
    """

    penalty: float

    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        """Change the scores of all tokens of the text, given or generated."""
        if not text.tokens:
            return scores
        ids = torch.tensor(sorted(set(text.tokens)), device=scores.device)
        values = scores[ids]
        return scores.index_copy(0, ids, torch.where(values < 0, values * self.penalty, values / self.penalty))


@dataclass(frozen=True)
class PresencePenalty:
    """Subtracts `penalty` from the scores of tokens that were generated before.

    Source: OpenAI, API reference, "Frequency and presence penalties": `mu[j] - float(c[j] > 0) * alpha_presence`.
    """

    penalty: float

    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        """Change the scores of the generated tokens; those that the decoder was given do not count."""
        ids = torch.tensor(sorted(set(text.tokens[text.n_given :])), dtype=torch.int64, device=scores.device)
        return scores.index_copy(0, ids, scores[ids] - self.penalty)


@dataclass(frozen=True)
class FrequencyPenalty:
    """Subtracts from the scores of tokens `penalty` for each time that they were generated before.

    Source: OpenAI, API reference, "Frequency and presence penalties": `mu[j] - c[j] * alpha_frequency`.
    """

    penalty: float

    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        """Change the scores of the generated tokens; those that the decoder was given do not count."""
        counts = Counter(text.tokens[text.n_given :])
        ids = torch.tensor([*counts], dtype=torch.int64, device=scores.device)
        n_times = torch.tensor([*counts.values()], dtype=scores.dtype, device=scores.device)
        return scores.index_copy(0, ids, scores[ids] - self.penalty * n_times)


@dataclass(frozen=True)
class ForcedToken:
    """Leaves only the token `token_id` as the `position`-th generated one, from 0."""

    token_id: int
    position: int

    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        """Return 0 for the forced token and minus infinity for all others, if this is its position."""
        if text.n_generated != self.position:
            return scores
        forced = torch.full_like(scores, -torch.inf)
        forced[self.token_id] = 0.0
        return forced


class BanRule(ABC):
    """A `LogitsRule` that only forbids tokens: their scores become minus infinity."""

    @abstractmethod
    def banned(self, text: TextSoFar) -> Collection[int]:
        """Return the ids that may not follow the text."""

    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        """Return scores `[V]` with minus infinity for the forbidden tokens."""
        banned = self.banned(text)
        return scores.index_fill(0, torch.tensor([*banned], device=scores.device), -torch.inf) if banned else scores


@dataclass(frozen=True)
class SuppressedTokens(BanRule):
    """Forbids tokens everywhere."""

    token_ids: tuple[int, ...]

    @override
    def banned(self, text: TextSoFar) -> Collection[int]:
        return self.token_ids


@dataclass(frozen=True)
class MinLength(BanRule):
    """Forbids the end of a text before `n_tokens` tokens were generated."""

    n_tokens: int
    end_ids: tuple[int, ...]

    @override
    def banned(self, text: TextSoFar) -> Collection[int]:
        return self.end_ids if text.n_generated < self.n_tokens else ()


@dataclass(frozen=True)
class NoRepeatNgrams(BanRule):
    """Forbids tokens that would complete a sequence of `size` tokens for the second time in a text.

    Source: Paulus et al. 2017, section 2.5.
    """

    size: int

    @override
    def banned(self, text: TextSoFar) -> Collection[int]:
        tokens, n_before = text.tokens, self.size - 1
        beginning = tokens[len(tokens) - n_before :]
        ends = range(n_before, len(tokens))
        return {tokens[end] for end in ends if tokens[end - n_before : end] == beginning}


@dataclass(frozen=True)
class BadWords(BanRule):
    """Forbids sequences of tokens: after all tokens of a sequence but the last, this one is forbidden."""

    words: tuple[tuple[int, ...], ...]

    @override
    def banned(self, text: TextSoFar) -> Collection[int]:
        tokens = text.tokens
        return {
            last
            for *beginning, last in self.words
            if len(beginning) <= len(tokens) and tokens[len(tokens) - len(beginning) :] == beginning
        }


def logits_rules(request: GenerateRequest, model_rules: GenerationRules) -> list[LogitsRule]:
    """Return the rules for a request to a model with rules of its own, in the order in which they are applied."""
    rules: list[LogitsRule] = []
    if request.repetition_penalty != 1.0:
        rules.append(RepetitionPenalty(request.repetition_penalty))
    if request.presence_penalty:
        rules.append(PresencePenalty(request.presence_penalty))
    if request.frequency_penalty:
        rules.append(FrequencyPenalty(request.frequency_penalty))
    if request.no_repeat_ngram_size:
        rules.append(NoRepeatNgrams(request.no_repeat_ngram_size))
    if words := (*model_rules.bad_words, *request.bad_words):
        ends = {(token_id,) for token_id in model_rules.end_ids}  # or no text would end
        rules.append(BadWords(tuple(word for word in words if word not in ends)))
    if request.min_new_tokens and model_rules.end_ids:
        rules.append(MinLength(request.min_new_tokens, model_rules.end_ids))
    if model_rules.suppressed_ids:
        rules.append(SuppressedTokens(model_rules.suppressed_ids))
    if model_rules.forced_end_id is not None and request.max_new_tokens is not None:
        rules.append(ForcedToken(model_rules.forced_end_id, request.max_new_tokens - 1))
    return rules


def apply_rules(rules: Sequence[LogitsRule], scores: Tensor, text: TextSoFar) -> Tensor:
    """Return the scores `[V]`, logits or log-probabilities, that all rules leave; the given ones are not changed."""
    for rule in rules:
        scores = rule.apply(scores, text)
    return scores


class Candidates(NamedTuple):
    """Tokens that may be drawn, and the logits of their distribution.

    `ids` is `[K]`, or None for the whole vocabulary in order; `scores` is `[K]`.
    """

    ids: Tensor | None
    scores: Tensor

    def kept(self, kept: Tensor) -> "Candidates":
        """Return the candidates of which a mask `[K]` is true, in the same order."""
        ids = kept.nonzero().squeeze(-1) if self.ids is None else self.ids[kept]
        return Candidates(ids, self.scores[kept])


class CandidateFilter(Protocol):
    """Changes the distribution from which a token is drawn."""

    def apply(self, candidates: Candidates) -> Candidates:
        """Return the candidates that are left, at least one."""


@dataclass(frozen=True)
class Temperature:
    """Divides the scores. Source: Ackley, Hinton, Sejnowski 1985, equation 5."""

    temperature: float

    def apply(self, candidates: Candidates) -> Candidates:
        """Return all candidates with other scores."""
        return Candidates(candidates.ids, candidates.scores / self.temperature)


@dataclass(frozen=True)
class TopK:
    """Leaves the `k` likeliest tokens of the vocabulary, best first. Source: Fan et al. 2018, section 5.4."""

    k: int

    def apply(self, candidates: Candidates) -> Candidates:
        """Return at most `k` candidates; it is the first filter that leaves tokens out."""
        best, ids = candidates.scores.topk(min(self.k, len(candidates.scores)))
        return Candidates(ids, best)


@dataclass(frozen=True)
class TopP:
    """Leaves the fewest likeliest tokens whose probabilities sum to at least `mass`, best first.

    Source: Holtzman et al. 2020, section 3.1.
    """

    mass: float

    def apply(self, candidates: Candidates) -> Candidates:
        """Return the beginning of the candidates, which are the whole vocabulary or those of `TopK`."""
        ids, best = candidates
        total = candidates.scores.logsumexp(-1)
        if ids is None:
            best, ids = candidates.scores.topk(min(N_LIKELIEST, len(candidates.scores)))
            if (best - total).exp().sum() < self.mass:
                best, ids = candidates.scores.sort(descending=True)
        probs = (best - total).exp()
        n_kept = max(1, int((probs.cumsum(-1) - probs < self.mass).sum()))
        return Candidates(ids[:n_kept], best[:n_kept])


@dataclass(frozen=True)
class MinP:
    """Leaves the tokens that are at least `share` times as likely as the likeliest.

    Source: Nguyen et al. 2024, section 3.1.
    """

    share: float

    def apply(self, candidates: Candidates) -> Candidates:
        """Return the candidates that are likely enough."""
        probs = candidates.scores.softmax(-1)
        return candidates.kept(~(probs < self.share * probs.max()))  # NaN is kept, to be noticed by the caller


@dataclass(frozen=True)
class TypicalP:
    """Leaves the fewest tokens whose information is nearest to the entropy and whose probabilities sum to `mass`.

    Source: Meister et al. 2023, equation 10.
    """

    mass: float

    def apply(self, candidates: Candidates) -> Candidates:
        """Return the most typical candidates."""
        log_probs = candidates.scores.log_softmax(-1)
        entropy = -(log_probs * log_probs.exp()).nansum(-1)
        distances = (-log_probs - entropy).abs()
        nearest, order = distances.sort()
        n_before = int((candidates.scores[order].softmax(-1).cumsum(-1) < self.mass).sum())
        return candidates.kept(~(distances > nearest[min(n_before, len(nearest) - 1)]))  # see `MinP` for NaN


def candidate_filters(request: GenerateRequest) -> list[CandidateFilter]:
    """Return the filters for a request that samples, in the order in which they are applied."""
    filters: list[CandidateFilter] = []
    if request.temperature != 1.0:
        filters.append(Temperature(request.temperature))
    if request.top_k is not None:
        filters.append(TopK(request.top_k))
    if request.top_p is not None and request.top_p < 1.0:
        filters.append(TopP(request.top_p))
    if request.min_p:
        filters.append(MinP(request.min_p))
    if request.typical_p is not None and request.typical_p < 1.0:
        filters.append(TypicalP(request.typical_p))
    return filters


def candidates_of(scores: Tensor, filters: Sequence[CandidateFilter]) -> Candidates:
    """Return the tokens that may be drawn by scores `[V]`, and the logits of their distribution."""
    candidates = Candidates(None, scores)
    for each in filters:
        candidates = each.apply(candidates)
    return candidates


def draw(candidates: Candidates, generator: torch.Generator) -> int:
    """Draw a token by the inverse of the cumulative distribution, in double precision on the CPU."""
    ids, scores = candidates
    probs = scores.cpu().double().softmax(-1)
    point = torch.rand((), generator=generator, dtype=torch.float64)
    place = int(torch.searchsorted(probs.cumsum(-1), point, right=True))
    place = min(place, int(probs.nonzero()[-1]))
    return place if ids is None else int(ids[place])

"""How a token is drawn: filters that leave some tokens to draw from, one small object for each, and the draw.

Shapes: `V` vocabulary, `K` tokens that may be drawn.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from models.tasks.generation import GenerateRequest

N_LIKELIEST = 256
"""Number of tokens among which `TopP` searches first, because sorting all takes longer than a small model does."""


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


class CandidateFilter(ABC):
    """Changes the distribution from which a token is drawn."""

    @abstractmethod
    def apply(self, candidates: Candidates) -> Candidates:
        """Return the candidates that are left, at least one."""


@dataclass(frozen=True)
class Temperature(CandidateFilter):
    """Divides the scores, less the highest one, so that they stay finite. The distribution is that of the scores alone.

    Source: Ackley, Hinton, Sejnowski 1985, equation 5.
    """

    temperature: float

    @override
    def apply(self, candidates: Candidates) -> Candidates:
        below = (candidates.scores - candidates.scores.max()).double()  # float32 would round a small temperature to 0
        return Candidates(candidates.ids, (below / self.temperature).to(candidates.scores.dtype))


@dataclass(frozen=True)
class TopK(CandidateFilter):
    """Leaves the `k` likeliest tokens, best first; it precedes all other filters that leave tokens out.

    Source: Fan et al. 2018, section 5.4.
    """

    k: int

    @override
    def apply(self, candidates: Candidates) -> Candidates:
        best, ids = candidates.scores.topk(min(self.k, len(candidates.scores)))
        return Candidates(ids, best)


@dataclass(frozen=True)
class TopP(CandidateFilter):
    """Leaves the fewest likeliest tokens whose probabilities sum to at least `mass`, best first.

    Only `TopK` may have left tokens out before. Source: Holtzman et al. 2020, section 3.1.
    """

    mass: float

    @override
    def apply(self, candidates: Candidates) -> Candidates:
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
class MinP(CandidateFilter):
    """Leaves tokens at least `share` times as likely as the likeliest. Source: Nguyen et al. 2024, section 3.1."""

    share: float

    @override
    def apply(self, candidates: Candidates) -> Candidates:
        probs = candidates.scores.softmax(-1)
        return candidates.kept(~(probs < self.share * probs.max()))  # keeps NaN, which callers notice


@dataclass(frozen=True)
class TypicalP(CandidateFilter):
    """Leaves the fewest tokens whose information is nearest to the entropy and whose probabilities sum to `mass`.

    Source: Meister et al. 2023, equation 10.
    """

    mass: float

    @override
    def apply(self, candidates: Candidates) -> Candidates:
        log_probs = candidates.scores.log_softmax(-1)
        entropy = -(log_probs * log_probs.exp()).nansum(-1)
        distances = (-log_probs - entropy).abs()
        nearest, order = distances.sort()
        n_before = int((candidates.scores[order].softmax(-1).cumsum(-1) < self.mass).sum())
        return candidates.kept(~(distances > nearest[min(n_before, len(nearest) - 1)]))  # keeps NaN as well


def filters_for(request: GenerateRequest) -> list[CandidateFilter]:
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

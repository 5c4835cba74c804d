"""How the next token is chosen: greedily, by chance, or by beam search.

A search runs in one row of the decoder or in several. It is given their logits, and says which tokens come next and
which row each of them continues.

Shapes: `V` vocabulary, `R` rows.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from models.generation.sampling import GenerationRules, allowed, candidates, described
from models.generation.scores import TokenScores
from models.seeding import seeded
from models.tasks.text import GeneratedToken, GenerateRequest, Progress


class Continuation(NamedTuple):
    """A row's next token, and the row, of those the search has now, that it continues."""

    token: int
    parent: int


class Search(ABC):
    """One text in the making, after a `prompt`. `done` ends it; `outbox` collects what a caller is to be told.

    `index` says which of the request's texts it makes; None if all of them.
    """

    index: int | None = None
    is_plain = False
    """Whether it takes the likeliest token, unless that is forbidden, in one row of its own."""

    def __init__(self, request: GenerateRequest, rules: GenerationRules, prompt: Sequence[int]) -> None:
        self.request, self.rules, self.prompt = request, rules, list(prompt)
        self.done = False
        self.outbox: list[Progress] = []

    @property
    def is_last(self) -> bool:
        """Whether the next token is known to be the last."""
        return False

    @abstractmethod
    def advance(self, scores: TokenScores, rows: Sequence[int]) -> list[Continuation]:
        """Given its `R` rows, the next token of each row it wants from now on; none once it is done."""


class SingleSearch(Search):
    """Greedy, or drawn by a generator of its own, whoever runs beside it (Holtzman et al. 2020)."""

    def __init__(self, request: GenerateRequest, rules: GenerationRules, prompt: Sequence[int], index: int) -> None:
        super().__init__(request, rules, prompt)
        self.index, self._n_done = index, 0
        self._seen = self.prompt
        is_likeliest = not request.do_sample and not request.n_alternatives and request.repetition_penalty == 1.0
        self.is_plain = is_likeliest and rules.forced_end is None

    @cached_property
    def _generator(self) -> torch.Generator:
        return seeded(self.request.seed, self.index or 0)

    @property
    def is_last(self) -> bool:
        """See `Search.is_last`."""
        return self._n_done + 1 == self.request.max_new_tokens

    def advance(self, scores: TokenScores, rows: Sequence[int]) -> list[Continuation]:
        """See `Search.advance`."""
        request, index = self.request, self.index or 0
        token, told = self._chosen(scores, rows[0])
        if math.isnan(told.log_prob):  # of all others as well: there is nothing to go on with
            self.done = True
            self.outbox.append(Progress(index, told, "stop"))
            return []
        self._n_done += 1
        self._seen.append(token)
        if token in self.rules.ends:
            self.done = True
            self.outbox.append(Progress(index, None, "stop"))
            return []
        self.done = self._n_done == request.max_new_tokens
        self.outbox.append(Progress(index, told, "length" if self.done else None))
        return [] if self.done else [Continuation(token, 0)]

    def _chosen(self, scores: TokenScores, row: int) -> tuple[int, GeneratedToken]:
        request = self.request
        if self.is_plain:
            token, log_prob = scores.likeliest[row]
            if not self._is_forbidden(token):
                return token, GeneratedToken(token, log_prob)
        logits = scores.logits[row].float()
        free = allowed(logits, self._seen, self._n_done, request, self.rules)
        token = self._drawn(free) if request.do_sample else int(free.argmax())
        return token, described(logits, token, request.n_alternatives)

    def _is_forbidden(self, token: int) -> bool:
        """As `allowed` does it."""
        is_early = token in self.rules.ends and self._n_done < self.request.min_new_tokens
        return is_early or token in self.rules.suppressed

    def _drawn(self, scores: Tensor) -> int:
        """By the inverse of the cumulative distribution, in double precision on the CPU."""
        request = self.request
        ids, scores = candidates(scores, request.temperature, request.top_k, request.top_p)
        probs = scores.cpu().double().softmax(-1)
        point = torch.rand((), generator=self._generator, dtype=torch.float64)
        place = int(torch.searchsorted(probs.cumsum(-1), point, right=True))
        place = min(place, int(probs.nonzero()[-1]))
        return place if ids is None else int(ids[place])

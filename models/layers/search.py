"""How the next token is chosen: greedily, by chance, or by beam search.

A search runs in one row of the decoder or in several. It is given their logits, and says which tokens come next and
which row each of them continues.

Shapes: `V` vocabulary, `R` rows.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from models import kernels
from models.kernels import gpu
from models.layers.autoencoder import seeded
from models.tasks.text import FinishReason, GeneratedToken, GenerateRequest, Progress

N_LIKELIEST = 256
"""Tokens among which a share of the probability is sought first: to sort all takes longer than a small model does."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a model demands of every text it generates.

    `ends` are the tokens that end a text; those `suppressed` are never generated; `forced_end` is what the last one
    possible must be, if anything.
    """

    ends: tuple[int, ...] = ()
    suppressed: tuple[int, ...] = ()
    forced_end: int | None = None


class Continuation(NamedTuple):
    """A row's next token, and the row, of those the search has now, that it continues."""

    token: int
    parent: int


def allowed(log_probs: Tensor, seen: Sequence[int], n_done: int, request: GenerateRequest, rules: Rules) -> Tensor:
    """Scores `[V]` after what was `seen` and `n_done` new tokens: the demands of request and model, before any draw."""
    is_free = request.repetition_penalty == 1.0 and n_done >= request.min_new_tokens
    if is_free and not rules.suppressed and rules.forced_end is None:
        return log_probs
    scores = log_probs.clone()
    if request.repetition_penalty != 1.0 and seen:
        places = torch.tensor(sorted(set(seen)), device=scores.device)
        values = scores[places]
        penalty = request.repetition_penalty
        scores[places] = torch.where(values < 0, values * penalty, values / penalty)
    if n_done < request.min_new_tokens:
        scores[list(rules.ends)] = -torch.inf
    scores[list(rules.suppressed)] = -torch.inf
    if rules.forced_end is not None and n_done + 1 == request.max_new_tokens:
        scores.fill_(-torch.inf)
        scores[rules.forced_end] = 0.0
    return scores


def candidates(
    scores: Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> tuple[Tensor | None, Tensor]:
    """The tokens that may be drawn, likeliest first, None for all in order; and their scores over the temperature.

    Left out are all but the `top_k` best and, of what is left, all but the fewest best whose probabilities sum to at
    least `top_p` (Fan et al. 2018; Holtzman et al. 2020, section 3.1). Of scores `[V]`.
    """
    scores = scores / temperature
    wants_mass = top_p is not None and top_p < 1.0
    if top_k is None and not wants_mass:
        return None, scores
    best, ids = scores.topk(min(top_k or N_LIKELIEST, len(scores)))
    if top_p is None or not wants_mass:
        return ids, best
    total = (scores if top_k is None else best).logsumexp(-1)
    if top_k is None and (best - total).exp().sum() < top_p:
        best, ids = scores.sort(descending=True)
    probs = (best - total).exp()
    n_kept = max(1, int((probs.cumsum(-1) - probs < top_p).sum()))
    return ids[:n_kept], best[:n_kept]


class Scores:
    """Logits `[B, V]` of the rows of all searches, and what is likeliest by them, `[2, B]`, where it is known.

    The latter may hold until the next step alone, unless it was asked for.
    """

    def __init__(self, logits: Tensor, best: Tensor | None = None) -> None:
        self.logits = logits
        self._best = best
        self._asked: tuple[Tensor, torch.cuda.Event] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def of(self, rows: Sequence[int]) -> Tensor:
        """Logits of some rows, without a copy where it is one."""
        return self.logits[rows[0], None] if len(rows) == 1 else self.logits[rows]

    def arranged(self, rows: list[int]) -> "Scores":
        """Of these rows, in this order."""
        return Scores(self.logits[rows], None if self._best is None else self._best[:, rows])

    @property
    def best(self) -> Tensor:
        """Of each row the likeliest token and its log-probability, where the logits are: `[2, B]`, float64."""
        if self._best is None:
            self._best = gpu.likeliest(self.logits) if gpu.takes(self.logits) else _likeliest(self.logits)
        return self._best

    def ask(self) -> None:
        """Have a GPU send what is likeliest before it begins anything else."""
        if self._asked is None:
            received = torch.empty(self.best.shape, dtype=self.best.dtype, pin_memory=True)
            received.copy_(self.best, non_blocking=True)
            self._asked = received, torch.cuda.current_stream(self.logits.device).record_event()

    @cached_property
    def likeliest(self) -> list[tuple[int, float]]:
        """Of each row the likeliest token and its log-probability."""
        if kernels.takes(self.logits):
            return kernels.likeliest(self.logits)
        best = self.best
        if self._asked is not None:
            best, arrival = self._asked
            arrival.synchronize()
        return [(int(token), log_prob) for token, log_prob in zip(*best.tolist(), strict=True)]


def _likeliest(logits: Tensor) -> Tensor:
    """As `gpu.likeliest`."""
    best, tokens = logits.float().max(-1)
    return torch.stack([tokens.double(), (best - logits.float().logsumexp(-1)).double()])


class Search(ABC):
    """One text in the making, after a `prompt`. `done` ends it; `outbox` collects what a caller is to be told.

    `index` says which of the request's texts it makes; None if all of them.
    """

    index: int | None = None
    is_plain = False
    """Whether it takes the likeliest token, unless that is forbidden, in one row of its own."""

    def __init__(self, request: GenerateRequest, rules: Rules, prompt: Sequence[int]) -> None:
        self.request, self.rules, self.prompt = request, rules, list(prompt)
        self.done = False
        self.outbox: list[Progress] = []

    @property
    def is_last(self) -> bool:
        """Whether the next token is known to be the last."""
        return False

    @abstractmethod
    def advance(self, scores: Scores, rows: Sequence[int]) -> list[Continuation]:
        """Given its `R` rows, the next token of each row it wants from now on; none once it is done."""


class Single(Search):
    """Greedy, or drawn by a generator of its own, whoever runs beside it (Holtzman et al. 2020)."""

    def __init__(self, request: GenerateRequest, rules: Rules, prompt: Sequence[int], index: int) -> None:
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

    def advance(self, scores: Scores, rows: Sequence[int]) -> list[Continuation]:
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

    def _chosen(self, scores: Scores, row: int) -> tuple[int, GeneratedToken]:
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


@dataclass(slots=True)
class _Beam:
    tokens: list[int] = field(default_factory=list)
    told: list[GeneratedToken] = field(default_factory=list)
    score: float = 0.0


@dataclass(slots=True)
class _Finished:
    beam: _Beam
    score: float
    is_ended: bool


class Beams(Search):
    """The `num_beams` likeliest texts so far go on; finished ones compete by score / length ** `length_penalty`.

    It ends when no running text can beat the worst finished one, judged by its score so far. Source: Wu et al. 2016,
    section 7, with the stopping rule and the details of `transformers`, whose results it gives.
    """

    def __init__(self, request: GenerateRequest, rules: Rules, prompt: Sequence[int]) -> None:
        super().__init__(request, rules, prompt)
        self._beams = [_Beam()]
        self._finished: list[_Finished] = []
        self._n_done = 0

    def advance(self, scores: Scores, rows: Sequence[int]) -> list[Continuation]:
        """See `Search.advance`."""
        request, rules = self.request, self.rules
        n_beams = request.num_beams
        log_probs = scores.of(rows).float().log_softmax(-1)
        totals = torch.stack(
            [
                allowed(row, [*self.prompt, *beam.tokens], self._n_done, request, rules) + beam.score
                for row, beam in zip(log_probs, self._beams, strict=True)
            ]
        )
        n_kept = max(2, 1 + len(rules.ends)) * n_beams
        best, places = totals.flatten().topk(min(n_kept, totals.numel()))
        self._n_done += 1
        is_last = self._n_done == request.max_new_tokens
        running: list[tuple[_Beam, Continuation]] = []
        for rank, (score, place) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            parent, token = divmod(place, totals.shape[1])
            beam = self._grown(self._beams[parent], log_probs[parent], token, score)
            if token in rules.ends or is_last:
                if rank < n_beams:
                    self._finish(beam, is_ended=token in rules.ends)
            elif len(running) < n_beams:
                running.append((beam, Continuation(token, parent)))
        self._beams = [beam for beam, _ in running]
        if is_last or not running or not self._can_improve(running[0][0].score):
            self._end()
            return []
        return [continuation for _, continuation in running]

    def _grown(self, beam: _Beam, log_probs: Tensor, token: int, score: float) -> _Beam:
        if token in self.rules.ends:
            return _Beam([*beam.tokens, token], beam.told, score)
        told = described(log_probs, token, self.request.n_alternatives)
        return _Beam([*beam.tokens, token], [*beam.told, told], score)

    def _finish(self, beam: _Beam, *, is_ended: bool) -> None:
        score = beam.score / len(beam.tokens) ** self.request.length_penalty
        if math.isinf(score):
            return
        self._finished.append(_Finished(beam, score, is_ended))
        self._finished.sort(key=lambda finished: -finished.score)
        del self._finished[self.request.num_beams :]

    def _can_improve(self, best_running: float) -> bool:
        if len(self._finished) < self.request.num_beams:
            return True
        best_possible: float = best_running / self._n_done**self.request.length_penalty
        return best_possible > self._finished[-1].score

    def _end(self) -> None:
        self.done = True
        for index, finished in enumerate(self._finished[: self.request.n]):
            told: list[GeneratedToken | None] = [*finished.beam.told]
            *others, last = told or [None]
            self.outbox += [Progress(index, token) for token in others]
            reason: FinishReason = "stop" if finished.is_ended else "length"
            self.outbox.append(Progress(index, last, reason, finished.score))


def described(scores: Tensor, token: int, n_alternatives: int) -> GeneratedToken:
    """A token with its log-probability by logits, or log-probabilities, `[V]`."""
    log_probs = scores.log_softmax(-1)
    others: tuple[tuple[int, float], ...] = ()
    if n_alternatives:
        values, ids = log_probs.topk(min(n_alternatives, len(log_probs)))
        others = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return GeneratedToken(token, float(log_probs[token]), others)


def searches(request: GenerateRequest, rules: Rules, prompt: Sequence[int]) -> list[Search]:
    """Those that answer a request: one for all beams, or one for each of its `n` texts."""
    if request.num_beams > 1:
        return [Beams(request, rules, prompt)]
    return [Single(request, rules, prompt, index) for index in range(request.n)]

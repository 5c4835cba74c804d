"""Placeholder: to be described."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.generation.sampling import GenerationRules, allowed, described
from models.generation.scores import TokenScores
from models.generation.search import Continuation, Search
from models.tasks.text import FinishReason, GeneratedToken, GenerateRequest, Progress


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


class BeamSearch(Search):
    """The `num_beams` likeliest texts so far go on; finished ones compete by score / length ** `length_penalty`.

    It ends when no running text can beat the worst finished one, judged by its score so far. Source: Wu et al. 2016,
    section 7, with the stopping rule and the details of `transformers`, whose results it gives.
    """

    def __init__(self, request: GenerateRequest, rules: GenerationRules, prompt: Sequence[int]) -> None:
        super().__init__(request, rules, prompt)
        self._beams = [_Beam()]
        self._finished: list[_Finished] = []
        self._n_done = 0

    def advance(self, scores: TokenScores, rows: Sequence[int]) -> list[Continuation]:
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

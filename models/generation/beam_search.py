"""Beam search: several beginnings of a text grow side by side, and the best whole texts are the result."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import override

from models.generation.generation_rules import GenerationRules
from models.generation.logits_rules import TextSoFar, apply_rules
from models.generation.search import Continuation, Search
from models.generation.token_scores import TokenScores, describe_token
from models.tasks.generation import FinishReason, GeneratedToken, GenerateRequest, Progress


@dataclass(slots=True)
class _Beam:
    """The beginning of a text: its tokens, the descriptions of those that are no end, and its log-likelihood."""

    tokens: list[int] = field(default_factory=list)
    described: list[GeneratedToken] = field(default_factory=list)
    score: float = 0.0


@dataclass(slots=True)
class _Finished:
    """A whole text, its log-likelihood divided by a power of its length, and whether the model ended it."""

    beam: _Beam
    score: float
    has_ended: bool


class BeamSearch(Search):
    """Continues the `num_beams` likeliest beginnings. Whole texts compete by score / length ** `length_penalty`.

    The search ends when no beginning can beat the worst whole text, as `early_stopping` judges it. Source: Wu et al.
    2016, section 7, with the stopping rules and the details of `transformers`, whose results it gives.
    """

    def __init__(self, request: GenerateRequest, rules: GenerationRules, prompt: Sequence[int]) -> None:
        super().__init__(request, rules, prompt)
        self._beams = [_Beam()]
        self._finished: list[_Finished] = []

    @override
    def advance(self, scores: TokenScores, rows: Sequence[int]) -> list[Continuation]:
        request, n_beams = self.request, self.request.num_beams
        logits = scores.logits[rows[0], None] if len(rows) == 1 else scores.logits[rows]  # a single row is not copied
        log_probs = logits.float().log_softmax(-1)
        totals = torch.stack([self._total(row, beam) for row, beam in zip(log_probs, self._beams, strict=True)])
        n_kept = max(2, 1 + len(self.end_ids)) * n_beams
        best, places = totals.flatten().topk(min(n_kept, totals.numel()))
        self.n_generated += 1
        is_last = self.n_generated == request.max_new_tokens
        running: list[tuple[_Beam, Continuation]] = []
        for rank, (score, place) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            parent, token = divmod(place, totals.shape[1])
            beam = self._extended(self._beams[parent], log_probs[parent], token, score)
            if token in self.end_ids or is_last:
                if rank < n_beams:
                    self._finish(beam, has_ended=token in self.end_ids)
            elif len(running) < n_beams:
                running.append((beam, Continuation(token, parent)))
        self._beams = [beam for beam, _ in running]
        if is_last or not running or not self._can_improve(running[0][0].score):
            self._end()
            return []
        return [continuation for _, continuation in running]

    def _total(self, log_probs: Tensor, beam: _Beam) -> Tensor:
        """Return the log-likelihoods `[V]` of a beam with each next token that the rules allow."""
        text = TextSoFar([*self.prompt, *beam.tokens], len(self.prompt))
        return apply_rules(self.logits_rules, log_probs, text) + beam.score

    def _extended(self, beam: _Beam, log_probs: Tensor, token: int, score: float) -> _Beam:
        if token in self.end_ids:
            return _Beam([*beam.tokens, token], beam.described, score)
        described = describe_token(log_probs, token, self.request.n_alternatives)
        return _Beam([*beam.tokens, token], [*beam.described, described], score)

    def _finish(self, beam: _Beam, *, has_ended: bool) -> None:
        """Keep a whole text if it is one of the `num_beams` best."""
        score = beam.score / len(beam.tokens) ** self.request.length_penalty
        if math.isinf(score):
            return
        self._finished.append(_Finished(beam, score, has_ended))
        self._finished.sort(key=lambda finished: -finished.score)
        del self._finished[self.request.num_beams :]

    def _can_improve(self, best_running: float) -> bool:
        """Return whether a beam with this log-likelihood can still become one of the best whole texts."""
        request = self.request
        if len(self._finished) < request.num_beams:
            return True
        if request.early_stopping is True:
            return False
        longest = request.early_stopping == "never" and request.length_penalty > 0
        length = self.n_generated if not longest or request.max_new_tokens is None else request.max_new_tokens
        best_possible: float = best_running / length**request.length_penalty
        return best_possible > self._finished[-1].score

    def _end(self) -> None:
        """Report the best whole texts, each token by token."""
        self.is_done = True
        for index, finished in enumerate(self._finished[: self.request.n]):
            tokens: list[GeneratedToken | None] = [*finished.beam.described]
            *others, last = tokens or [None]
            self._events += [Progress(index, token) for token in others]
            reason: FinishReason = "stop" if finished.has_ended else "length"
            self._events.append(Progress(index, last, reason, finished.score))

"""Placeholder: to be described."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from models.ops.top_tokens import list_top_tokens, to_list, top_tokens


class TokenScores:
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

    def arranged(self, rows: list[int]) -> "TokenScores":
        """Of these rows, in this order."""
        return TokenScores(self.logits[rows], None if self._best is None else self._best[:, rows])

    @property
    def best(self) -> Tensor:
        """Of each row the likeliest token and its log-probability, where the logits are: `[2, B]`, float64."""
        if self._best is None:
            self._best = top_tokens(self.logits)
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
        if self._asked is not None:
            best, arrival = self._asked
            arrival.synchronize()
            return to_list(best)
        return list_top_tokens(self.logits) if self._best is None else to_list(self._best)

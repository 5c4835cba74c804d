"""The scores of the next token of every row, and the tokens that continue the rows.

Shapes: `B` rows, `V` vocabulary.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from models.ops.top_tokens import list_top_tokens, top_tokens
from models.tasks.generation import GeneratedToken


@dataclass(frozen=True, slots=True, eq=False)
class NextTokens:
    """The token that continues each row.

    Attributes:
        ids: `[B]`, numbers of any type, on the CPU or where the model computes.
        replay: the replay of a recorded step, if the tokens are the likeliest ones after it, for all of its rows. They
            are then already where the next replay reads them.
    """

    ids: Tensor
    replay: object | None = None


class TokenScores:
    """The logits `[B, V]` of the next token of every row, and the likeliest tokens, where they are known.

    `best`, `[2, B]`, float64, has the likeliest token of each row and its log-probability. If it belongs to a `replay`
    of a recorded step, the next replay overwrites it; `request_likeliest` saves it from that.
    """

    def __init__(self, logits: Tensor, best: Tensor | None = None, replay: object | None = None) -> None:
        self.logits = logits
        self._best, self._replay = best, replay
        self._requested: tuple[Tensor, torch.cuda.Event] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def rearranged(self, rows: list[int]) -> "TokenScores":
        """Return the scores of these rows, in this order."""
        return TokenScores(self.logits[rows], None if self._best is None else self._best[:, rows])

    @property
    def best(self) -> Tensor:
        """Return the likeliest token of each row and its log-probability, where the logits are: `[2, B]`, float64."""
        if self._best is None:
            self._best = top_tokens(self.logits)
        return self._best

    def likeliest_tokens(self) -> NextTokens:
        """Return the likeliest token of every row, where the logits are."""
        return NextTokens(self.best[0], self._replay)

    def request_likeliest(self) -> None:
        """Let the GPU send the likeliest tokens to the CPU before it begins anything else."""
        if self._requested is None:
            received = torch.empty(self.best.shape, dtype=self.best.dtype, pin_memory=True)
            received.copy_(self.best, non_blocking=True)
            self._requested = received, torch.cuda.current_stream(self.logits.device).record_event()

    @cached_property
    def likeliest(self) -> list[tuple[int, float]]:
        """Return the likeliest token of each row and its log-probability."""
        best = self._best
        if self._requested is not None:
            best, arrival = self._requested
            arrival.synchronize()
        return list_top_tokens(self.logits, best)


def describe_token(scores: Tensor, token: int, n_alternatives: int) -> GeneratedToken:
    """Return a token with its log-probability by logits or log-probabilities `[V]`, and with the likeliest others."""
    log_probs = scores.log_softmax(-1)
    others: tuple[tuple[int, float], ...] = ()
    if n_alternatives:
        values, ids = log_probs.topk(min(n_alternatives, len(log_probs)))
        others = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return GeneratedToken(token, float(log_probs[token]), others)

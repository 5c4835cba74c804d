"""How the next token of a text is chosen: the base of all searches, and the search for a single text.

A search has one or more rows of the decoder. It is given their scores, and returns which tokens come next and which row
each of them continues.

Shapes: `V` vocabulary, `R` rows of the search.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from typing_extensions import override

from models.generation.generation_rules import GenerationRules, rules_for
from models.generation.logits_rules import BanRule, TextSoFar, apply_rules
from models.generation.sampling import candidates_of, draw, filters_for
from models.generation.token_scores import TokenScores, describe_token
from models.seeding import seeded
from models.tasks.generation import GeneratedToken, GenerateRequest, Progress


class Continuation(NamedTuple):
    """The next token of a row, and the place of the row that it continues among the present rows of the search."""

    token: int
    parent: int


class Search(ABC):
    """Makes one or more texts of a request after a prompt.

    Attributes:
        index: which of the request's texts it makes; None if it makes all of them.
        takes_likeliest: whether it always takes the likeliest token of its only row, unless that is forbidden.
        n_generated: number of tokens that were generated of each text, including one that ends it.
        is_done: whether its texts have ended.
    """

    index: int | None = None
    takes_likeliest = False

    def __init__(self, request: GenerateRequest, rules: GenerationRules, prompt: Sequence[int]) -> None:
        self.request, self.prompt, self.end_ids = request, list(prompt), rules.end_ids
        self.logits_rules = rules_for(request, rules)
        self.n_generated = 0
        self.is_done = False
        self._events: list[Progress] = []

    @abstractmethod
    def advance(self, scores: TokenScores, rows: Sequence[int]) -> list[Continuation]:
        """Choose the next tokens, given the `R` rows of the search; return nothing once it is done."""

    def take_events(self) -> list[Progress]:
        """Return the progress since the last call."""
        events, self._events = self._events, []
        return events


class SingleSearch(Search):
    """Makes one text: the likeliest token each time or, with `do_sample`, one that is drawn (Holtzman et al. 2020).

    Each text has a random generator of its own, so that it does not depend on the texts beside it.
    """

    def __init__(self, request: GenerateRequest, rules: GenerationRules, prompt: Sequence[int], index: int) -> None:
        super().__init__(request, rules, prompt)
        self.index = self._index = index
        self._text = TextSoFar([*self.prompt], len(self.prompt))
        self._bans = [rule for rule in self.logits_rules if isinstance(rule, BanRule)]
        is_greedy = not request.do_sample and not request.n_alternatives
        self.takes_likeliest = is_greedy and len(self._bans) == len(self.logits_rules)
        self._filters = filters_for(request)
        self._generator = seeded(request.seed, index) if request.do_sample else None

    @override
    def advance(self, scores: TokenScores, rows: Sequence[int]) -> list[Continuation]:
        token, described = self._choose(scores, rows[0])
        if math.isnan(described.log_prob):  # as are those of all other tokens, so that no choice makes sense
            self.is_done = True
            self._events.append(Progress(self._index, described, "stop"))
            return []
        self._text.tokens.append(token)
        self.n_generated += 1
        if token in self.end_ids:
            self.is_done = True
            self._events.append(Progress(self._index, None, "stop"))
            return []
        self.is_done = self.n_generated == self.request.max_new_tokens
        self._events.append(Progress(self._index, described, "length" if self.is_done else None))
        return [] if self.is_done else [Continuation(token, 0)]

    def _choose(self, scores: TokenScores, row: int) -> tuple[int, GeneratedToken]:
        """Return the next token, and its description by the model's own scores."""
        text = self._text
        if self.takes_likeliest:
            token, log_prob = scores.likeliest[row]
            if not any(token in rule.banned(text) for rule in self._bans):
                return token, GeneratedToken(token, log_prob)
        logits = scores.logits[row].float()
        changed = apply_rules(self.logits_rules, logits, text)
        if self._generator is not None:
            token = draw(candidates_of(changed, self._filters), self._generator)
        else:
            token = int(changed.argmax())
        return token, describe_token(logits, token, self.request.n_alternatives)

"""Rules that change the scores of the next token, one small object for each, which are applied in turn.

Shapes: `V` vocabulary.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from models.tasks.generation import GenerateRequest


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


class LogitsRule(ABC):
    """Changes the scores of the next token."""

    @abstractmethod
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        """Return new scores `[V]` in float32; the given ones, which stay as they are, if nothing changes."""


@dataclass(frozen=True)
class RepetitionPenalty(LogitsRule):
    """Divides positive scores of tokens of the text, given or generated, by a penalty, and multiplies negative ones.

    Source: Keskar et al. 2019, section 4.1; for negative scores as in `transformers`.
    """

    penalty: float

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        if not text.tokens:
            return scores
        ids = torch.tensor(sorted(set(text.tokens)), device=scores.device)
        values = scores[ids]
        return scores.index_copy(0, ids, torch.where(values < 0, values * self.penalty, values / self.penalty))


@dataclass(frozen=True)
class PresencePenalty(LogitsRule):
    """Subtracts a penalty from the scores of tokens that were generated before.

    Source: OpenAI, API reference, "Frequency and presence penalties": `mu[j] - float(c[j] > 0) * alpha_presence`.
    """

    penalty: float

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        ids = torch.tensor(sorted(set(text.tokens[text.n_given :])), dtype=torch.int64, device=scores.device)
        return scores.index_copy(0, ids, scores[ids] - self.penalty)


@dataclass(frozen=True)
class FrequencyPenalty(LogitsRule):
    """Subtracts a penalty from the score of a token for each time that it was generated before.

    Source: OpenAI, API reference, "Frequency and presence penalties": `mu[j] - c[j] * alpha_frequency`.
    """

    penalty: float

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        counts = Counter(text.tokens[text.n_given :])
        ids = torch.tensor([*counts], dtype=torch.int64, device=scores.device)
        n_times = torch.tensor([*counts.values()], dtype=scores.dtype, device=scores.device)
        return scores.index_copy(0, ids, scores[ids] - self.penalty * n_times)


@dataclass(frozen=True)
class ForcedToken(LogitsRule):
    """Leaves only one token at a position among the generated ones, from 0: its score is 0, others are -infinity."""

    token_id: int
    position: int

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        if text.n_generated != self.position:
            return scores
        forced = torch.full_like(scores, -torch.inf)
        forced[self.token_id] = 0.0
        return forced


class BanRule(LogitsRule):
    """Forbids tokens, whose scores become minus infinity."""

    @abstractmethod
    def banned(self, text: TextSoFar) -> Collection[int]:
        """Return the ids that may not follow the text."""

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
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


def rules_for(request: GenerateRequest, model_rules: GenerationRules) -> list[LogitsRule]:
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

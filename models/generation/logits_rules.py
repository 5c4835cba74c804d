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
class SourceBonus(LogitsRule):
    """Multiplies positive scores of the tokens of a source text by a factor, and divides negative ones.

    Source: `encoder_repetition_penalty` of `transformers`.
    """

    source_ids: tuple[int, ...]
    factor: float

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        return RepetitionPenalty(1 / self.factor).apply(scores, TextSoFar([*self.source_ids], 0))


@dataclass(frozen=True)
class SequenceBias(LogitsRule):
    """Adds a number to the score of the last token of a sequence after all of its other tokens.

    Source: `sequence_bias` of `transformers`.
    """

    biases: tuple[tuple[tuple[int, ...], float], ...]

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        found = [(word[-1], bias) for word, bias in self.biases if _continues(text.tokens, word[:-1])]
        ids = torch.tensor([token_id for token_id, _ in found], dtype=torch.int64, device=scores.device)
        values = torch.tensor([bias for _, bias in found], dtype=scores.dtype, device=scores.device)
        return scores.index_add(0, ids, values)


@dataclass(frozen=True)
class EndGrowth(LogitsRule):
    """Makes the ends of a text likelier with every token after the first `n_tokens` generated ones.

    Source: `exponential_decay_length_penalty` of `transformers`: a score `s` grows by `|s| (factor ** k - 1)`.
    """

    n_tokens: int
    factor: float
    end_ids: tuple[int, ...]

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        n_beyond = text.n_generated - self.n_tokens
        if n_beyond <= 0:
            return scores
        ids = torch.tensor(self.end_ids, dtype=torch.int64, device=scores.device)
        values = scores[ids]
        grown = values + values.abs() * (self.factor**n_beyond - 1)
        return scores.index_copy(0, ids, torch.where(values.isfinite(), grown, values))


@dataclass(frozen=True)
class ForcedTokens(LogitsRule):
    """Leaves only some tokens at a position among the generated ones, from 0: they score 0, others -infinity."""

    token_ids: tuple[int, ...]
    position: int

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        if text.n_generated != self.position:
            return scores
        forced = torch.full_like(scores, -torch.inf)
        forced[[*self.token_ids]] = 0.0
        return forced


@dataclass(frozen=True)
class ForcedFirstToken(LogitsRule):
    """Leaves only one token after a decoder's only given token: it scores 0, others -infinity."""

    token_id: int

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        return ForcedTokens((self.token_id,), 0).apply(scores, text) if text.n_given == 1 else scores


@dataclass(frozen=True)
class Normalization(LogitsRule):
    """Turns scores into log-probabilities."""

    @override
    def apply(self, scores: Tensor, text: TextSoFar) -> Tensor:
        return scores.log_softmax(-1)


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
class SuppressedFirstTokens(BanRule):
    """Forbids tokens as the first generated one or, if the first one is forced, as the second."""

    token_ids: tuple[int, ...]
    is_first_forced: bool

    @override
    def banned(self, text: TextSoFar) -> Collection[int]:
        position = 1 if self.is_first_forced and text.n_given == 1 else 0
        return self.token_ids if text.n_generated == position else ()


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
        return {word[-1] for word in self.words if _continues(text.tokens, word[:-1])}


def _continues(tokens: list[int], beginning: tuple[int, ...]) -> bool:
    """Return whether the last tokens are the beginning of a sequence, which the next one may complete."""
    n_before = len(tokens) - len(beginning)
    return n_before >= 0 and tokens[n_before:] == [*beginning]


def source_sequences(source_ids: Sequence[int], size: int) -> BadWords:
    """Return the rule that forbids all sequences of `size` tokens of a source text."""
    return BadWords(tuple(dict.fromkeys(zip(*(source_ids[start:] for start in range(size)), strict=False))))


def apply_rules(rules: Sequence[LogitsRule], scores: Tensor, text: TextSoFar) -> Tensor:
    """Return the scores `[V]`, logits or log-probabilities, that all rules leave; the given ones are not changed."""
    for rule in rules:
        scores = rule.apply(scores, text)
    return scores

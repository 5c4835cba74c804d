"""What a model demands of every text that it generates, and the rules that a request and its model lead to."""

from dataclasses import dataclass

from models.generation.logits_rules import (
    BadWords,
    EndGrowth,
    ForcedFirstToken,
    ForcedTokens,
    FrequencyPenalty,
    LogitsRule,
    MinLength,
    NoRepeatNgrams,
    Normalization,
    PresencePenalty,
    RepetitionPenalty,
    SequenceBias,
    SourceBonus,
    SuppressedFirstTokens,
    SuppressedTokens,
    source_sequences,
)
from models.tasks.generation import GenerateRequest


@dataclass(frozen=True, kw_only=True)
class GenerationRules:
    """What a model demands of every text that it generates.

    Attributes:
        end_ids: the tokens that end a text.
        suppressed_ids: tokens that are never generated.
        suppressed_first_ids: tokens that are not generated first, or not after the forced first one.
        bad_words: sequences of tokens that are never generated.
        forced_first_id: the token that follows the only token that the decoder is given; None if any may.
        forced_end_ids: the tokens of which one must be the last of a text of the maximum length; empty if any may be.
        source_ngram_size: number of tokens in sequences of the request's text that are not repeated; 0 if all may be.
        source_bonus: factor by which tokens of the request's text become likelier.
        end_growth: number of tokens after which ends become likelier, and the factor for each further one; None if
            they do not.
        biases: sequences of tokens with the number that is added to the score of their last one after the others.
        renormalizes: whether the scores that beam search adds up are log-probabilities again after all other rules.
    """

    end_ids: tuple[int, ...] = ()
    suppressed_ids: tuple[int, ...] = ()
    suppressed_first_ids: tuple[int, ...] = ()
    bad_words: tuple[tuple[int, ...], ...] = ()
    forced_first_id: int | None = None
    forced_end_ids: tuple[int, ...] = ()
    source_ngram_size: int = 0
    source_bonus: float = 1.0
    end_growth: tuple[int, float] | None = None
    biases: tuple[tuple[tuple[int, ...], float], ...] = ()
    renormalizes: bool = False


def rules_for(request: GenerateRequest, model_rules: GenerationRules) -> list[LogitsRule]:
    """Return the rules for a request to a model with rules of its own, in the order in which they are applied.

    The order is that of `transformers`, but that forced tokens come last, so that nothing forbids them.
    """
    rules: list[LogitsRule] = []
    if model_rules.biases:
        rules.append(SequenceBias(model_rules.biases))
    if model_rules.source_bonus != 1.0:
        rules.append(SourceBonus(tuple(request.tokens.ids.tolist()), model_rules.source_bonus))
    if request.repetition_penalty != 1.0:
        rules.append(RepetitionPenalty(request.repetition_penalty))
    if request.presence_penalty:
        rules.append(PresencePenalty(request.presence_penalty))
    if request.frequency_penalty:
        rules.append(FrequencyPenalty(request.frequency_penalty))
    if request.no_repeat_ngram_size:
        rules.append(NoRepeatNgrams(request.no_repeat_ngram_size))
    if model_rules.source_ngram_size:
        rules.append(source_sequences(request.tokens.ids.tolist(), model_rules.source_ngram_size))
    if words := (*model_rules.bad_words, *request.bad_words):
        ends = {(token_id,) for token_id in model_rules.end_ids}  # or no text would end
        rules.append(BadWords(tuple(word for word in words if word not in ends)))
    if request.min_new_tokens and model_rules.end_ids:
        rules.append(MinLength(request.min_new_tokens, model_rules.end_ids))
    return rules + _demands(request, model_rules)


def _demands(request: GenerateRequest, model_rules: GenerationRules) -> list[LogitsRule]:
    """Return the rules of a model that are applied after those of a request."""
    rules: list[LogitsRule] = []
    if model_rules.end_growth is not None and model_rules.end_ids:
        rules.append(EndGrowth(*model_rules.end_growth, model_rules.end_ids))
    if model_rules.suppressed_ids:
        rules.append(SuppressedTokens(model_rules.suppressed_ids))
    if model_rules.suppressed_first_ids:
        is_first_forced = model_rules.forced_first_id is not None
        rules.append(SuppressedFirstTokens(model_rules.suppressed_first_ids, is_first_forced))
    if model_rules.forced_first_id is not None:
        rules.append(ForcedFirstToken(model_rules.forced_first_id))
    if model_rules.forced_end_ids and request.max_new_tokens is not None:
        rules.append(ForcedTokens(model_rules.forced_end_ids, request.max_new_tokens - 1))
    if model_rules.renormalizes and request.num_beams > 1:
        rules.append(Normalization())  # other searches choose the same tokens without it
    return rules

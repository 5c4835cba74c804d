"""Reads what a published checkpoint says about generation: its demands and its preferences.

The keys are those of `generation_config.json`, which old checkpoints have in `config.json`. A key that would change the
generated texts and is not supported here is refused, unless its value has no effect. Keys that change no text, such as
those about caches, outputs and speculative decoding, are not read, nor are keys that `transformers` does not know.
"""

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from models.errors import CheckpointError
from models.generation.generation_rules import GenerationRules
from models.tasks.generation import MAX_BEAMS, MAX_TEXTS
from models.tasks.generation_defaults import GenerationDefaults

PREFERENCES = tuple(field.name for field in fields(GenerationDefaults))
"""Keys with values that a request may replace."""
INHERITED = (
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
"""Keys that are read from `config.json` if `generation_config.json` exists but lacks them."""
DEMANDS = (
    *INHERITED,
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "exponential_decay_length_penalty",
    "sequence_bias",
    "renormalize_logits",
)
"""Keys with values that hold for all texts."""
_NEUTRAL: Mapping[str, Callable[[Any], bool]] = {
    "stop_strings": lambda value: value in ("", []),
    "max_time": lambda value: False,
    "watermarking_config": lambda value: False,
    "guidance_scale": lambda value: value == 1,
    "diversity_penalty": lambda value: value == 0,
    "num_beam_groups": lambda value: value in (0, 1),
    "constraints": lambda value: value == [],
    "force_words_ids": lambda value: value == [],
    "penalty_alpha": lambda value: value == 0,
    "dola_layers": lambda value: False,
    "forced_decoder_ids": lambda value: value == [],
    "token_healing": lambda value: value is False,
    "epsilon_cutoff": lambda value: value in (0, 1),
    "eta_cutoff": lambda value: value in (0, 1),
    "top_h": lambda value: False,
}
"""Keys that are not supported, with the values besides null that have no effect."""
GENERATION_KEYS = frozenset((*PREFERENCES, *DEMANDS, *_NEUTRAL))
"""All keys that are read."""
_IDS = "a token id or a list of token ids"


@dataclass(frozen=True, kw_only=True)
class _Number:
    """The numbers that a preference may be, and those that stand for no preference."""

    least: float
    most: float = math.inf
    is_whole: bool = False
    excludes_least: bool = False
    neutral: tuple[float, ...] = ()

    def __contains__(self, value: object) -> bool:
        is_number = type(value) is int or (type(value) is float and not self.is_whole)
        return is_number and self.least <= value <= self.most and not (self.excludes_least and value == self.least)  # type: ignore[operator]

    def __str__(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        least = f"above {self.least}" if self.excludes_least else f"of at least {self.least}"
        return f"{kind} {least}" + (f" and at most {self.most}" if self.most < math.inf else "")


_NUMBERS = {
    "max_new_tokens": _Number(least=1, is_whole=True),
    "max_length": _Number(least=0, is_whole=True),
    "min_new_tokens": _Number(least=0, is_whole=True),
    "min_length": _Number(least=0, is_whole=True),
    "temperature": _Number(least=0, most=100, excludes_least=True),
    "top_k": _Number(least=1, is_whole=True, neutral=(0,)),
    "top_p": _Number(least=0, most=1, excludes_least=True, neutral=(1,)),
    "min_p": _Number(least=0, most=1, neutral=(0,)),
    "typical_p": _Number(least=0, most=1, excludes_least=True, neutral=(1,)),
    "repetition_penalty": _Number(least=0.01, most=100),
    "no_repeat_ngram_size": _Number(least=0, is_whole=True),
    "num_beams": _Number(least=1, most=MAX_BEAMS, is_whole=True),
    "length_penalty": _Number(least=-10, most=10),
    "num_return_sequences": _Number(least=1, most=MAX_TEXTS, is_whole=True),
}


def refusal(key: str, value: object, needed: str) -> CheckpointError:
    """Return the error about a value, which says what is needed instead."""
    return CheckpointError(f"{key} is {reprlib.repr(value)}; {needed}", key=key)


def read_defaults(values: Mapping[str, Any]) -> GenerationDefaults:
    """Return the preferences of a checkpoint.

    Raises:
        CheckpointError: a preference has a value of the wrong type or out of range, or a key is not supported.
    """
    for key, is_neutral in _NEUTRAL.items():
        value = values.get(key)
        if value is not None and not is_neutral(value):
            raise refusal(key, value, "this key is not supported; remove it to generate texts without it")
    found: dict[str, Any] = {"do_sample": _read_flag(values, "do_sample")}
    for key, number in _NUMBERS.items():
        value = values.get(key)
        is_unused = key == "temperature" and value == 0 and not found["do_sample"]  # which stands for greedy search
        if value is None or is_unused or (type(value) in (int, float) and value in number.neutral):
            continue
        if value not in number:
            raise refusal(key, value, f"it must be {number}")
        found[key] = value
    found["early_stopping"] = values.get("early_stopping")
    if found["early_stopping"] not in (None, True, False, "never"):
        raise refusal("early_stopping", found["early_stopping"], 'it must be true, false or "never"')
    if found["do_sample"] and found.get("num_beams", 1) > 1:
        needed = "sampling among beams is not supported, so it must be 1 where do_sample is true"
        raise refusal("num_beams", found["num_beams"], needed)
    return GenerationDefaults(**found)


def read_rules(
    values: Mapping[str, Any], *, default_ends: tuple[int, ...], source_size: int, target_size: int
) -> GenerationRules:
    """Return the demands of a checkpoint.

    Ids beyond the vocabulary are dropped where they forbid a token or end a text, because no such token is generated.

    Args:
        values: the values by key.
        default_ends: the tokens that end a text if the checkpoint names none.
        source_size: number of tokens of the vocabulary of the texts that the model reads.
        target_size: number of tokens of the vocabulary of the texts that it generates.

    Raises:
        CheckpointError: a value has the wrong type or is out of range.
    """
    ngram_size = values.get("encoder_no_repeat_ngram_size") or 0
    if type(ngram_size) is not int or ngram_size < 0:
        raise refusal("encoder_no_repeat_ngram_size", ngram_size, "it must be a whole number of at least 0")
    bonus = values.get("encoder_repetition_penalty")
    if bonus is not None and bonus not in _NUMBERS["repetition_penalty"]:
        raise refusal("encoder_repetition_penalty", bonus, f"it must be {_NUMBERS['repetition_penalty']}")
    for key, is_set in (("encoder_no_repeat_ngram_size", ngram_size > 0), ("encoder_repetition_penalty", bonus != 1)):
        if is_set and values.get(key) is not None and source_size != target_size:
            raise refusal(key, values[key], "it needs one vocabulary for the texts that are read and those generated")
    first_ids = read_forced_ids(values, "forced_bos_token_id", target_size)
    if len(first_ids) > 1:
        raise refusal("forced_bos_token_id", values["forced_bos_token_id"], "it must be one token id")
    n_ids = target_size
    return GenerationRules(
        end_ids=read_known_ids(values, "eos_token_id", n_ids) if "eos_token_id" in values else default_ends,
        suppressed_ids=read_known_ids(values, "suppress_tokens", n_ids, is_list=True),
        suppressed_first_ids=read_known_ids(values, "begin_suppress_tokens", n_ids, is_list=True),
        bad_words=read_bad_words(values, n_ids),
        forced_first_id=next(iter(first_ids), None),
        forced_end_ids=read_forced_ids(values, "forced_eos_token_id", n_ids),
        source_ngram_size=ngram_size,
        source_bonus=1.0 if bonus is None else float(bonus),
        end_growth=_read_end_growth(values),
        biases=_read_biases(values, n_ids),
        renormalizes=bool(_read_flag(values, "renormalize_logits")),
    )


def read_known_ids(values: Mapping[str, Any], key: str, n_ids: int, *, is_list: bool = False) -> tuple[int, ...]:
    """Return the ids of a token or of a list of tokens that are in a vocabulary of `n_ids`; null stands for no id.

    Raises:
        CheckpointError: the value has another type; with `is_list`, a single id has as well.
    """
    value = values.get(key)
    ids = [] if value is None else value if isinstance(value, list) or is_list else [value]
    if not isinstance(ids, list) or any(type(token_id) not in (int, type(None)) for token_id in ids):
        raise refusal(key, value, "token ids must be integers" + (" in a list" if is_list else ""))
    return tuple(token_id for token_id in ids if token_id is not None and 0 <= token_id < n_ids)


def read_forced_ids(values: Mapping[str, Any], key: str, n_ids: int) -> tuple[int, ...]:
    """Return the ids of a token or of a list of tokens that must be in a vocabulary of `n_ids`.

    Raises:
        CheckpointError: the value has another type, or the vocabulary lacks an id.
    """
    value = values.get(key)
    ids = [] if value is None else value if isinstance(value, list) else [value]
    if any(type(token_id) is not int or not 0 <= token_id < n_ids for token_id in ids):
        raise refusal(key, value, f"it must be {_IDS} of 0 to {n_ids - 1}")
    return tuple(ids)


def read_bad_words(values: Mapping[str, Any], n_ids: int) -> tuple[tuple[int, ...], ...]:
    """Return the forbidden sequences of tokens that are all in a vocabulary of `n_ids`.

    Raises:
        CheckpointError: the value has another type.
    """
    words = values.get("bad_words_ids") or []
    if not _is_list_of_id_lists(words):
        raise refusal("bad_words_ids", words, "it must be a list of lists of token ids")
    return tuple(tuple(word) for word in words if all(0 <= token_id < n_ids for token_id in word))


def _is_list_of_id_lists(words: object) -> bool:
    return isinstance(words, list) and all(
        isinstance(word, list) and word and all(type(token_id) is int for token_id in word) for word in words
    )


def _read_biases(values: Mapping[str, Any], n_ids: int) -> tuple[tuple[tuple[int, ...], float], ...]:
    pairs = values.get("sequence_bias") or []
    needed = f"it must be a list of pairs of a list of token ids of 0 to {n_ids - 1} and a number"
    if not isinstance(pairs, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in pairs):
        raise refusal("sequence_bias", pairs, needed)
    are_words = _is_list_of_id_lists([word for word, _ in pairs])
    if not are_words or any(not 0 <= token_id < n_ids for word, _ in pairs for token_id in word):
        raise refusal("sequence_bias", pairs, needed)
    if any(type(bias) not in (int, float) or not math.isfinite(bias) for _, bias in pairs):
        raise refusal("sequence_bias", pairs, needed)
    return tuple({tuple(word): float(bias) for word, bias in pairs}.items())


def _read_end_growth(values: Mapping[str, Any]) -> tuple[int, float] | None:
    pair = values.get("exponential_decay_length_penalty")
    if pair is None:
        return None
    is_pair = isinstance(pair, list) and len(pair) == 2
    if not is_pair or type(pair[0]) is not int or pair[0] < 0 or pair[1] not in _NUMBERS["repetition_penalty"]:
        needed = "it must be a list of a number of tokens and a factor above 0 and at most 100"
        raise refusal("exponential_decay_length_penalty", pair, needed)
    return pair[0], float(pair[1])


def _read_flag(values: Mapping[str, Any], key: str) -> bool | None:
    value = values.get(key)
    if value not in (None, True, False):
        raise refusal(key, value, "it must be true or false")
    return None if value is None else bool(value)


def merge_settings(config: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `config.json` with the settings of `generation_config.json`, which replace its own.

    As in `transformers`, the settings of `config.json` count only where there is no `generation_config.json`. The
    exceptions are ids of special tokens and forbidden or forced tokens, without which texts would not begin and end as
    the model learnt it. `task_specific_params`, which only pipelines of old versions of `transformers` read, are not.
    """
    if stored is None:
        merged = dict(config)
        if config.get("force_bos_token_to_be_generated") and config.get("forced_bos_token_id") is None:
            merged["forced_bos_token_id"] = config.get("bos_token_id")
        return merged
    kept = {key: value for key, value in config.items() if key not in GENERATION_KEYS or key in INHERITED}
    special = ("bos_token_id", "eos_token_id", "decoder_start_token_id")
    given = {key: value for key, value in stored.items() if key in GENERATION_KEYS}
    return kept | {key: value for key, value in given.items() if value is not None or key not in special}

"""Settings of generation: what is refused, and what a request leaves to the checkpoint."""

from typing import Any

import pytest

from models.errors import CheckpointError, InvalidItems
from models.generation.settings import merge_settings, read_defaults, read_rules
from models.tasks.generation import GenerateRequest
from models.tasks.generation_defaults import GenerationDefaults
from tests.models.transformers.reference import random_text

UNSUPPORTED: dict[str, Any] = {
    "stop_strings": ["end"],
    "max_time": 1.5,
    "watermarking_config": {"bias": 2.0},
    "guidance_scale": 1.5,
    "diversity_penalty": 0.5,
    "num_beam_groups": 2,
    "constraints": [{}],
    "force_words_ids": [[5]],
    "penalty_alpha": 0.6,
    "dola_layers": "high",
    "forced_decoder_ids": [[1, 5]],
    "token_healing": True,
    "epsilon_cutoff": 3e-4,
    "eta_cutoff": 3e-4,
    "top_h": 0.4,
}
WRONG: tuple[tuple[str, Any], ...] = (
    ("num_beams", "4"),
    ("num_beams", 0),
    ("num_beams", 33),
    ("num_beams", True),
    ("repetition_penalty", 0.0),
    ("temperature", -0.5),
    ("top_k", 1.5),
    ("top_p", 1.5),
    ("max_new_tokens", 0),
    ("min_length", [1]),
    ("do_sample", "yes"),
    ("early_stopping", "always"),
    ("suppress_tokens", {"a": 1}),
    ("begin_suppress_tokens", ["5"]),
    ("forced_bos_token_id", 83),
    ("forced_bos_token_id", [5, 6]),
    ("forced_eos_token_id", -1),
    ("encoder_no_repeat_ngram_size", 1.0),
    ("encoder_repetition_penalty", 0.0),
    ("exponential_decay_length_penalty", [1]),
    ("exponential_decay_length_penalty", 1.1),
    ("sequence_bias", [[[99], 1.0]]),
    ("sequence_bias", {"(5,)": 1.0}),
    ("renormalize_logits", 2),
)
IGNORED = {
    "use_cache": True,
    "cache_implementation": "static",
    "output_scores": True,
    "output_attentions": True,
    "return_dict_in_generate": True,
    "num_assistant_tokens": 5,
    "prompt_lookup_num_tokens": 3,
    "remove_invalid_values": True,
    "pad_token_id": 10**9,
    "transformers_version": "4.40.0",
    "_from_model_config": True,
    "no_such_key": [1],
}
NEUTRAL: dict[str, Any] = {
    **dict.fromkeys((*UNSUPPORTED, *(key for key, _ in WRONG)), None),
    "guidance_scale": 1,
    "diversity_penalty": 0.0,
    "num_beam_groups": 1,
    "penalty_alpha": 0.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0,
    "stop_strings": [],
    "force_words_ids": [],
    "token_healing": False,
    "temperature": 0.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
}


def read(values: dict[str, Any]) -> GenerationDefaults:
    read_rules(values, default_ends=(0,), source_size=60, target_size=60)
    return read_defaults(values)


@pytest.mark.parametrize("key", UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(key: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{key} is .*; this key is not supported") as refusal:
        read({key: UNSUPPORTED[key]})
    assert refusal.value.key == key


@pytest.mark.parametrize(("key", "value"), WRONG, ids=str)
def test_wrong_values_are_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"^{key} is .*; .*must be") as refusal:
        read({key: value})
    assert refusal.value.key == key


def test_sampling_among_beams_is_refused() -> None:
    with pytest.raises(CheckpointError, match="num_beams is 4; sampling among beams is not supported"):
        read({"do_sample": True, "num_beams": 4})


def test_a_source_rule_needs_one_vocabulary() -> None:
    with pytest.raises(CheckpointError, match="encoder_no_repeat_ngram_size is 3; it needs one vocabulary"):
        read_rules({"encoder_no_repeat_ngram_size": 3}, default_ends=(0,), source_size=60, target_size=61)


@pytest.mark.parametrize("values", [NEUTRAL, IGNORED], ids=["neutral", "without effect"])
def test_values_without_effect_change_nothing(values: dict[str, Any]) -> None:
    assert read(values).preferred() == {}
    assert read_rules(values, default_ends=(0,), source_size=60, target_size=60) == read_rules(
        {}, default_ends=(0,), source_size=60, target_size=60
    )


def test_the_file_replaces_preferences_but_no_special_ids() -> None:
    config = {"num_beams": 4, "eos_token_id": 3, "bos_token_id": 2, "suppress_tokens": [5], "n_embd": 12}
    assert merge_settings(config, None) == config
    merged = merge_settings(config, {"eos_token_id": None, "suppress_tokens": None, "top_k": 9, "n_embd": 99})
    assert merged == {"eos_token_id": 3, "bos_token_id": 2, "suppress_tokens": None, "top_k": 9, "n_embd": 12}


def test_an_old_config_may_force_the_start() -> None:
    merged = merge_settings({"force_bos_token_to_be_generated": True, "bos_token_id": 2}, None)
    assert read_rules(merged, default_ends=(), source_size=9, target_size=9).forced_first_id == 2


TOKENS = random_text(5, 60, 0)
SAMPLES = GenerationDefaults(do_sample=True, temperature=0.7, top_k=50, num_return_sequences=2)
SEARCHES = GenerationDefaults(num_beams=4, length_penalty=0.5, temperature=0.7, num_return_sequences=2)


@pytest.mark.parametrize(
    ("defaults", "given", "expected"),
    [
        (GenerationDefaults(), {}, {}),
        (GenerationDefaults(), {"temperature": 0.5}, {"do_sample": True, "temperature": 0.5}),
        (SAMPLES, {}, {"do_sample": True, "temperature": 0.7, "top_k": 50, "n": 2}),
        (SAMPLES, {"top_k": 3}, {"do_sample": True, "temperature": 0.7, "top_k": 3, "n": 2}),
        (SAMPLES, {"do_sample": False}, {}),
        (SAMPLES, {"num_beams": 3}, {"num_beams": 3, "n": 2}),
        (SAMPLES, {"num_beams": 1, "n": 1}, {"do_sample": True, "temperature": 0.7, "top_k": 50}),
        (SEARCHES, {}, {"num_beams": 4, "length_penalty": 0.5, "n": 2}),
        (SEARCHES, {"do_sample": True}, {"do_sample": True, "temperature": 0.7, "length_penalty": 0.5, "n": 2}),
        (
            SEARCHES,
            {"top_p": 0.9, "n": 6},
            {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "length_penalty": 0.5, "n": 6},
        ),
        (SEARCHES, {"num_beams": 1}, {"length_penalty": 0.5}),
        (SEARCHES, {"length_penalty": 1.0, "n": 3}, {"num_beams": 4, "n": 3}),
        (GenerationDefaults(min_new_tokens=9), {}, {"min_new_tokens": 9}),
        (GenerationDefaults(min_new_tokens=9), {"max_new_tokens": 3}, {"min_new_tokens": 3, "max_new_tokens": 3}),
        (GenerationDefaults(min_length=9), {}, {"min_new_tokens": 4}),
        (GenerationDefaults(max_length=20), {}, {"default_new_tokens": 15}),
        (GenerationDefaults(max_length=20, max_new_tokens=3), {}, {"default_new_tokens": 3}),
        (GenerationDefaults(max_length=5), {}, {}),
    ],
    ids=str,
)
def test_what_a_request_says_decides_and_the_checkpoint_fills_in(
    defaults: GenerationDefaults, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = defaults.complete(TOKENS, given)
    plain = {"length_penalty": 1.0, "n": 1, "num_beams": 1, "do_sample": False, "top_k": None, "top_p": None}
    plain |= {"min_new_tokens": 0, "max_new_tokens": None, "temperature": 1.0}
    for name, value in (plain | {"default_new_tokens": GenerateRequest(tokens=TOKENS).default_new_tokens}).items():
        assert getattr(found, name) == expected.get(name, value), name


@pytest.mark.parametrize(
    ("given", "parameter", "detail"),
    [
        ({"do_sample": False, "top_k": 3}, "top_k", "top_k is for sampling"),
        ({"do_sample": True, "num_beams": 3}, "num_beams", "cannot be combined with sampling: num_beams is 3"),
        ({"num_beams": 2, "n": 3}, "n", "n is 3, more than num_beams, 2"),
        ({"n": 5}, "n", "n is 5, more than num_beams, 4, which is this model's default"),
    ],
)
def test_contradictions_are_refused_by_parameter(given: dict[str, Any], parameter: str, detail: str) -> None:
    with pytest.raises(InvalidItems, match=detail) as refusal:
        SEARCHES.complete(TOKENS, given)
    assert refusal.value.problems[0].parameter == parameter

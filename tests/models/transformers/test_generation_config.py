"""Folders with a `generation_config.json` generate what `transformers` does, by default and where a request differs."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers

from models.errors import CheckpointError
from models.generation.generator import Generator
from models.generation.tasks import generate
from models.tasks import ATTEND
from models.tasks.text import AttendRequest, Tokens
from models.transformers.gpt.model import Gpt
from tests.models.transformers.reference import ours, publish, random_text
from tests.models.transformers.test_decoders import gpt_config, marian_config, sharpened

ARCHITECTURES = ("GPT2LMHeadModel", "MarianMTModel")
N_NEW = 12
TEXTS = [random_text(length, 60, length) for length in (1, 4, 9)]
FIRST, SECOND = TEXTS[1].ids[:2].tolist()
LIKELY = [[[FIRST], 30.0], [[FIRST, SECOND], 60.0]]
"""Biases by which a text begins to repeat the second prompt."""
DEMANDS: dict[str, dict[str, Any]] = {
    "suppress": {"suppress_tokens": [*range(3, 50)]},
    "suppress-first": {"begin_suppress_tokens": [*range(3, 50)]},
    "source-tokens": {"encoder_no_repeat_ngram_size": 1, "sequence_bias": LIKELY},
    "source-pairs": {"encoder_no_repeat_ngram_size": 2, "sequence_bias": LIKELY},
    "source-bonus": {"encoder_repetition_penalty": 3.0},
    "growing-end": {"exponential_decay_length_penalty": [2, 1.9]},
    "growing-end-at-least": {"exponential_decay_length_penalty": [1, 3.0], "min_new_tokens": 4},
    "bias": {"sequence_bias": [[[9], 4.5], [[9, 11], 25.0], [[30], -40.0]]},
    "several-ends": {"eos_token_id": [0, 12, 31], "sequence_bias": [[[31], 25.0]], "min_new_tokens": 2},
    "end-unlike-config": {"eos_token_id": 31, "sequence_bias": [[[31], 25.0]], "min_new_tokens": 2},
    "forced-end": {"forced_eos_token_id": 0},
    "forced-ends": {"forced_eos_token_id": [5, 0], "eos_token_id": [0, 5]},
    "forced-first": {"forced_bos_token_id": 17},
    "forced-first-then-suppressed": {"forced_bos_token_id": 17, "begin_suppress_tokens": [*range(20, 60)]},
    "normalised": {"renormalize_logits": True, "suppress_tokens": [*range(3, 40)]},
    "normalised-bad-words": {"renormalize_logits": True, "bad_words_ids": [[8], [12, 13]], "repetition_penalty": 1.4},
}
PREFERENCES: dict[str, dict[str, Any]] = {
    "beams": {"num_beams": 3},
    "beams-short": {"num_beams": 3, "length_penalty": 0.2},
    "beams-stop-early": {"num_beams": 3, "early_stopping": True, "eos_token_id": [0, 12, 25, 31]},
    "beams-never-early": {"num_beams": 3, "early_stopping": "never", "length_penalty": 1.5, "eos_token_id": [0, 12]},
    "several-beams": {"num_beams": 3, "num_return_sequences": 2},
    "penalty": {"repetition_penalty": 1.8},
    "ngrams": {"no_repeat_ngram_size": 2},
    "least": {"min_new_tokens": 6, "eos_token_id": [0, 12, 25, 31]},
    "least-length": {"min_length": 9, "eos_token_id": [0, 12, 25, 31]},
    "most": {"max_new_tokens": 5},
    "most-length": {"max_length": 14},
    "neutral": {
        "temperature": 0.7,
        "top_k": 50,
        "do_sample": False,
        "num_beam_groups": 1,
        "diversity_penalty": 0.0,
        "guidance_scale": 1.0,
        "use_cache": True,
        "output_scores": False,
        "bad_words_ids": None,
        "no_such_key": 5,
        "remove_invalid_values": True,
    },
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    config = gpt_config("plain") if "GPT2" in request.param else marian_config("plain")
    sharpened(publish(folder, request.param, config), folder)
    (folder / "original.json").write_bytes((folder / "generation_config.json").read_bytes())
    return folder


def say(folder: Path, **values: Any) -> None:
    original = json.loads((folder / "original.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(original | values))


def model_of(folder: Path) -> Generator[Any]:
    return cast("Generator[Any]", ours(folder))


def mine(model: Generator[Any], texts: list[Tokens], **given: Any) -> list[list[list[int]]]:
    """The ids of each text of each request, in which the ends are left out."""
    with torch.inference_mode():
        made = generate(model, [model.generation_defaults.complete(text, given) for text in texts])
    return [[[token.id for token in sequence.tokens] for sequence in result.sequences] for result in made]


@cache
def reference_of(folder: Path) -> Any:
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    return getattr(transformers, architecture).from_pretrained(folder)


def theirs(folder: Path, texts: list[Tokens], **given: Any) -> list[list[list[int]]]:
    reference = reference_of(folder)
    reference.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    ends = reference.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    found = []
    for text in texts:
        ids = torch.from_numpy(text.ids)[None]
        with torch.inference_mode():
            made = reference.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **given)
        n_given = 1 if reference.config.is_encoder_decoder else len(text)
        found.append([until(ends, row[n_given:].tolist()) for row in made])
    return found


def until(ends: list[int], row: list[int]) -> list[int]:
    return row[: next((place for place, token in enumerate(row) if token in ends), len(row))]


@pytest.mark.parametrize("kind", DEMANDS)
def test_demands_hold_in_greedy_and_in_beam_search(folder: Path, kind: str) -> None:
    say(folder, **DEMANDS[kind])
    model = model_of(folder)
    for beams in (1, 3):
        given = {"max_new_tokens": N_NEW, "num_beams": beams}
        assert mine(model, TEXTS, **given) == theirs(folder, TEXTS, **given)


@pytest.mark.parametrize("kind", PREFERENCES)
def test_preferences_are_the_defaults(folder: Path, kind: str) -> None:
    say(folder, **PREFERENCES[kind])
    has_length = any(key.startswith("max_") for key in PREFERENCES[kind])
    given = {} if has_length else {"max_new_tokens": N_NEW}
    assert mine(model_of(folder), TEXTS, **given) == theirs(folder, TEXTS, **given)


def test_a_request_overrides_preferences(folder: Path) -> None:
    say(folder, num_beams=3, repetition_penalty=1.8, no_repeat_ngram_size=2, min_new_tokens=6, length_penalty=0.1)
    request: dict[str, Any] = {"num_beams": 1, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
    found = mine(model_of(folder), TEXTS, **request, min_new_tokens=0, max_new_tokens=N_NEW)
    say(folder)
    assert found == theirs(folder, TEXTS, max_new_tokens=N_NEW)


@pytest.mark.parametrize(
    ("key", "value"), [("penalty_alpha", 0.6), ("num_beams", "4"), ("suppress_tokens", {})], ids=str
)
def test_what_cannot_be_honoured_is_refused_by_file_and_key(folder: Path, key: str, value: Any) -> None:
    say(folder, **{key: value})
    with pytest.raises(CheckpointError, match=f"generation_config.json: {key} is {value!r}; "):
        ours(folder)


def test_the_start_of_a_translation_is_that_of_the_file(tmp_path: Path) -> None:
    sharpened(publish(tmp_path, "MarianMTModel", marian_config("plain")), tmp_path)
    (tmp_path / "original.json").write_bytes((tmp_path / "generation_config.json").read_bytes())
    say(tmp_path, decoder_start_token_id=10)
    model = model_of(tmp_path)
    assert mine(model, TEXTS, max_new_tokens=N_NEW) == theirs(tmp_path, TEXTS, max_new_tokens=N_NEW)
    for wrong in ([10], "10", 83, True):
        say(tmp_path, decoder_start_token_id=wrong)
        with pytest.raises(CheckpointError, match=r"generation_config\.json: decoder_start_token_id is"):
            ours(tmp_path)


def test_a_translation_that_shows_its_attention_obeys_demands(tmp_path: Path) -> None:
    sharpened(publish(tmp_path, "MarianMTModel", marian_config("plain")), tmp_path)
    (tmp_path / "original.json").write_bytes((tmp_path / "generation_config.json").read_bytes())
    (free,) = ours(tmp_path).run(ATTEND, [AttendRequest(tokens=TEXTS[1])])
    banned = free.target_ids[1:3].tolist()
    say(tmp_path, suppress_tokens=banned)
    (obedient,) = ours(tmp_path).run(ATTEND, [AttendRequest(tokens=TEXTS[1])])
    assert not set(banned) & set(obedient.target_ids.tolist())


def old_folder(folder: Path, architecture: str, **values: Any) -> Path:
    """A folder as saved before there was a `generation_config.json`."""
    publish(folder, architecture, gpt_config("plain") if "GPT2" in architecture else marian_config("plain"))
    (folder / "generation_config.json").unlink()
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | values))
    return folder


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_old_config_has_preferences_and_demands_too(architecture: str, tmp_path: Path) -> None:
    said = {"num_beams": 4, "suppress_tokens": [9], "task_specific_params": {"text-generation": {"num_beams": 2}}}
    model = model_of(old_folder(tmp_path, architecture, **said))
    assert model.generation_defaults.preferred() == {"num_beams": 4}
    assert model.generation_rules.suppressed_ids == (9,)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_generation_config_replaces_the_preferences_of_an_old_config(architecture: str, tmp_path: Path) -> None:
    old: Mapping[str, Any] = {"num_beams": 4, "eos_token_id": 3, "bad_words_ids": [[9]], "diversity_penalty": 1.0}
    folder = old_folder(tmp_path, architecture, **old)
    (folder / "generation_config.json").write_text(json.dumps({"repetition_penalty": 1.5}))
    model = model_of(folder)
    assert model.generation_defaults.preferred() == {"repetition_penalty": 1.5}
    assert model.generation_rules.end_ids == (3,)
    assert (9,) in model.generation_rules.bad_words


def test_an_old_config_is_named_where_it_is_to_blame(tmp_path: Path) -> None:
    folder = old_folder(tmp_path, "GPT2LMHeadModel", penalty_alpha=0.6)
    with pytest.raises(CheckpointError, match=r"/config\.json: penalty_alpha is 0\.6; this key is not supported"):
        ours(folder)


def test_a_model_that_generates_nothing_reads_no_settings(tmp_path: Path) -> None:
    publish(tmp_path, "GPT2ForSequenceClassification", gpt_config("plain", num_labels=2))
    (tmp_path / "generation_config.json").write_text(json.dumps({"penalty_alpha": 0.6}))
    assert not cast("Gpt", ours(tmp_path)).generates

import os
import re
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.cli.settings_errors import explain
from app.settings import Settings

NAMES = sorted(Settings.model_fields)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)
JARGON = ("Input should", "input_value", "validation error", "pydantic.dev", "unable to parse", "[type=")


def explained(values: dict[str, Any]) -> list[str]:
    """What is said of these values; nothing where they are right."""
    try:
        Settings(**values)
    except ValidationError as error:
        return explain(error, "--{}".format)
    return []


def assert_plain(sentences: list[str], name: str) -> None:
    assert sentences
    for sentence in sentences:
        assert re.search(rf"--{name}\b", sentence)
        assert sentence.endswith((".", "?"))
        assert "\n" not in sentence
        assert len(sentence) < 500
        assert not any(words in sentence for words in JARGON)


@given(st.sampled_from(NAMES), VALUES)
def test_a_wrong_value_of_any_setting_is_named_in_plain_words(name: str, value: object) -> None:
    try:
        Settings(**{name: value})  # type: ignore[arg-type]
    except ValidationError as error:
        assert_plain(explain(error, "--{}".format), name)


@given(st.sampled_from(NAMES), TEXTS)
def test_a_wrong_variable_is_named_in_plain_words(name: str, text: str) -> None:
    with patch.dict(os.environ, {f"MANIFOLD_{name.upper()}": text}):
        try:
            Settings()
        except ValidationError as error:
            assert_plain(explain(error, "--{}".format), name)


@given(st.integers(min_value=1), st.integers(min_value=1))
def test_limits_that_contradict_each_other_are_both_named(most: int, in_queue: int) -> None:
    sentences = explained({"max_items": most, "max_queue_items": in_queue})
    if most <= in_queue:
        assert sentences == []
    else:
        assert sentences == [
            f"--max_items is {most}, more than --max_queue_items, which is {in_queue}: "
            "the largest request could never be accepted."
        ]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"port": "abc"}, "--port is 'abc'; it must be a whole number from 0 to 65535."),
        ({"port": ""}, "--port is ''; it must be a whole number from 0 to 65535."),
        ({"workers": "0"}, "--workers is '0'; it must be a whole number of 1 or more."),
        ({"openai_token_ids": "maybe"}, "--openai_token_ids is 'maybe'; it must be true or false."),
        ({"drain_ms": -1}, "--drain_ms is -1; it must be a whole number of 0 or more."),
        ({"device": "gpu"}, "--device is 'gpu'; it must be cpu, cuda, or GPUs such as cuda:1 or cuda:0,cuda:1."),
        (
            {"dtype": "fp16"},
            "--dtype is 'fp16'; it must be float32, bfloat16, float16, int8 or auto. Did you mean float16?",
        ),
        ({"log_level": "verbose"}, "--log_level is 'verbose'; it must be debug, info, warning or error."),
        (
            {"log_level": "warn"},
            "--log_level is 'warn'; it must be debug, info, warning or error. Did you mean warning?",
        ),
        (
            {"dtypes": "mine=int4"},
            "--dtypes gives 'mine' the value 'int4'; it must be float32, bfloat16, float16 or int8. Did you mean int8?",
        ),
        ({"model": '{"mine": 5}'}, "--model gives 'mine' the value 5; it must be text."),
        (
            {"model": 5},
            "--model is 5; it must be NAME=FOLDER or NAME=ORG/NAME, several separated by commas, or a JSON ",
        ),
        ({"models": 5}, "--models is 5; it must be names separated by commas."),
        ({"models": (5,)}, "--models has 5; it must be text."),
        ({"weights_dir": 5}, "--weights_dir is 5; it must be the path of a folder."),
        ({"prot": 5}, "There is no setting named prot. Did you mean port?"),
    ],
)
def test_each_kind_of_setting_says_what_it_may_be(values: dict[str, Any], sentence: str) -> None:
    (said,) = explained(values)
    assert said.startswith(sentence)


def test_all_wrong_settings_are_named() -> None:
    sentences = explained({"port": "abc", "device": "gpu", "max_items": 5000})
    assert [text.partition(" ")[0] for text in sentences] == ["--port", "--device", "--max_items"]


def test_what_depends_on_a_wrong_setting_is_not_reported() -> None:
    sentences = explained({"host": 5})
    assert len(sentences) == 1


def test_a_port_that_kubernetes_sets_is_explained() -> None:
    with patch.dict(os.environ, {"MANIFOLD_PORT": "tcp://10.0.0.1:8000"}), pytest.raises(ValidationError) as raised:
        Settings()
    (sentence,) = explain(raised.value, lambda name: f"MANIFOLD_{name.upper()}")
    assert sentence.startswith("MANIFOLD_PORT is 'tcp://10.0.0.1:8000'; it must be a whole number from 0 to 65535.")
    assert "Kubernetes" in sentence

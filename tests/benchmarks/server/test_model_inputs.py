"""Inputs that are made from a model's card."""

import pytest

from benchmarks.server.model_inputs import ModelInputs

IMAGE = {
    "id": "a",
    "tasks": ["encode", "detect_anomalies"],
    "item": {"modality": "image", "shape": [1, 2, 3]},
    "latent_shape": [5],
}
TEXT = {"id": "t", "tasks": ["fill_mask"], "family": "transformers/roberta", "item": {"modality": "text", "shape": [9]}}

SOUND = {"id": "s", "tasks": ["decode"], "item": {"modality": "audio", "shape": [8000, 1]}}


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, second, other = (ModelInputs(IMAGE, seed).of_task("reconstruct", 2) for seed in (0, 0, 1))
    assert first == second != other


def test_items_have_the_shape_of_the_card() -> None:
    inputs = ModelInputs(IMAGE, 0, n_digits=2)
    (item,) = inputs.of_task("encode") or []
    assert [len(item), len(item[0]), len(item[0][0])] == [1, 2, 3]
    assert item[0][0][0] == round(item[0][0][0], 2)
    assert [len(each) for each in inputs.of_task("decode", 3) or []] == [5, 5, 5]
    assert len((inputs.of_task("impute") or [])[0]) == 6
    assert len(inputs.of_task("interpolate") or []) == 2
    assert inputs.of_task("sample") is None
    assert inputs.tasks == ["encode", "detect-anomalies"]


def test_sounds_are_short_and_of_any_length() -> None:
    inputs = ModelInputs(SOUND, 0)
    sounds = inputs.of_task("denoise", 20) or []
    assert len({len(sound) for sound in sounds}) > 10
    assert all(1 <= len(sound) <= 800 and max(map(abs, sound)) <= 1 for sound in sounds)
    (frame,) = inputs.of_task("decode") or []
    assert frame["length"] == len(frame["codes"]) == 1


@pytest.mark.parametrize("task", ["similarity", "rerank", "answer", "detokenize", "classify"])
def test_texts_have_the_form_of_the_task(task: str) -> None:
    (item,) = ModelInputs(TEXT, 0).of_task(task, 1, n_words=4) or []
    kind = {"classify": str, "detokenize": list}.get(task, dict)
    assert isinstance(item, kind)


def test_the_mask_is_that_of_the_family() -> None:
    (text,) = ModelInputs(TEXT, 0).of_task("fill-mask") or []
    assert text.startswith("the <mask> ")

"""Promises of every Transformer, tested on its tiny configurations. A new family is tested here without an edit."""

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from models.catalogue import families
from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.card import write_card
from models.checkpoint.hugging_face import write_published
from models.errors import InvalidItems
from models.family import FamilyConfig, FamilySpec
from models.tasks import ATTEND, ENCODE_TEXT, Task
from models.tasks.text import AttendRequest, EncodeTextRequest, Tokens
from models.text import attention_weights
from models.text.embedding import encode
from models.text.text_model import TextModel
from tests.models.tiny import assert_same
from tests.models.transformers.reference import random_text
from tests.models.transformers.vocabularies import write_tokenizer

CASES: dict[str, tuple[FamilySpec[Any], FamilyConfig]] = {
    f"{name.split('/')[1]}-{number}": (spec, config)
    for name, spec in families().items()
    for number, config in enumerate(spec.tiny)
    if spec.modality == "text"
}
TINY = [pytest.param(*case, id=name) for name, case in CASES.items()]
TINY_TASKS = [
    pytest.param(spec, config, task, id=f"{name}-{task.name}")
    for name, (spec, config) in CASES.items()
    for task in spec.tasks(config)
]
N_TEXTS, LONGEST = 500, 512


def build(spec: FamilySpec[Any], config: FamilyConfig) -> TextModel:
    torch.manual_seed(0)
    model = cast("TextModel", spec.new_model(config).eval().requires_grad_(False))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and "positions" not in name:
            parameter.normal_(std=0.3)
    return model


def random_request(model: TextModel, task: Task, seed: int) -> Any:
    """Return the example, with texts of random lengths."""
    request: Any = model.example(task)
    draw = np.random.default_rng(seed)
    longest = model.n_positions - 4

    def another(tokens: Tokens) -> Tokens:
        return random_text(int(draw.integers(2, longest + 1)), model.vocab_size, int(draw.integers(10**6)))

    changes: dict[str, Any] = {}
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if isinstance(value, Tokens):
            changes[field.name] = another(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Tokens):
            changes[field.name] = tuple(another(one) for one in value)
    return dataclasses.replace(request, **changes)


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
def test_it_has_the_tasks_it_declares(spec: FamilySpec[Any], config: FamilyConfig, task: Task) -> None:
    model = build(spec, config)
    (result,) = model.run(task, [model.example(task)])
    assert isinstance(result, task.result)
    assert model.example(task).cost > 0


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
def test_a_batch_gives_what_its_requests_give_alone(spec: FamilySpec[Any], config: FamilyConfig, task: Task) -> None:
    model = build(spec, config)
    requests = [random_request(model, task, seed) for seed in range(17)]
    for request, together in zip(requests, model.run(task, requests), strict=True):
        (alone,) = model.run(task, [request])
        assert_same(together, alone)


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
def test_results_lie_on_the_cpu_in_float32(spec: FamilySpec[Any], config: FamilyConfig, task: Task) -> None:
    model = build(spec, config).to(torch.bfloat16)
    (result,) = model.run(task, [model.example(task)])
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, Tensor) and value.is_floating_point():
            assert (value.dtype, value.device.type) == (torch.float32, "cpu")


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_its_configuration_survives_json(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    assert spec.config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_what_it_publishes_it_reads(spec: FamilySpec[Any], config: FamilyConfig, tmp_path: Path) -> None:
    model = build(spec, config)
    write_published(tmp_path, model, spec, config, extra={}, dtype=torch.float32)
    write_card(tmp_path, licence="Apache-2.0", metrics={"accuracy": 0.5})
    assert spec.published is not None
    write_tokenizer(tmp_path, spec.published.model_type, model.vocab_size)
    checkpoint = read_checkpoint(tmp_path)
    assert (checkpoint.config, checkpoint.metrics, checkpoint.licence) == (config, {"accuracy": 0.5}, "Apache-2.0")
    again = load_model(checkpoint)
    for task in spec.tasks(config):
        if not task.by_steps:  # their rules come from the checkpoint, and the bare model has none
            request = random_request(model, task, 0)
            cast("Any", model).mask_id = getattr(again, "mask_id", 0)
            cast("Any", model).start_id = getattr(again, "start_id", None)
            assert_same(model.run(task, [request])[0], again.run(task, [request])[0], tolerance=1e-6)


@pytest.mark.parametrize(("spec", "config"), [param for param in TINY if str(param.id).endswith("-0")])
def test_500_texts_of_1_to_512_tokens_in_any_company(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(
        spec, dataclasses.replace(cast("Any", config), n_positions=LONGEST + 2)
    )  # RoBERTa's first two are no positions
    draw = np.random.default_rng(0)
    lengths = [1, LONGEST, *draw.integers(1, LONGEST + 1, N_TEXTS - 2).tolist()]
    texts = [random_text(length, model.vocab_size, seed) for seed, length in enumerate(lengths)]
    alone = [model.run(ENCODE_TEXT, [EncodeTextRequest(tokens=text)])[0].embedding for text in texts]
    order = draw.permutation(N_TEXTS).tolist()
    while order:
        n = int(draw.integers(1, 40))
        company, order = order[:n], order[n:]
        results = model.run(ENCODE_TEXT, [EncodeTextRequest(tokens=texts[place]) for place in company])
        for place, result in zip(company, results, strict=True):
            torch.testing.assert_close(result.embedding, alone[place], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_texts_it_cannot_read_are_named(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    good, long = random_text(3, 60, 0), random_text(model.n_positions + 1, 60, 0)
    with pytest.raises(InvalidItems, match=f"{model.n_positions + 1} tokens; this model takes 1 to") as refused:
        model.run(ENCODE_TEXT, [EncodeTextRequest(tokens=text) for text in (good, long)])
    assert [problem.index for problem in refused.value.problems] == [1]


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_attention_has_a_limit(spec: FamilySpec[Any], config: FamilyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(spec, config)
    request = AttendRequest(tokens=random_text(9, 60, 0))
    (whole,) = model.run(ATTEND, [request])
    layers, heads = whole.attention.shape[:2]
    monkeypatch.setattr(attention_weights, "MAX_SHOWN_WEIGHTS", layers * heads * 81 - 1)
    with pytest.raises(InvalidItems, match=f"the text has {layers * heads * 81} attention weights"):
        model.run(ATTEND, [request])
    some = dataclasses.replace(request, layers=(layers - 1,), heads=(heads - 1, 0))
    if spec.id != "transformers/vanilla":  # whose translation has weights of its own
        (part,) = model.run(ATTEND, [some])
        assert torch.equal(part.attention, whole.attention[-1:, [heads - 1, 0]])


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_pooling_and_cutting(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    text = random_text(5, 60, 0)

    def embedded(**parameters: Any) -> Tensor:
        (result,) = encode(model, [EncodeTextRequest(tokens=text, **parameters)])
        return result.embedding

    states = embedded(pooling="none")
    assert len(states) == 5
    torch.testing.assert_close(embedded(), states.mean(0))
    torch.testing.assert_close(embedded(pooling="cls"), states[0])
    torch.testing.assert_close(embedded(pooling="last"), states[-1])
    torch.testing.assert_close(embedded(pooling="max"), states.amax(0))
    kept = embedded(pooling="none", dimensions=4)
    torch.testing.assert_close(kept, states[:, :4])
    assert kept.is_contiguous()  # as JSON is made of it
    cut = embedded(dimensions=4, normalize=True)
    torch.testing.assert_close(cut, torch.nn.functional.normalize(states.mean(0)[:4], dim=0))
    with pytest.raises(InvalidItems, match="dimensions is 13"):
        embedded(dimensions=13)
    short = {"dimensions": 4, "normalize": True}
    asked: list[dict[str, Any]] = [{}, {"pooling": "cls"}, {"pooling": "none"}, short, {}]
    together = encode(model, [EncodeTextRequest(tokens=text, **parameters) for parameters in asked])
    for result, parameters in zip(together, asked, strict=True):
        torch.testing.assert_close(result.embedding, embedded(**parameters))

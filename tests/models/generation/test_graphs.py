"""What is recorded for GPUs, played by a stand-in on the CPU: it does again what it did, in the same tensors."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast
from weakref import WeakSet

import pytest
import torch
from torch import Tensor

from models.family import FamilySpec
from models.generation import decoder_graphs, generator
from models.generation import scores as scores_module
from models.generation.generator import Generator
from models.generation.kv_cache import KeyValueCache
from models.tasks.text import GenerateRequest
from models.text import encoder_graphs, text_model
from models.text.attention_patterns import WithinTexts
from models.text.text_model import TextModel
from models.transformers import gpt, vanilla
from tests.models.generation.generating import ids, joined
from tests.models.ops.kernels import disable_cpu_kernels
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import CASES, build


class Stream:
    """Of the CPU: all is done by the time it is asked."""

    def synchronize(self) -> None:
        return

    def wait_stream(self, other: "Stream") -> None:
        return


class Pool:
    """Of memory, which ends with the last tape that uses it."""

    def __init__(self) -> None:
        self.tapes: WeakSet[Tape] = WeakSet()
        self.was_used = False


class Tape:
    """Of one recording."""

    def __init__(self, run: Callable[[], tuple[Tensor, ...] | None], outputs: tuple[Tensor, ...]) -> None:
        self._run, self._outputs = run, outputs

    def replay(self) -> None:
        for output, value in zip(self._outputs, self._run() or (), strict=True):
            output.copy_(value)


MODULES = (decoder_graphs, generator, text_model)


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> list[Tensor | None]:
    """All is recorded on the CPU from now on; what inputs each step was given, None where it went on by itself."""
    given: list[Tensor | None] = []
    replayed, begin, write = decoder_graphs._Recorded.replayed, KeyValueCache.__init__, KeyValueCache.write
    passes: dict[TextModel, encoder_graphs.EncoderGraphs] = {}

    def recorded(rehearse: Callable[[], object], run: Any, _: object, pool: Pool | None = None) -> tuple[Tape, Any]:
        rehearse()
        outputs = tuple(torch.zeros_like(output) for output in cast("tuple[Tensor, ...] | None", rehearse()) or ())
        tape = Tape(run, outputs)
        if pool is not None:
            assert pool.tapes or not pool.was_used
            pool.tapes.add(tape)
            pool.was_used = True
        return tape, outputs

    def noted(self: Any, inputs: Tensor | None, lengths: list[list[int]]) -> tuple[Tensor, Tensor]:
        given.append(inputs)
        return replayed(self, inputs, lengths)

    def begin_on_gpu(self: KeyValueCache, *arguments: Any) -> None:
        begin(self, *arguments)
        self.moves_one_by_one = False

    def write_of_somebody(self: KeyValueCache, layer: int, k: Tensor, v: Tensor, places: tuple[Tensor, Tensor]) -> None:
        is_there = places[0] >= 0
        write(self, layer, k[is_there], v[is_there], (places[0][is_there], places[1][is_there]))

    def passes_of(model: TextModel) -> encoder_graphs.EncoderGraphs:
        return passes.setdefault(model, encoder_graphs.EncoderGraphs(torch.device("cpu"), causal=model.causal))

    disable_cpu_kernels(monkeypatch)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", Pool)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream())
    monkeypatch.setattr(Tensor, "pin_memory", lambda its: its)
    for graphs in (decoder_graphs, encoder_graphs):
        monkeypatch.setattr(graphs, "capture_stream", lambda _: None)
        monkeypatch.setattr(graphs, "record_graph", recorded)
    monkeypatch.setattr(decoder_graphs._Recorded, "replayed", noted)
    monkeypatch.setattr(scores_module.TokenScores, "ask", lambda scores: scores.likeliest)
    monkeypatch.setattr(KeyValueCache, "__init__", begin_on_gpu)
    monkeypatch.setattr(KeyValueCache, "write", write_of_somebody)
    monkeypatch.setattr(TextModel, "passes", property(passes_of))
    for module in MODULES:
        monkeypatch.setattr(module, "are_recorded", lambda _: True)
    return given


def requests_of(model: Generator, n_requests: int, **parameters: Any) -> list[GenerateRequest]:
    return [
        GenerateRequest(
            tokens=random_text(1 + 3 * number % 7, model.vocab_size, number),
            max_new_tokens=1 + 3 * number % 8,
            seed=number,
            **parameters,
        )
        for number in range(n_requests)
    ]


@pytest.mark.parametrize("family", [gpt.FAMILY, vanilla.FAMILY], ids=["gpt", "vanilla"])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"min_new_tokens": 1}, {"num_beams": 3, "n": 2}, {"do_sample": True, "n": 2}],
    ids=["greedy", "least", "beams", "drawn"],
)
def test_recorded_steps_make_the_same_texts(
    family: FamilySpec[Any], parameters: dict[str, Any], taped: list[Tensor | None]
) -> None:
    model = cast("Generator", build(family, family.tiny[0]))
    requests = requests_of(model, 9, **parameters)
    with torch.inference_mode():
        with pytest.MonkeyPatch.context() as patch:
            for module in MODULES:
                patch.setattr(module, "are_recorded", lambda _: False)
            expected = ids(model.generate(requests))
        assert not taped
        assert ids(model.generate(requests)) == expected
        assert ids([model.generate([request])[0] for request in requests]) == expected
    goes_on = [inputs is None for inputs in taped]
    assert any(goes_on) == (not parameters.get("num_beams") and not parameters.get("do_sample"))


def test_who_joins_and_leaves_changes_nothing_for_the_others(taped: list[Tensor | None]) -> None:
    model = cast("Generator", build(gpt.FAMILY, gpt.FAMILY.tiny[0]))
    requests = requests_of(model, 24)
    with torch.inference_mode():
        alone = ids([model.generate([request])[0] for request in requests])
        assert ids(joined(model.generation(), requests, 2, n_steps=2)) == alone
    assert None in taped


@pytest.mark.parametrize("name", sorted(CASES))
def test_recorded_passes_are_the_passes(name: str, taped: list[Tensor | None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many sizes in any order: the room grows, and some are forgotten and recorded anew."""
    model = build(*CASES[name])
    monkeypatch.setattr(encoder_graphs, "MAX_PASSES", 3)
    assert model.passes is not None
    longest = min(model.n_positions, 100)
    with torch.inference_mode():
        for number in range(40):
            lengths = [1 + 7 * text * number % longest for text in range(1 + 5 * number % 23)]
            packed = model.pack([random_text(length, model.vocab_size, length) for length in lengths])
            expected = model.hidden(packed, WithinTexts(packed.segments, causal=model.causal))
            torch.testing.assert_close(model.passed(packed), expected, rtol=0.0, atol=1e-5)
    assert len(model.passes._graphs) == encoder_graphs.MAX_PASSES


def test_a_copy_of_a_model_records_by_itself(taped: list[Tensor | None]) -> None:
    passes = encoder_graphs.EncoderGraphs(torch.device("cpu"), causal=True, nobodys=-1)
    other = deepcopy(passes)
    assert (other._causal, other._nobodys, other._graphs) == (True, -1, {})
    assert other._lock is not passes._lock

"""CUDA graphs, replayed by a stand-in on the CPU that does again what it recorded, in the same tensors."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast
from weakref import WeakSet

import pytest
import torch
from torch import Tensor

from models.family import FamilySpec
from models.generation import decoder_graphs, running_batch
from models.generation.generator import Generator
from models.generation.kv_cache import KeyValueCache
from models.generation.running_batch import RunningBatch
from models.generation.tasks import generate
from models.generation.token_scores import TokenScores
from models.tasks.generation import GenerateRequest
from models.text import encoder_graphs, text_model
from models.text.attention_patterns import WithinTexts
from models.text.text_model import TextModel
from models.transformers import gpt, vanilla
from tests.models.generation.generating import ids, joined
from tests.models.ops.kernels import disable_cpu_kernels
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import CASES, build


class Stream:
    """A stream of the CPU, on which everything is done at once."""

    def synchronize(self) -> None:
        return

    def wait_stream(self, other: "Stream") -> None:
        return


class Pool:
    """A pool of memory, which ends with the last tape that uses it."""

    def __init__(self) -> None:
        self.tapes: WeakSet[Tape] = WeakSet()
        self.was_used = False


class Tape:
    """A recording."""

    def __init__(self, run: Callable[[], tuple[Tensor, ...] | None], outputs: tuple[Tensor, ...]) -> None:
        self._run, self._outputs = run, outputs

    def replay(self) -> None:
        for output, value in zip(self._outputs, self._run() or (), strict=True):
            output.copy_(value)


MODULES = (decoder_graphs, running_batch, text_model)


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> list[Tensor | None]:
    """Record on the CPU; return a list that gets the inputs of each step, None if they were in place already."""
    given: list[Tensor | None] = []
    replay, init, write = decoder_graphs.StepGraph.replay, KeyValueCache.__init__, KeyValueCache.write
    passes: dict[TextModel, encoder_graphs.EncoderGraphs] = {}

    def record(warm_up: Callable[[], object], run: Any, _: object, pool: Pool | None = None) -> tuple[Tape, Any]:
        warm_up()
        outputs = tuple(torch.zeros_like(output) for output in cast("tuple[Tensor, ...] | None", warm_up()) or ())
        tape = Tape(run, outputs)
        if pool is not None:
            assert pool.tapes or not pool.was_used
            pool.tapes.add(tape)
            pool.was_used = True
        return tape, outputs

    def noted(self: Any, inputs: Tensor | None, lengths: list[list[int]], n_rows: int) -> TokenScores:
        given.append(inputs)
        return replay(self, inputs, lengths, n_rows)

    def init_as_on_gpu(self: KeyValueCache, *arguments: Any) -> None:
        init(self, *arguments)
        self.copies_rows_singly = False

    def write_to_rows(self: KeyValueCache, layer: int, k: Tensor, v: Tensor, rows: Tensor, positions: Tensor) -> None:
        has_row = rows >= 0
        write(self, layer, k[has_row], v[has_row], rows[has_row], positions[has_row])

    def passes_of(model: TextModel) -> encoder_graphs.EncoderGraphs:
        return passes.setdefault(model, encoder_graphs.EncoderGraphs(torch.device("cpu"), causal=model.causal))

    disable_cpu_kernels(monkeypatch)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", Pool)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream())
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    for graphs in (decoder_graphs, encoder_graphs):
        monkeypatch.setattr(graphs, "capture_stream", lambda _: None)
        monkeypatch.setattr(graphs, "record_graph", record)
    monkeypatch.setattr(decoder_graphs.StepGraph, "replay", noted)
    monkeypatch.setattr(TokenScores, "request_likeliest", lambda scores: scores.likeliest)
    monkeypatch.setattr(KeyValueCache, "__init__", init_as_on_gpu)
    monkeypatch.setattr(KeyValueCache, "write", write_to_rows)
    monkeypatch.setattr(TextModel, "encoder_graphs", property(passes_of))
    for module in MODULES:
        monkeypatch.setattr(module, "uses_cuda_graphs", lambda _: True)
    return given


def requests_of(model: Generator[Any], n_requests: int, **parameters: Any) -> list[GenerateRequest]:
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
    ids=["greedy", "min-length", "beams", "drawn"],
)
def test_recorded_steps_make_the_same_texts(
    family: FamilySpec[Any], parameters: dict[str, Any], taped: list[Tensor | None]
) -> None:
    model = cast("Generator[Any]", build(family, family.tiny[0]))
    requests = requests_of(model, 9, **parameters)
    with torch.inference_mode():
        with pytest.MonkeyPatch.context() as patch:
            for module in MODULES:
                patch.setattr(module, "uses_cuda_graphs", lambda _: False)
            expected = ids(generate(model, requests))
        assert not taped
        assert ids(generate(model, requests)) == expected
        assert ids([generate(model, [request])[0] for request in requests]) == expected
    continues = [inputs is None for inputs in taped]
    assert any(continues) == (not parameters.get("num_beams") and not parameters.get("do_sample"))


def test_who_joins_and_leaves_changes_nothing_for_the_others(taped: list[Tensor | None]) -> None:
    model = cast("Generator[Any]", build(gpt.FAMILY, gpt.FAMILY.tiny[0]))
    requests = requests_of(model, 24)
    with torch.inference_mode():
        alone = ids([generate(model, [request])[0] for request in requests])
        assert ids(joined(RunningBatch(model), requests, 2, n_steps=2)) == alone
    assert None in taped


@pytest.mark.parametrize("name", sorted(name for name in CASES if not name.startswith("mpnet")))
def test_recorded_passes_compute_what_passes_compute(
    name: str, taped: list[Tensor | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes come in any order: the room grows, and some graphs are dropped and recorded again."""
    model = build(*CASES[name])
    monkeypatch.setattr(encoder_graphs, "MAX_GRAPHS", 3)
    assert model.encoder_graphs is not None
    longest = min(model.n_positions, 100)
    with torch.inference_mode():
        for number in range(40):
            lengths = [1 + 7 * text * number % longest for text in range(1 + 5 * number % 23)]
            batch = model.batch_of([random_text(length, model.vocab_size, length) for length in lengths])
            expected = model.hidden(batch, WithinTexts(batch.segments, causal=model.causal))
            torch.testing.assert_close(model.last_hidden(batch), expected, rtol=0.0, atol=1e-5)
    assert len(model.encoder_graphs._graphs) == encoder_graphs.MAX_GRAPHS


def test_a_network_whose_attention_has_a_bias_records_nothing(taped: list[Tensor | None]) -> None:
    model = build(*CASES["mpnet-0"])
    batch = model.batch_of([random_text(length, model.vocab_size, length) for length in (3, 5)])
    with torch.inference_mode():
        expected = model.hidden(batch, WithinTexts(batch.segments, causal=False))
        torch.testing.assert_close(model.last_hidden(batch), expected, rtol=0.0, atol=0.0)
    assert not taped


def test_a_copy_of_a_model_records_by_itself(taped: list[Tensor | None]) -> None:
    passes = encoder_graphs.EncoderGraphs(torch.device("cpu"), causal=True, padding=(0, -1))
    other = deepcopy(passes)
    assert (other._causal, other._padding, other._graphs) == (True, (0, -1), {})
    assert other._lock is not passes._lock

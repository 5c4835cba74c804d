"""Benchmarks of engines: the same texts for all, checkpoints that load, rates, reports."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM

from benchmarks.engines import profiles
from benchmarks.engines import run as engines
from benchmarks.engines.peers.common import Batch, Job, Run, generation_rates, padded, rates
from benchmarks.engines.run import BENCHMARKS, ENCODE, GENERATE, Case, Measured, measure, report
from benchmarks.lib import checkpoints as shapes
from benchmarks.lib.checkpoints import SHAPES, words, write
from benchmarks.lib.texts import MOST, lengths
from models import kernels
from models.checkpoint import load_model, read_checkpoint
from tests.benchmarks.tiny import TINY


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, shape in TINY.items():
        monkeypatch.setitem(shapes.SHAPES, name, shape)


def job(**changes: Any) -> Job:
    common = {"folder": "", "precision": "", "texts": [[1, 2, 3], [4], [5, 6]], "sizes": [2], "n_new": 4}
    return Job(**{**common, "n_rounds": 3, "n_threads": 1, **changes})


def test_lengths_are_the_same_each_time_and_about_42() -> None:
    its = lengths(5000)
    assert its == lengths(5000)
    assert its[:10] == lengths(10)
    assert its != lengths(5000, seed=1)
    assert 40 < sum(its) / len(its) < 44
    assert (min(its), max(its)) == (3, MOST)


def test_rates_are_of_all_texts_by_length(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("benchmarks.engines.peers.common.time.perf_counter", lambda: float(next(clock)))
    seen: list[list[list[int]]] = []
    make = lambda n_workers, n_threads: lambda batch: seen.append(list(batch))  # noqa: E731
    assert rates(job(), make) == {"1": {"2": 6.0}}  # six tokens, a second a round
    assert seen[:2] == [[[1, 2, 3], [5, 6]], [[4]]]
    assert len(seen) == 2 * (1 + 3)
    assert generation_rates(job(sizes=[1, 3]), make) == {"1": {"1": 4.0, "3": 12.0}}


def test_one_worker_and_a_worker_a_thread_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, list[list[int]]]] = []
    seconds = {1: 2.0, 2: 1.0}

    def make(n_workers: int, n_threads: int) -> Run:
        def run(batch: Batch) -> None:
            seen.append((n_workers, n_threads, list(batch)))

        monkeypatch.setattr("benchmarks.engines.peers.common.time.perf_counter", _steps(seconds[n_workers]))
        return run

    texts = [[1], [2], [3]]
    found = generation_rates(job(texts=texts, sizes=[1, 3], n_threads=2), make)
    assert found == {"1": {"1": 2.0, "3": 6.0}, "2": {"1": 4.0, "3": 12.0}}
    divided = {tuple(map(tuple, batch)) for n_workers, n_threads, batch in seen if (n_workers, n_threads) == (2, 1)}
    assert divided == {((1,),), ((1,), (3,)), ((2,),)}


def _steps(seconds: float) -> Callable[[], float]:
    """A clock that goes so far on each time it is asked."""
    clock = count()
    return lambda: next(clock) * seconds


def test_padding_is_no_token() -> None:
    assert padded([[1, 2, 3], [4]]) == ([[1, 2, 3], [4, 0, 0]], [[1, 1, 1], [1, 0, 0]])


def test_an_encoder_is_read_alike_here_and_elsewhere(tmp_path: Path) -> None:
    folder = write("minilm", tmp_path / "m")
    checkpoint = read_checkpoint(folder)
    model: Any = load_model(checkpoint)
    text = words([7], vocab_size=40)[0]
    codec: Any = checkpoint.codec
    tokens = codec.encode(text)
    assert len(tokens.ids) == 7
    reference: Any = AutoModel.from_pretrained(folder)
    reference.eval()
    with torch.inference_mode():
        mine = model.vectors([tokens])[0]
        states = reference(input_ids=torch.from_numpy(tokens.ids)[None]).last_hidden_state[0]
    torch.testing.assert_close(mine, states.mean(0), atol=1e-5, rtol=1e-4)


def test_a_decoder_is_read_elsewhere_too(tmp_path: Path) -> None:
    folder = write("gpt2", tmp_path / "g")
    reference: Any = AutoModelForCausalLM.from_pretrained(folder)
    reference.eval()
    model: Any = load_model(read_checkpoint(folder))
    ids = torch.tensor([5, 6, 7])
    with torch.inference_mode():
        theirs = reference(input_ids=ids[None]).logits[0, -1]
        mine = model.prefill([ids], model.new_cache())[0]
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode("w7 w39 w40").ids == [7, 39, 0]


@pytest.mark.parametrize("benchmark", [ENCODE, GENERATE])
def test_this_projects_own_cases_run(benchmark: engines.Benchmark) -> None:
    one = replace(benchmark, sizes=(1, 2))
    found = measure(one, "Manifold float32", n_passes=2, n_rounds=1, n_threads=1)
    (measured,) = found.values()
    assert measured.package.startswith("manifold, torch")
    assert measured.cosine == 1.0
    assert [set(one["1"]) for one in measured.passes] == [{"1", "2"}] * 2
    assert all(rate > 0 and math.isfinite(rate) for one in measured.passes for rate in one["1"].values())


@pytest.mark.parametrize(("name", "precision"), [("encode", "int8"), ("generate", "float32")])
def test_profiles_tell_which_operators_take_the_time(name: str, precision: str) -> None:
    n_threads = torch.get_num_threads()
    try:
        result = CliRunner().invoke(profiles.main, [name, precision, "--size", "2", "--threads", "1", "--json"])
    finally:
        torch.set_num_threads(n_threads)
    assert result.exit_code == 0, result.output
    shares = json.loads(result.output)
    product = "kernels.linear"
    if kernels.missing() is not None:
        product = "onednn::qlinear_pointwise" if precision == "int8" else "mkldnn::_linear_pointwise"
    assert profiles.LEAST_SHARE <= shares[product] < 1
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) <= 1


def test_a_case_that_fails_says_why() -> None:
    broken = replace(ENCODE, cases=[Case("broken", "manifold", "benchmarks.nothing", "float32")])
    with pytest.raises(click.ClickException, match=r"broken: .*benchmarks\.nothing"):
        measure(broken, "", n_passes=1, n_rounds=1, n_threads=1)


def test_all_cases_with_a_demand_are_measured() -> None:
    for benchmark in BENCHMARKS.values():
        names = {case.name for case in benchmark.cases}
        assert {name for own, their, _, _ in benchmark.ratios for name in (own, their)} <= names
        assert benchmark.shape in SHAPES


def test_a_report_has_rates_ratios_and_what_falls_short(tmp_path: Path) -> None:
    def found_in(one: dict[str, float]) -> Measured:
        return Measured("p 1.0", None, [{n: {str(size): rate for size in ENCODE.sizes} for n, rate in one.items()}])

    found = {case.name: found_in({"1": 100.0, "2": 200.0}) for case in ENCODE.cases}
    found["Manifold float32"].passes = [{"2": {str(size): 3.0 * size for size in ENCODE.sizes}}] * 3
    found["Manifold int8"] = found_in({"2": 1e6})
    report("encode", found, tmp_path)
    text = (tmp_path / "encode.md").read_text()
    assert "| Manifold float32 | p 1.0 | 12 | 24 | 48 | 96 | 192 |" in text
    assert "| CTranslate2 float32 | p 1.0 | 200 | 200 | 200 | 200 | 200 |" in text
    assert "| Manifold float32 / CTranslate2 float32 as one worker | 1.92 | 1.3 | holds |" in text
    assert "| Manifold float32 / CTranslate2 float32 | 0.96 | 1.3 | falls short |" in text
    assert "| Manifold int8 / ONNX Runtime int8 | 5000.00 | 1.1 | holds |" in text
    assert (tmp_path / "encode.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(json.dumps(found["Manifold int8"].passes))

"""Processes of engines."""

import math
from dataclasses import replace

import click
import pytest

from benchmarks.engines.benchmarks import BENCHMARKS, ENCODE, GENERATE, Benchmark, Case
from benchmarks.engines.run import measure
from benchmarks.lib.checkpoints import SHAPES

pytestmark = pytest.mark.usefixtures("tiny_shapes")


@pytest.mark.parametrize("benchmark", [ENCODE, GENERATE])
def test_the_cases_of_this_project_run(benchmark: Benchmark) -> None:
    small = replace(benchmark, batch_sizes=(1, 2))
    (result,) = measure(small, only="Manifold float32", n_passes=2, n_rounds=1, n_threads=1).values()
    assert result.package.startswith("manifold, torch")
    assert result.cosine == 1.0
    assert [set(rates["1"]) for rates in result.passes] == [{"1", "2"}] * 2
    assert all(rate > 0 and math.isfinite(rate) for rates in result.passes for rate in rates["1"].values())


def test_a_case_that_fails_says_why() -> None:
    broken = replace(ENCODE, cases=[Case("broken", "manifold", "benchmarks.nothing", "float32")])
    with pytest.raises(click.ClickException, match=r"broken: .*benchmarks\.nothing"):
        measure(broken, n_passes=1, n_rounds=1, n_threads=1)


def test_all_cases_with_a_target_are_measured() -> None:
    for benchmark in BENCHMARKS.values():
        names = {case.name for case in benchmark.cases}
        assert {name for target in benchmark.targets for name in (target.own, target.peer)} <= names
        assert benchmark.shape in SHAPES

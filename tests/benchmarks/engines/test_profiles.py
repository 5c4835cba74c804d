"""Profiles of operators."""

import json
from collections.abc import Iterator

import pytest
import torch
from click.testing import CliRunner

from benchmarks.engines.profiles import MIN_SHARE, profiles

PRODUCTS = {"kernels.linear", "onednn::qlinear_pointwise", "mkldnn::_linear_pointwise"}
"""Operators that multiply matrices; which of them runs depends on the processor."""


@pytest.fixture(autouse=True)
def _restored_threads(tiny_shapes: None) -> Iterator[None]:
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.parametrize(("name", "precision"), [("encode", "int8"), ("generate", "float32")])
def test_profiles_have_the_operators_that_take_the_time(name: str, precision: str) -> None:
    result = CliRunner().invoke(profiles, [name, precision, "--size", "2", "--threads", "1", "--json"])
    assert result.exit_code == 0, result.output
    output = json.loads(result.output)
    assert (output["benchmark"], output["precision"], output["size"], output["threads"]) == (name, precision, 2, 1)
    shares = output["shares"]
    assert PRODUCTS & shares.keys()
    assert all(MIN_SHARE <= share < 1 for share in shares.values())
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) <= 1

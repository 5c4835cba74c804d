"""The benchmark on a GPU, as far as it can be run without one."""

import time
from pathlib import Path

import pytest

from benchmarks.engines import gpu
from benchmarks.engines.gpu import ENCODE, OWN, THEIRS, operations_per_token, report
from benchmarks.engines.run import Measured
from benchmarks.lib import checkpoints as shapes
from benchmarks.lib.texts import lengths
from tests.benchmarks.tiny import TINY


def test_operations_are_those_of_products_and_of_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "bert-base", TINY["minilm"])
    shape = TINY["minilm"].config.to_dict()
    width, inner, n_layers = shape["width"], shape["inner_width"], shape["n_layers"]
    its = lengths(ENCODE.n_texts)
    of_weights = sum(2 * n * (4 * width * width + 2 * width * inner) for n in its)
    of_attention = sum(2 * 2 * n * n * width for n in its)  # scores, and sums by them
    expected = n_layers * (of_weights + of_attention) / sum(its)
    assert operations_per_token(ENCODE) == pytest.approx(expected)


def test_the_report_says_what_holds(tmp_path: Path) -> None:
    def case(**rates: float) -> Measured:
        passes = [{"1": {size[1:]: rate * factor for size, rate in rates.items()}} for factor in (0.5, 1, 9)]
        return Measured("one 1.0", None, passes)

    found = {
        "device": "NVIDIA One",
        "torch": "2.11",
        "encode": {OWN: case(n512=100.0, n1024=150.0, n1536=200.0), THEIRS: case(n32=50.0)},
        "peak": 1000.0,
        "operations_per_token": 2.0,
        "generate": {OWN: case(n1=30.0, n8=40.0, n64=990.0), THEIRS: case(n1=10.0, n8=20.0, n64=100.0)},
        "serve": [{"n_texts": 32, "accept": "application/json", "texts_per_s": 1234.5, "busy": 0.75}],
    }
    report(found, tmp_path)
    text = (tmp_path / "gpu.md").read_text()
    assert "| operations a second over those of a large product | 0.40 | 0.45 | falls short |" in text
    assert "| best over Transformers with SDPA, 32 texts a batch | 4.00 | 3 | holds |" in text
    assert "| Manifold / Transformers, 1 at once | 3.00 |  |  |" in text
    assert "| Manifold / Transformers, 64 at once | 9.90 | 10 | falls short |" in text
    assert "| 32, application/json | 1,234 | 75% |" in text
    assert "| share of the time in which the GPU is busy | 0.75 | 0.7 | holds |" in text


def test_the_driver_is_asked_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 37\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(gpu, "LOOK_S", 0.01)
    with gpu._busy() as samples:
        until = time.monotonic() + 10
        while len(samples) < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert len(samples) >= 3
    assert set(samples) == {37}

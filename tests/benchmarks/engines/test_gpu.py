"""The benchmark on a GPU, as far as it runs without one."""

import threading
from pathlib import Path

import pytest

from benchmarks.engines import gpu_serving
from benchmarks.engines.benchmarks import CaseResult
from benchmarks.engines.gpu import (
    ENCODE,
    OWN_NAME,
    PEER_NAME,
    GpuResults,
    operations_per_token,
    report_of,
    summarise,
)
from benchmarks.engines.gpu_serving import ServingResult, sampled_utilisation
from benchmarks.lib.texts import text_lengths
from benchmarks.server.wrk import WrkResult
from tests.benchmarks.tiny import TINY


@pytest.mark.usefixtures("tiny_shapes")
def test_operations_are_those_of_products_and_of_attention() -> None:
    shape = TINY["bert-base"].config.to_dict()
    width, inner_width, n_layers = shape["width"], shape["inner_width"], shape["n_layers"]
    lengths = text_lengths(ENCODE.n_texts)
    of_weights = sum(2 * n * (4 * width * width + 2 * width * inner_width) for n in lengths)
    of_attention = sum(2 * 2 * n * n * width for n in lengths)  # scores, and the sums that they weight
    expected = n_layers * (of_weights + of_attention) / sum(lengths)
    assert operations_per_token(ENCODE) == pytest.approx(expected)


def case(rates: dict[int, float]) -> CaseResult:
    passes = [{"1": {str(size): rate * factor for size, rate in rates.items()}} for factor in (0.5, 1, 9)]
    return CaseResult("package 1.0", None, passes)


def results() -> GpuResults:
    load = WrkResult(requests=2469, seconds=64.0, errors=0, p50_ms=1.0, p99_ms=2.0)
    return GpuResults(
        encode={OWN_NAME: case({512: 100.0, 1024: 150.0, 1536: 200.0}), PEER_NAME: case({32: 50.0})},
        product_operations_per_second=1000.0,
        operations_per_token=2.0,
        generate={OWN_NAME: case({1: 30.0, 8: 40.0, 64: 990.0}), PEER_NAME: case({1: 10.0, 8: 20.0, 64: 100.0})},
        serve=[ServingResult(n_texts=32, accept="application/json", load=load, gpu_busy=0.75, texts_per_second=1234.5)],
    )


def test_the_report_says_what_holds() -> None:
    text = report_of(results(), "NVIDIA One").markdown
    assert "| Manifold bfloat16 | package 1.0 |  | 100 | 150 | 200 |" in text
    assert "| operations a second over those of a large product | 0.40 | 0.45 | falls short |" in text
    assert "| best over Transformers with SDPA, 32 texts a batch | 4.00 | 3 | holds |" in text
    assert "| Manifold / Transformers, 1 at once | 3.00 |  |  |" in text
    assert "| Manifold / Transformers, 64 at once | 9.90 | 10 | falls short |" in text
    assert "| 32, application/json | 1,234 | 75% |" in text
    assert "| share of the time in which the GPU is busy | 0.75 | 0.7 | holds |" in text


def test_parts_that_were_not_measured_are_left_out() -> None:
    assert summarise(GpuResults()) == {"ratios": []}
    assert report_of(GpuResults(), "NVIDIA One.").markdown == "## On a GPU\n\n`manifold bench gpu` on NVIDIA One."
    output = summarise(results())
    assert set(output) == {
        *("encode", "product_operations_per_second", "operations_per_token", "generate", "serve", "ratios")
    }
    assert output["serve"][0]["texts_per_second"] == 1234.5
    assert len(output["ratios"]) == 6


def test_the_driver_is_read_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 37\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(gpu_serving, "SAMPLE_INTERVAL_S", 0.01)
    timeout = threading.Event()
    threading.Timer(10, timeout.set).start()
    with sampled_utilisation() as samples:
        while len(samples) < 3 and not timeout.wait(0.01):
            pass
    assert len(samples) >= 3
    assert set(samples) == {37}

"""Products of matrices."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.engines import products as module


def test_every_implementation_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZES", ((2, 64, 64), (1, 64, 128)))
    monkeypatch.setattr(module, "ROUND_S", 0.001)
    result = CliRunner().invoke(module.products, ["--json"])
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert [(entry["rows"], entry["inputs"], entry["outputs"]) for entry in output["products"]] == list(module.SIZES)
    for entry in output["products"]:
        rates = entry["operations_per_second"]
        assert {"float32_torch", "float32_onednn", "bfloat16_torch", "int8_onednn"} <= rates.keys()
        assert all(rate > 0 for rate in rates.values())

"""How fast encoders of one shape are in different families."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.engines import encoders as module


def test_each_family_is_compared_with_bert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "N_TEXTS", 2)
    result = CliRunner().invoke(module.encoders, ["--rounds", "2", "--json"])
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert (output["shape"], output["rounds"], output["threads"]) == ("minilm", 2, 1)
    assert tuple(output["speeds"]) == module.FAMILIES
    assert output["speeds"]["bert"] == 1.0
    assert all(speed > 0 for speed in output["speeds"].values())


def test_encoders_have_the_same_layers() -> None:
    models = {name: module.new_encoder(name, "minilm") for name in ("bert", "electra")}
    sizes = {name: model.n_parameters for name, model in models.items()}
    assert sizes["bert"] == sizes["electra"] > 20_000_000

"""How fast published autoencoders decode, beside diffusers."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.engines import published as module
from benchmarks.engines.published import Published
from tests.models.autoencoders.test_kl import STABLE_DIFFUSION


@pytest.fixture
def small_kl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the autoencoder of latent diffusion be a small one."""
    config = {**module.MODELS["kl"].config, "block_out_channels": (4, 4, 4, 4), "norm_num_groups": 2}
    monkeypatch.setitem(module.MODELS, "kl", Published("AutoencoderKL", config))


@pytest.mark.usefixtures("small_kl")
def test_both_models_are_compared_with_diffusers() -> None:
    result = CliRunner().invoke(module.published, ["--side", "37", "--rounds", "2", "--json"])
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert (output["side"], output["rounds"], output["threads"]) == (32, 2, 1)
    assert tuple(output["models"]) == ("kl", "tiny")
    for model in output["models"].values():
        assert 0 < model["low"] < model["ratio"] < model["high"]
        assert min(model["seconds"], model["diffusers_seconds"]) > 0
        assert 0 <= model["largest_difference"] < 1e-4


@pytest.mark.usefixtures("small_kl")
def test_one_model_is_compared_as_a_table() -> None:
    result = CliRunner().invoke(module.published, ["--model", "kl", "--side", "8", "--rounds", "2"])
    assert result.exit_code == 0, result.output
    assert "manifold bench published --model kl --side 8 --rounds 2 --threads 1" in result.stdout
    assert "| kl |" in result.stdout
    assert "| tiny |" not in result.stdout


def test_the_configuration_is_that_of_stable_diffusion() -> None:
    for key, value in module.MODELS["kl"].config.items():
        assert STABLE_DIFFUSION[key] == (list(value) if isinstance(value, tuple) else value)

"""The autoencoder of latent diffusion: equal to `AutoencoderKL` of diffusers, and strict about what it reads."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from models.autoencoders.kl.model import KlAutoencoder
from models.checkpoint import load_model, read_checkpoint
from models.errors import CheckpointError, ConfigError
from models.precision import choose_precision
from models.tasks import ENCODE, RECONSTRUCT
from models.tasks.autoencoding import EncodeRequest, ReconstructRequest
from tests.models.autoencoders.diffusers_reference import (
    WEIGHTS,
    assert_close,
    change,
    change_weights,
    ours,
    publish,
    shapes,
)

DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"


def blocks(n: int) -> dict[str, Any]:
    return {"down_block_types": (DOWN,) * n, "up_block_types": (UP,) * n}


ODD: dict[str, dict[str, Any]] = {
    "narrow": {**blocks(2), "block_out_channels": (4, 6), "norm_num_groups": 2, "shift_factor": 0.5},
    "grey": {
        **blocks(3),
        "in_channels": 1,
        "out_channels": 1,
        "latent_channels": 3,
        "block_out_channels": (6, 6, 9),
        "layers_per_block": 2,
        "norm_num_groups": 3,
        "act_fn": "gelu",
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    },
    "without attention": {
        **blocks(2),
        "latent_channels": 16,
        "block_out_channels": (8, 4),
        "norm_num_groups": 4,
        "mid_block_add_attention": False,
        "use_quant_conv": False,
        "force_upcast": False,
    },
    "one size": {**blocks(1), "block_out_channels": (5,), "norm_num_groups": 5, "act_fn": "relu"},
}
STABLE_DIFFUSION: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.6.0",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": [DOWN] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": [UP] * 4,
}
"""The published configuration of Stable Diffusion 1.5."""
SDXL = {
    **STABLE_DIFFUSION,
    "_name_or_path": "../sdxl-vae/",
    "force_upcast": True,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}
FLUX = {
    **STABLE_DIFFUSION,
    "force_upcast": True,
    "latent_channels": 16,
    "latents_mean": None,
    "latents_std": None,
    "mid_block_add_attention": True,
    "sample_size": 1024,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
    "use_post_quant_conv": False,
    "use_quant_conv": False,
}
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish(tmp_path / "mine", "AutoencoderKL", **ODD["narrow"])
    return tmp_path / "mine"


@pytest.mark.parametrize("name", ODD)
def test_it_computes_what_diffusers_computes(name: str, tmp_path: Path) -> None:
    expected = publish(tmp_path, "AutoencoderKL", **ODD[name])
    model = cast("KlAutoencoder", ours(tmp_path))
    pictures = torch.rand(3, model.input_shape[0], 3 * model.scale, 2 * model.scale)
    posterior, reference = model.posterior_of(list(pictures)), expected.encode(pictures * 2 - 1).latent_dist
    assert_close(posterior.mean, reference.mean)
    assert_close(posterior.log_variance, reference.logvar)
    latents = torch.randn(3, model.latent_shape[0], 3, 2)
    assert_close(model.decode(latents) * 2 - 1, expected.decode(latents).sample)


def test_variances_have_the_limits_of_diffusers(folder: Path) -> None:
    change_weights(
        folder, lambda weights: weights["quant_conv.bias"].copy_(torch.tensor([0.0] * 4 + [-99.0, 99.0] * 2))
    )
    (result,) = ours(folder).run(ENCODE, [EncodeRequest(item=torch.rand(3, 4, 4))])
    assert result.log_variance.flatten(1).tolist() == [[-30.0] * 4, [20.0] * 4] * 2


def test_the_latent_is_the_mean_or_a_draw(folder: Path) -> None:
    model, item = ours(folder), torch.rand(3, 8, 6)
    requests = [EncodeRequest(item=item, index=i, sample=i > 0, seed=7) for i in range(3)]
    first, *draws = model.run(ENCODE, requests)
    assert torch.equal(first.latent, first.mean)
    for draw in draws:
        noise = (draw.latent - draw.mean) / (draw.log_variance / 2).exp()
        assert noise.std() == pytest.approx(1, abs=0.4)
    assert not torch.equal(draws[0].latent, draws[1].latent)
    (again,) = model.run(ENCODE, [requests[2]])
    torch.testing.assert_close(again.latent, draws[1].latent)


def test_a_reconstruction_is_of_the_mean_or_of_a_draw(folder: Path) -> None:
    model, item = ours(folder), torch.rand(3, 8, 6)
    plain, drawn = model.run(RECONSTRUCT, [ReconstructRequest(item=item), ReconstructRequest(item=item, seed=3)])
    (mean,) = model.items_of(model.latents_of([item]), ())
    torch.testing.assert_close(plain.reconstruction, mean)
    assert plain.mse == pytest.approx((mean - item).square().mean().item(), rel=1e-5)
    assert not torch.allclose(plain.reconstruction, drawn.reconstruction)


def test_old_names_of_the_attention_are_read(folder: Path) -> None:
    expected = ours(folder).state_dict()

    def rename(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if ".attentions.0.to_" in name]:
            new = next(key for key in OLD_NAMES if key in name)
            weights[name.replace(new, OLD_NAMES[new])] = weights.pop(name)

    change_weights(folder, rename)
    actual = ours(folder).state_dict()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


@pytest.mark.parametrize("values", [STABLE_DIFFUSION, SDXL, FLUX], ids=["sd15", "sdxl", "flux"])
def test_the_published_configurations_are_those_of_diffusers(values: dict[str, Any], tmp_path: Path) -> None:
    """All keys of the published files are taken, and the weights of such a model have their names and shapes."""
    (tmp_path / "config.json").write_text(json.dumps(values))
    checkpoint = read_checkpoint(tmp_path)
    sizes = {key: value for key, value in values.items() if not key.startswith("_")}
    with torch.device("meta"):
        model = checkpoint.spec.new_model(checkpoint.config)
    published = checkpoint.spec.published
    assert published is not None
    state = model.state_dict()
    written: dict[str, torch.Tensor] = {}
    for link in published.links(checkpoint.config):
        written |= link.write(state[link.name])
    assert {name: weight.shape for name, weight in written.items()} == shapes("AutoencoderKL", **sizes)


def test_stable_diffusion_loads_and_answers(tmp_path: Path) -> None:
    """All 84 million weights, in float16."""
    sizes = {key: value for key, value in STABLE_DIFFUSION.items() if not key.startswith("_")}
    expected = publish(tmp_path, "AutoencoderKL", **sizes)
    (tmp_path / WEIGHTS).unlink()
    expected.half().save_pretrained(tmp_path, variant="fp16")
    expected.float()
    (tmp_path / "config.json").write_text(json.dumps(STABLE_DIFFUSION))
    model = ours(tmp_path)
    assert model.n_parameters == 83_653_863
    latent = torch.randn(1, 4, 8, 8)
    assert_close(model.decode(latent) * 2 - 1, expected.decode(latent).sample)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"down_block_types": [DOWN, "AttnDownEncoderBlock2D"]}, "down_block_types is .*a list of 2 times 'DownEnc"),
        ({"up_block_types": [UP]}, "up_block_types is .*one for each of block_out_channels"),
        ({"act_fn": "tanh"}, "act_fn is 'tanh'; it must be one of silu"),
        ({"norm_num_groups": 4}, r"block_out_channels is \(4, 6\); it must be positive multiples of .*, 4"),
        ({"in_channels": 4}, "in_channels is 4; it must be 1"),
        ({"out_channels": 1}, "out_channels is 1; it must be in_channels, 3"),
        ({"layers_per_block": 0}, "layers_per_block is 0; it must be positive"),
        ({"block_out_channels": []}, r"block_out_channels is \(\); it must be a list of 1 to 7 numbers"),
        ({"block_out_channels": [4, 6.0]}, "block_out_channels is .*; it must be a list of whole numbers"),
        ({"use_quant_conv": "yes"}, "use_quant_conv is 'yes'; it must be true or false"),
        ({"scaling_factor": 0}, "scaling_factor is 0; it must be other than 0"),
        ({"latents_mean": [1.0]}, r"latents_mean is \(1.0,\); it must be 4 numbers, or none"),
        ({"with_time": True}, r"unknown keys \['with_time'\]"),
    ],
)
def test_a_configuration_with_another_meaning_is_refused(values: dict[str, Any], message: str, folder: Path) -> None:
    change(folder, **values)
    with pytest.raises(CheckpointError, match=f"^mine/config.json: {message}"):
        read_checkpoint(folder)


def test_missing_and_unknown_weights_are_named(folder: Path) -> None:
    change(folder, use_quant_conv=False, mid_block_add_attention=True)
    change_weights(folder, lambda weights: weights.pop("decoder.mid_block.attentions.0.to_k.bias"))
    message = r"missing \['decoder.mid_block.attentions.0.to_k.bias'\]; unexpected \['quant_conv.bias', 'quant_conv.wei"
    with pytest.raises(CheckpointError, match=message):
        load_model(read_checkpoint(folder))


@pytest.mark.parametrize("force_upcast", [True, False])
def test_it_is_computed_in_float32_where_it_overflows_in_float16(folder: Path, force_upcast: bool) -> None:
    change(folder, force_upcast=force_upcast)
    overflows, device = read_checkpoint(folder).overflows_in_float16, torch.device("cpu")
    assert overflows == force_upcast
    choice = choose_precision("float16", None, "image", device, overflows=overflows)
    assert choice.precision == ("float32" if force_upcast else "float16")
    assert choose_precision("bfloat16", None, "image", device, overflows=overflows).precision == "bfloat16"
    if force_upcast:
        with pytest.raises(ConfigError, match="dtype is float16, which overflows in this model"):
            choose_precision("auto", "float16", "image", device, overflows=overflows)

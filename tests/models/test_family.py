import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.autoencoders.vanilla.config import VanillaConfig
from models.errors import ConfigError
from models.layers.activations import ACTIVATIONS

GOOD: dict[str, Any] = {"input_shape": [1, 4, 4], "hidden_widths": [8], "latent_width": 3}

positive = st.integers(1, 10_000)


@given(
    shape=st.lists(positive, min_size=1, max_size=4),
    widths=st.lists(positive, max_size=5),
    latent=positive,
    activation=st.sampled_from(sorted(ACTIVATIONS)),
)
def test_a_configuration_survives_the_round_trip(
    shape: list[int], widths: list[int], latent: int, activation: str
) -> None:
    config = VanillaConfig(
        input_shape=tuple(shape), hidden_widths=tuple(widths), latent_width=latent, activation=activation
    )
    assert VanillaConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent": 3}, "unknown hyperparameters ['latent']; VanillaConfig has ['activation', 'hidden_widths'"),
        ({"latent_width": "3"}, "latent_width is '3'; it must be of type int"),
        ({"latent_width": 3.0}, "latent_width is 3.0; it must be of type int"),
        ({"latent_width": True}, "latent_width is True; it must be of type int"),
        ({"latent_width": None}, "latent_width is None; it must be of type int"),
        ({"latent_width": 0}, "VanillaConfig.latent_width is 0; it must be positive"),
        ({"hidden_widths": 8}, "hidden_widths is 8; it must be a list"),
        ({"hidden_widths": [8, "9"]}, "hidden_widths[1] is '9'; it must be of type int"),
        ({"hidden_widths": [8, -1]}, "VanillaConfig.hidden_widths is (8, -1); it must be positive, each of them"),
        ({"input_shape": []}, "VanillaConfig.input_shape is (); it must be positive in every dimension"),
        ({"input_shape": [1, 0]}, "VanillaConfig.input_shape is (1, 0); it must be positive in every dimension"),
        ({"activation": "softplus"}, "VanillaConfig.activation is 'softplus'; it must be one of relu, gelu,"),
    ],
)
def test_errors_name_the_value_and_the_limit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        VanillaConfig.from_dict(GOOD | change)


def test_missing_hyperparameters_are_named() -> None:
    with pytest.raises(ConfigError, match=re.escape("missing hyperparameters ['hidden_widths', 'latent_width']")):
        VanillaConfig.from_dict({"input_shape": [4]})

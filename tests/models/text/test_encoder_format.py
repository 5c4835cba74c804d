"""Configurations of encoders are read and written; what no family here supports is an error."""

from typing import Any

import pytest

from models.errors import CheckpointError
from models.text.encoder_config import EncoderConfig
from models.text.encoder_format import read_encoder, write_encoder

DEFAULTS = {"vocab_size": 60, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}


@pytest.mark.parametrize(
    ("heads", "settings"),
    [
        (("pooler",), {"n_layers": 3}),
        (("masked",), {"untied": True}),
        (("pooler", "sequence"), {"labels": ("a", "b"), "label_activation": "sigmoid"}),
    ],
)
def test_what_is_written_is_read(heads: tuple[str, ...], settings: dict[str, Any]) -> None:
    config = EncoderConfig(**{**read_encoder(DEFAULTS, ()), "heads": heads, **settings})
    assert EncoderConfig(**read_encoder(write_encoder(config), heads)) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'; only absolute"),
        ({"is_decoder": True}, "is_decoder is true; only encoders"),
        ({"add_cross_attention": True}, "only encoders are supported"),
    ],
)
def test_what_no_encoder_here_supports_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_encoder({**DEFAULTS, **values}, ("pooler",))

"""Bad hyperparameters are named with their limit."""

from typing import Any

import pytest

from models.errors import ConfigError
from models.text.encoder_config import EncoderConfig
from models.transformers.albert.config import AlbertConfig
from models.transformers.distilbert.config import DistilBertConfig
from models.transformers.electra.config import ElectraConfig
from models.transformers.mpnet.config import MpnetConfig
from models.transformers.roberta.config import RobertaConfig

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "n_positions": 24,
    "n_token_types": 2,
    "width": 12,
    "n_layers": 2,
    "n_heads": 3,
    "inner_width": 20,
}


@pytest.mark.parametrize(
    ("config", "wrong", "message"),
    [
        (EncoderConfig, {"inner_width": 0}, "inner_width is 0; it must be positive"),
        (EncoderConfig, {"n_heads": 5}, "n_heads is 5; it must be a divisor of the width, 12"),
        (EncoderConfig, {"activation": "loud"}, "activation is 'loud'; it must be one of"),
        (EncoderConfig, {"norm_eps": 0.0}, "norm_eps is 0.0; it must be positive"),
        (EncoderConfig, {"heads": ("tail",)}, "heads is .*'tail'.*; it must be some of pooler"),
        (EncoderConfig, {"label_activation": "hard"}, "label_activation is 'hard'; it must be one of softmax"),
        (EncoderConfig, {"heads": ("tokens",)}, "labels is .*; it must be there for heads with classes"),
        (EncoderConfig, {"labels": ("a",)}, "labels is .*; it must be there for heads with classes"),
        (RobertaConfig, {"padding_id": 23}, "padding_id is 23; it must be 0 to 22"),
        (EncoderConfig, {"n_token_types": 0}, "n_token_types is 0; it must be positive"),
        (EncoderConfig, {"heads": ("replaced",)}, "heads is .*'replaced'.*; it must be some of pooler"),
        (DistilBertConfig, {}, "n_token_types is 2; it must be 0"),
        (DistilBertConfig, {"n_token_types": 0, "heads": ("pooler",)}, "heads is .*; it must be some of masked, seq"),
        (MpnetConfig, {"n_token_types": 1}, "n_token_types is 1; it must be 0"),
        (MpnetConfig, {"n_token_types": 0, "n_positions": 2}, "n_positions is 2; it must be at least 3"),
        (MpnetConfig, {"n_token_types": 0, "heads": ("pair",)}, "heads is .*; it must be some of pooler, masked, seq"),
        (ElectraConfig, {"embedding_width": 0}, "embedding_width is 0; it must be positive"),
        (
            *(ElectraConfig, {"embedding_width": 5, "heads": ("replaced",), "labels": ("a", "b")}),
            "labels is .*; it must be .*'original', 'replaced'",
        ),
        (
            *(ElectraConfig, {"embedding_width": 5, "heads": ("replaced", "tokens"), "labels": ("a", "b")}),
            "heads is .*; it must be without classes of texts or tokens",
        ),
        (AlbertConfig, {"embedding_width": 0}, "embedding_width is 0; it must be positive"),
        (AlbertConfig, {"embedding_width": 5, "n_groups": 3}, "n_groups is 3; it must be 1 to n_layers, 2"),
        (AlbertConfig, {"embedding_width": 5, "blocks_per_group": 0}, "blocks_per_group is 0; it must be positive"),
    ],
)
def test_a_value_out_of_range_is_an_error(config: type[EncoderConfig], wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"{config.__name__}.{message}"):
        config(**{**SIZES, **wrong})


def test_groups_limit_the_blocks_of_a_group() -> None:
    config = AlbertConfig(**SIZES, embedding_width=5, n_groups=2, blocks_per_group=600)
    with pytest.raises(ConfigError, match="blocks_per_group is 600; it must be at most 512 with 2 groups"):
        config.check_sizes()

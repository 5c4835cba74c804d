"""Published files that are refused: the refusal names the file and the key, and says what is possible."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoint import load_model, read_checkpoint
from models.errors import CheckpointError
from tests.models.test_published_heads import CONFIGS
from tests.models.transformers.reference import change, publish

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("BertModel", {"hidden_act": "gelu_9"}, "hidden_act is 'gelu_9'; it must be one of relu, gelu"),
    ("BertModel", {"hidden_act": 1}, "hidden_act is 1; it must be a string"),
    ("BertModel", {"hidden_size": "24"}, "hidden_size is '24'; it must be a whole number"),
    ("BertModel", {"num_attention_heads": 5}, "num_attention_heads is 5; it must be a divisor of the width, 12"),
    ("BertModel", {"layer_norm_eps": 0}, "layer_norm_eps is 0.0; it must be positive"),
    ("CamembertModel", {"pad_token_id": 29}, "pad_token_id is 29; it must be 0 to 28, to leave positions"),
    (
        "AlbertModel",
        {"num_hidden_layers": 1000, "num_hidden_groups": 1000, "inner_group_num": 1000},
        "inner_group_num is 1000; it must be at most 1 with 1000 groups",
    ),
    ("DistilBertModel", {"dim": "24"}, "dim is '24'; it must be a whole number"),
    ("DistilBertModel", {"n_heads": 5}, "n_heads is 5; it must be a divisor of the width, 12"),
    ("DistilBertModel", {"activation": "gelu_9"}, "activation is 'gelu_9'; it must be one of relu, gelu"),
    ("DistilBertModel", {"hidden_size": 24}, "hidden_size is 24; DistilBERT has dim instead"),
    ("DistilBertModel", {"is_decoder": True}, "is_decoder is true; only encoders are supported"),
    (
        *("MPNetModel", {"relative_attention_num_buckets": 64}),
        "relative_attention_num_buckets is 64; only 32 is supported",
    ),
    ("MPNetModel", {"max_position_embeddings": 2}, "max_position_embeddings is 2; it must be at least 3, to leave"),
    ("MPNetModel", {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'; only abso"),
    ("ElectraModel", {"embedding_size": 0}, "embedding_size is 0; it must be positive"),
    ("ElectraModel", {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'; only ab"),
    ("ElectraModel", {"is_decoder": True}, "is_decoder is true; only encoders are supported"),
    ("GPT2Model", {"n_embd": 12.5}, "n_embd is 12.5; it must be a whole number"),
    ("GPT2Model", {"activation_function": "prelu"}, "activation_function is 'prelu'; it must be one of"),
    ("MarianMTModel", {"decoder_layers": 10**6}, "decoder_layers is 1000000; it must be at most 1024"),
]


@pytest.mark.parametrize(("architecture", "values", "message"), REFUSED, ids=str)
def test_a_refusal_names_the_key_of_the_file(
    architecture: str, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    name = next(name for name in CONFIGS if architecture.startswith(name))
    publish(tmp_path / "mine", architecture, CONFIGS[name]())
    change(tmp_path / "mine", **values)
    with pytest.raises(CheckpointError, match=f"^mine/config.json: {message}"):
        read_checkpoint(tmp_path / "mine")


def test_the_file_of_an_unknown_activation_is_named(tmp_path: Path) -> None:
    publish(tmp_path / "mine", "BertForSequenceClassification", CONFIGS["Bert"]())
    (tmp_path / "mine/config_sentence_transformers.json").write_text('{"activation_fn": "torch.nn.Tanh"}')
    with pytest.raises(
        CheckpointError, match=r"^mine/config_sentence_transformers.json: activation_fn is 'torch.nn.Tan"
    ):
        read_checkpoint(tmp_path / "mine")


def test_weights_of_integers_are_refused(tmp_path: Path) -> None:
    publish(tmp_path, "BertModel", CONFIGS["Bert"]())
    file, key = tmp_path / "model.safetensors", "encoder.layer.0.intermediate.dense.weight"
    tensors = load_file(file)
    save_file({**tensors, key: (100 * tensors[key]).to(torch.int8)}, file)
    with pytest.raises(CheckpointError, match=f"bert.{key} is stored as int8; quantized weights are not supported"):
        load_model(read_checkpoint(tmp_path))


def test_an_adapter_is_refused_and_not_left_out(tmp_path: Path) -> None:
    publish(tmp_path / "mine", "BertModel", CONFIGS["Bert"]())
    (tmp_path / "mine/adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(CheckpointError, match=r"^mine/adapter_config.json: adapters are not supported; merge it"):
        read_checkpoint(tmp_path / "mine")


def test_a_clone_without_git_lfs_is_told_so(tmp_path: Path) -> None:
    publish(tmp_path / "mine", "BertModel", CONFIGS["Bert"]())
    (tmp_path / "mine/model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    with pytest.raises(CheckpointError, match=r"^mine/model.safetensors is a pointer of Git LFS; `git lfs pull` fetch"):
        load_model(read_checkpoint(tmp_path / "mine"))


@pytest.mark.parametrize(("pickle", "is_convertible"), [("pytorch_model.bin", True), ("pytorch_model.pt", False)])
def test_only_what_can_be_converted_is_said_to_be(pickle: str, is_convertible: bool, tmp_path: Path) -> None:
    publish(tmp_path, "BertModel", CONFIGS["Bert"]())
    (tmp_path / "model.safetensors").rename(tmp_path / pickle)
    with pytest.raises(CheckpointError, match="manifold convert" if is_convertible else "load it where it is trusted"):
        load_model(read_checkpoint(tmp_path))

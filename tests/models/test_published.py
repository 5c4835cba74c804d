"""Folders in the format of Hugging Face: what is read, and what is refused, by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.published import PublishedCheckpoint, write_card
from models.errors import CheckpointError
from models.layers.text_model import TextModel
from tests.models.transformers.reference import assert_close, ours, publish, random_text

SIZE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish(tmp_path / "mine", "BertForMaskedLM", transformers.BertConfig(**SIZE))
    return tmp_path / "mine"


def change(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def change_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def load(folder: Path) -> TextModel:
    return ours(folder)


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def wrong_digest(folder: Path) -> None:
    write_card(folder, licence="MIT", metrics={})
    change_weights(folder, lambda weights: weights.update({"bert.embeddings.LayerNorm.bias": torch.ones(24)}))


def blob_of_another_name(folder: Path) -> None:
    blob = folder / ("0" * 64)
    (folder / "model.safetensors").rename(blob)
    (folder / "model.safetensors").symlink_to(blob)


def shard_outside(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"bert.embeddings.LayerNorm.bias": "../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def shards_of_nothing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": [1]}')


def shard_missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


KEY = "bert.encoder.layer.1.output.dense.weight"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "unknown model": (
        lambda f: change(f, model_type="t5"),
        r"mine/config.json: model_type is 't5'; known are albert, bert",
    ),
    "unknown architecture": (
        lambda f: change(f, architectures=["BertForMultipleChoice"]),
        r"mine/config.json: architectures is \['BertForMultipleChoice'\]; known for bert are BertModel",
    ),
    "no architecture": (lambda f: change(f, architectures=None), r"architectures is \[\]"),
    "a decoder": (lambda f: change(f, is_decoder=True), "is_decoder is true"),
    "relative positions": (lambda f: change(f, position_embedding_type="relative_key"), "position_embedding_type"),
    "heads that do not divide": (lambda f: change(f, num_attention_heads=5), "n_heads is 5; it must be a divisor"),
    "unknown activation": (lambda f: change(f, hidden_act="gelu_9"), "activation is 'gelu_9'"),
    "width of a string": (lambda f: change(f, hidden_size="24"), "mine/config.json"),
    "no config": (lambda f: (f / "config.json").unlink(), r"mine/config.json is missing"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), r"mine/config.json holds no JSON object"),
    "missing key": (lambda f: change_weights(f, lambda w: w.pop(KEY)), rf"mine: .* missing \['{KEY}'\]"),
    "extra key": (
        lambda f: change_weights(f, lambda w: w.update({"bert.extra.weight": torch.ones(2)})),
        r"unexpected \['bert.extra.weight'\]",
    ),
    "wrong shape": (
        lambda f: change_weights(f, lambda w: w.update({KEY: torch.ones(24, 41)})),
        rf"mine/model.safetensors does not fit the model: {KEY} has the shape \[24, 41\]",
    ),
    "NaN": (
        lambda f: change_weights(f, lambda w: w.update({KEY: w[KEY] * torch.nan})),
        rf"mine/model.safetensors: NaN or infinity is in \['{KEY}'\], cast to float32",
    ),
    "other vocabulary": (lambda f: change(f, vocab_size=61), "word_embeddings.weight has the shape"),
    "truncated": (truncate, r"mine/model.safetensors is not a whole safetensors file"),
    "no safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"x" * 50), "is not a whole safetensors file"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "mine/model.safetensors is missing"),
    "pickle": (only_a_pickle, r"mine has pytorch_model.bin and no model.safetensors: a pickle can run any code"),
    "wrong digest": (wrong_digest, r"mine/model.safetensors has the SHA-256 .* manifold.json says"),
    "wrong blob": (blob_of_another_name, r"mine/model.safetensors has the SHA-256 .* the hub says 0000"),
    "shard outside": (shard_outside, r"weight_map must name safetensors files of the folder"),
    "shards of nothing": (shards_of_nothing, r"weight_map must name safetensors files of the folder"),
    "shard missing": (shard_missing, r"mine/model-00001-of-00002.safetensors is missing"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "mine has no tokenizer"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{"), "mine: the tokenizer is not readable"),
    "unknown module": (
        lambda f: (f / "modules.json").write_text(
            '[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]'
        ),
        "mine/modules.json: the module Dense is not supported",
    ),
    "pooling elsewhere": (
        lambda f: (f / "modules.json").write_text('[{"type": "x.Pooling", "path": "../pooling"}]'),
        "the path '../pooling' is not a folder beside it",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_by_name(folder: Path, fault: str) -> None:
    spoil, message = FAULTS[fault]
    spoil(folder)
    with pytest.raises(CheckpointError, match=message):
        load_model(read_checkpoint(folder))


def test_shards_are_one_model(folder: Path, tmp_path: Path) -> None:
    whole = load(folder)
    reference = transformers.BertForMaskedLM.from_pretrained(folder)
    reference.save_pretrained(tmp_path / "shards", max_shard_size="5kB")
    shutil.copy(folder / "tokenizer.json", tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 3
    text = random_text(7, 60, 0)
    torch.testing.assert_close(load(tmp_path / "shards").states([text]), whole.states([text]), rtol=0, atol=0)


def test_old_names_and_a_missing_prefix_are_understood(folder: Path) -> None:
    text = random_text(7, 60, 0)
    before = load(folder).states([text])

    def age(weights: dict[str, torch.Tensor]) -> None:
        for name in list(weights):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            weights[old.removeprefix("bert.")] = weights.pop(name)
        weights["embeddings.position_ids"] = torch.arange(32)

    change_weights(folder, age)
    torch.testing.assert_close(load(folder).states([text]), before, rtol=0, atol=0)


def test_heads_nobody_asks_for_are_told(folder: Path) -> None:
    extra = {"cls.seq_relationship.weight": torch.ones(2, 24), "bert.pooler.dense.weight": torch.ones(24, 24)}
    change_weights(folder, lambda weights: weights.update(extra))
    checkpoint = read_checkpoint(folder)
    load_model(checkpoint)
    assert checkpoint.unused == sorted(extra)


def test_a_bare_encoder_may_lack_its_pooler(tmp_path: Path) -> None:
    publish(tmp_path, "BertModel", transformers.BertConfig(**SIZE))
    change_weights(tmp_path, lambda w: [w.pop(name) for name in list(w) if "pooler" in name])
    assert load(tmp_path).pooler is None


@pytest.mark.parametrize(("mode", "name"), [("mean", "mean"), ("cls", "cls"), ("max", "max"), ("lasttoken", "last")])
@pytest.mark.parametrize("is_unit", [True, False])
def test_a_sentence_encoder_pools_as_it_says(tmp_path: Path, mode: str, name: str, is_unit: bool) -> None:
    reference = publish(tmp_path, "BertModel", transformers.BertConfig(**SIZE))
    modules = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    modules.append({"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"})
    if is_unit:
        modules.append({"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"})
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_Pooling").mkdir()
    keys = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens", "lasttoken": "lasttoken"}
    config = {f"pooling_mode_{key}": kind == mode for kind, key in keys.items()}
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 24, **config}))
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 20}))
    checkpoint = read_checkpoint(tmp_path)
    model = load(tmp_path)
    assert (model.pooling, model.normalize, checkpoint.item_shape) == (name, is_unit, (20,))
    text = random_text(9, 60, 0)
    ids, types = (torch.from_numpy(values)[None] for values in (text.ids, text.type_ids))
    states = reference(ids, token_type_ids=types).last_hidden_state[0].detach()
    pooled = {"mean": states.mean(0), "cls": states[0], "max": states.amax(0), "last": states[-1]}[name]
    expected = torch.nn.functional.normalize(pooled, dim=0) if is_unit else pooled
    assert_close(model.vectors([text])[0], expected)


def test_the_tokenizer_may_not_have_more_ids_than_the_model(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["beyond"] = 60
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match="the tokenizer has ids up to 60, the model embeddings up to 59"):
        load_model(read_checkpoint(folder))


def test_a_name_other_than_the_folders(folder: Path) -> None:
    checkpoint = read_checkpoint(folder, "yours")
    assert isinstance(checkpoint, PublishedCheckpoint)
    assert checkpoint.name == "yours"

"""Folders in the format of Hugging Face: reading, and refusals that name the file and the key."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers

from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.card import write_card
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.codecs.text import TextCodec
from models.errors import CheckpointError
from models.text.embedding import hidden_states, vectors
from models.text.text_model import TextModel
from models.transformers.gpt.model import Gpt
from tests.models.transformers.reference import assert_close, change, change_weights, ours, publish, random_text

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


def no_weights_but_a_digest(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    write_card(folder, licence="MIT", metrics={})


def weights_are_a_folder(folder: Path) -> None:
    write_card(folder, licence="MIT", metrics={})
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def rename_the_mask(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace("[MASK]", "[HIDDEN]"))


def pool_in(path: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Pooling", "path": path}])
    )


def limit_to(length: object) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / "modules.json").write_text("[]")
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length}))

    return spoil


def nest(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text("[" * 100_000)


KEY = "bert.encoder.layer.1.output.dense.weight"
QUERY = "bert.encoder.layer.1.attention.self.query.weight"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "unknown model": (
        lambda f: change(f, model_type="t5"),
        r"mine/config.json: model_type is 't5'; known are albert, bert",
    ),
    "architectures of a string": (
        lambda f: change(f, architectures="BertModel"),
        "mine/config.json: architectures is 'BertModel'; it must be a list of names",
    ),
    "a decoder": (lambda f: change(f, is_decoder=True), "is_decoder is true"),
    "relative positions": (lambda f: change(f, position_embedding_type="relative_key"), "position_embedding_type"),
    "heads that do not divide": (
        lambda f: change(f, num_attention_heads=5),
        "json: num_attention_heads is 5; it must be a divisor of the width, 24",
    ),
    "unknown activation": (
        lambda f: change(f, hidden_act="gelu_9"),
        "hidden_act is 'gelu_9'; it must be one of relu, ",
    ),
    "width of a string": (lambda f: change(f, hidden_size="24"), "mine/config.json: hidden_size is '24'; it must be"),
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
        lambda f: (f / "modules.json").write_text('[{"type": "sentence_transformers.models.CNN", "path": "1_CNN"}]'),
        "mine/modules.json: the module CNN is not supported",
    ),
    "pooling elsewhere": (pool_in("../pooling"), "the path '../pooling' is not a folder beside it"),
    "pooling in the folder itself": (pool_in(""), "the path '' is not a folder beside it"),
    "pooling in a hidden folder": (pool_in(".pooling"), "the path '.pooling' is not a folder beside it"),
    "pooling below a folder": (pool_in("a\\b"), "is not a folder beside it"),
    "sentences of no token": (limit_to(2), "max_seq_length is 2; it must be an integer of at least 3"),
    "sentences of a string": (limit_to("20"), "mine/sentence_bert_config.json: max_seq_length is '20'; it must be an"),
    "no weights, and their digest": (no_weights_but_a_digest, "mine/model.safetensors is not a whole safetensors file"),
    "unreadable weights": (weights_are_a_folder, "mine/model.safetensors is not readable: Is a directory"),
    "queries of another width": (
        lambda f: change_weights(f, lambda w: w.update({QUERY: torch.ones(24, 23)})),
        rf"mine: {QUERY}, .*value.weight do not fit together: .* 23 ",
    ),
    "config of brackets": (nest("config.json"), "mine/config.json is not readable as JSON: maximum recursion depth"),
    "modules of brackets": (nest("modules.json"), "mine/modules.json is not readable as JSON"),
    "tokenizer of brackets": (nest("tokenizer_config.json"), "mine/tokenizer_config.json is not readable as JSON"),
    "too large a vocabulary": (
        lambda f: change(f, vocab_size=10**18),
        f"mine/config.json: vocab_size is {10**18}; it must be at most 16777216",
    ),
    "too many layers": (
        lambda f: change(f, num_hidden_layers=10**9),
        "mine/config.json: num_hidden_layers is 1000000000; it must be at most 1024",
    ),
    "no number of classes": (
        lambda f: change(f, architectures=["BertForSequenceClassification"], id2label=None, num_labels="2"),
        "mine/config.json: num_labels is '2'; it must be 1 to 65536",
    ),
    "too many weights": (
        lambda f: change(f, hidden_size=2**18, intermediate_size=2**18),
        r"mine/config.json: the model has 8\d{11} weights; it must be at most 68719476736",
    ),
    "too many classes": (
        lambda f: change(f, architectures=["BertForSequenceClassification"], id2label=None, num_labels=10**9),
        "mine/config.json: num_labels is 1000000000; it must be 1 to 65536",
    ),
    "no mask token": (rename_the_mask, "mine: the tokenizer has no mask token"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_folder_is_refused_by_name(folder: Path, fault: str) -> None:
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
    torch.testing.assert_close(
        hidden_states(load(tmp_path / "shards"), [text]), hidden_states(whole, [text]), rtol=0, atol=0
    )


def test_old_names_and_a_missing_prefix_are_understood(folder: Path) -> None:
    text = random_text(7, 60, 0)
    before = hidden_states(load(folder), [text])

    def age(weights: dict[str, torch.Tensor]) -> None:
        for name in list(weights):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            weights[old.removeprefix("bert.")] = weights.pop(name)
        weights["embeddings.position_ids"] = torch.arange(32)

    change_weights(folder, age)
    torch.testing.assert_close(hidden_states(load(folder), [text]), before, rtol=0, atol=0)


def test_unused_heads_are_reported(folder: Path) -> None:
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
    assert (model.embedding.poolings, model.embedding.normalize) == ((name,), is_unit)
    assert checkpoint.item_shape == (20,)
    text = random_text(9, 60, 0)
    ids, types = (torch.from_numpy(values)[None] for values in (text.ids, text.type_ids))
    states = reference(ids, token_type_ids=types).last_hidden_state[0].detach()
    pooled = {"mean": states.mean(0), "cls": states[0], "max": states.amax(0), "last": states[-1]}[name]
    expected = torch.nn.functional.normalize(pooled, dim=0) if is_unit else pooled
    assert_close(vectors(model, [text])[0], expected)


def test_a_sentence_encoder_converts_texts_to_lower_case_if_its_settings_ask_for_it(folder: Path) -> None:
    (folder / "modules.json").write_text("[]")
    for lowers in (False, True):
        (folder / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": lowers}))
        codec = read_checkpoint(folder).codec
        assert isinstance(codec, TextCodec)
        upper, lower = (codec.encode(text).ids.tolist() for text in ("The DOG", "the dog"))
        assert (upper == lower) == lowers


def test_a_change_of_the_file_changes_no_loaded_model(folder: Path) -> None:
    text = random_text(7, 60, 0)
    model = load(folder)
    before = hidden_states(model, [text])
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(bytes((folder / "model.safetensors").stat().st_size))
    torch.testing.assert_close(hidden_states(model, [text]), before, rtol=0, atol=0)


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    publish(tmp_path / "mine", "GPT2LMHeadModel", transformers.GPT2Config(vocab_size=60, n_embd=8, n_layer=1, n_head=1))
    (tmp_path / "mine/generation_config.json").unlink()
    return tmp_path / "mine"


def test_ids_that_no_token_has_are_dropped(decoder: Path) -> None:
    change(decoder, bos_token_id=-1, eos_token_id=[-1, 5, 60, 59], suppress_tokens=[-1, 0, 10**20])
    model = cast("Gpt", load(decoder))
    assert model.start_id is None
    assert (model.generation_rules.end_ids, model.generation_rules.suppressed_ids) == ((5, 59), (0,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eos_token_id", "50256"),
        ("eos_token_id", [1, 2.0]),
        ("bos_token_id", [1]),
        ("bos_token_id", True),
        ("suppress_tokens", 7),
        ("suppress_tokens", ["7"]),
    ],
)
def test_ids_that_are_no_integers_are_refused(decoder: Path, name: str, value: object) -> None:
    change(decoder, **{name: value})
    with pytest.raises(CheckpointError, match=f"mine/config.json: {name} is .*; token ids must be integers"):
        load(decoder)


def test_groups_of_blocks_are_counted_together(tmp_path: Path) -> None:
    publish(tmp_path / "mine", "AlbertModel", transformers.AlbertConfig(**SIZE, embedding_size=8))
    change(tmp_path / "mine", num_hidden_layers=1000, num_hidden_groups=1000, inner_group_num=1000)
    with pytest.raises(CheckpointError, match="inner_group_num is 1000; it must be at most 1 with 1000 groups"):
        read_checkpoint(tmp_path / "mine")


def test_the_tokenizer_may_not_have_more_ids_than_the_model(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["beyond"] = 60
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match="the tokenizer has ids up to 60, the model embeddings up to 59"):
        load_model(read_checkpoint(folder))


def test_a_checkpoint_may_have_another_name_than_its_folder(folder: Path) -> None:
    checkpoint = read_checkpoint(folder, "yours")
    assert isinstance(checkpoint, PublishedCheckpoint)
    assert checkpoint.name == "yours"

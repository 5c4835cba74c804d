"""Folders of sentence encoders whose wishes cannot be honoured are refused, with the file, the key and the value."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.checkpoint import load_model, read_checkpoint
from models.errors import CheckpointError
from tests.models.sentence_folders import edit


def module(kind: str, path: str = "2_X") -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        modules = json.loads((folder / "modules.json").read_text())
        (folder / "modules.json").write_text(json.dumps([*modules, {"type": kind, "path": path}]))

    return add


def setting(file: str, **values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder, file, **values)


def only_a_pickle(folder: Path) -> None:
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")


def reversed_order(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0], *modules[:0:-1]]))


OF_MODELS = ("CNN", "LSTM", "WordEmbeddings", "WeightedLayerPooling", "BoW", "CLIPModel", "Router", "Asym")
SENTENCES, LIBRARY = "config_sentence_transformers.json", "sentence_bert_config.json"
REFUSALS: dict[str, tuple[Callable[[Path], object], str]] = {
    **{
        kind: (module(f"sentence_transformers.models.{kind}"), f"the module {kind} is not supported; known are Trans")
        for kind in (*OF_MODELS, "StaticEmbedding", "WordWeights", "SparseAutoEncoder", "MultiVectorMask")
    },
    "custom code": (module("custom_st.Pooling"), "the module custom_st.Pooling is code of its own, which is never run"),
    "an order": (reversed_order, "the modules are Transformer, Dense, Pooling; only this order is supported"),
    "two poolings": (
        lambda f: module("sentence_transformers.models.Pooling", "1_Pooling")(f),
        "the modules are Transformer, Pooling, Dense, Pooling; only this order",
    ),
    "no path": (lambda f: (f / "modules.json").write_text('[{"type": "x"}]'), "must have a type and a path"),
    "a pickle": (only_a_pickle, "mine/2_Dense has pytorch_model.bin and no model.safetensors"),
    "no weights": (lambda f: (f / "2_Dense/model.safetensors").unlink(), "mine/2_Dense/model.safetensors is missing"),
    "no dense": (lambda f: (f / "2_Dense/config.json").unlink(), "mine/2_Dense/config.json is missing"),
    "an activation": (
        setting("2_Dense/config.json", activation_function="torch.nn.modules.activation.PReLU"),
        "mine/2_Dense/config.json: activation_function is 'torch.nn.modules.activation.PReLU'; known are",
    ),
    "a function": (setting("2_Dense/config.json", activation_function="torch.tanh"), "activation_function is 'torch.t"),
    "an own activation": (setting("2_Dense/config.json", activation_function="mine.Tanh"), "activation_function is"),
    "a width": (setting("2_Dense/config.json", in_features=11), "in_features is 11, but the vectors before it have 12"),
    "an output": (setting("2_Dense/config.json", out_features="5"), "out_features is '5'; it must be a positive"),
    "other weights": (setting("2_Dense/config.json", bias=False), "mine/2_Dense: the weights have the shapes"),
    "tokens": (setting("2_Dense/config.json", module_input_name="token_embeddings"), "module_input_name is 'token_emb"),
    "a pooling": (setting("1_Pooling/config.json", pooling_mode="median"), "pooling_mode is 'median'; known are cls"),
    "a flag": (setting("1_Pooling/config.json", pooling_mode_median=True), "pooling_mode_median is not supported"),
    "no mode": (setting("1_Pooling/config.json", pooling_mode=[]), r"pooling_mode is \[\]; known are"),
    "a measure": (setting(SENTENCES, similarity_fn_name="maxsim"), "similarity_fn_name is 'maxsim'; known are cosine"),
    "a dimension": (setting(SENTENCES, truncate_dim=0), "truncate_dim is 0; it must be a positive integer"),
    "a default": (
        setting(SENTENCES, default_prompt_name="x"),
        "default_prompt_name is 'x'; the prompts are document, query",
    ),
    "prompts": (setting(SENTENCES, prompts={"query": 5}), "prompts is {'query': 5}; it must name strings"),
    "a type": (setting(SENTENCES, model_type="MultiVectorEncoder"), "model_type is 'MultiVectorEncoder'; known are"),
    "a task": (setting(LIBRARY, transformer_task="fill-mask"), "transformer_task is 'fill-mask', which is not supp"),
    "an output name": (
        setting(LIBRARY, modality_config={"text": {"method": "forward", "method_output_name": "pooler_output"}}),
        "modality_config asks for .*pooler_output",
    ),
    "expansion": (setting(LIBRARY, query_expansion={"length": 32}), "query_expansion is .* which is not supported"),
    "arguments": (setting(LIBRARY, config_args={"output_attentions": True}), "output_attentions of config_kwargs"),
    "a limit": (setting("tokenizer_config.json", model_max_length=2), "model_max_length is 2; it must be at least 3"),
    "a text": (setting("tokenizer_config.json", model_max_length="9"), "model_max_length is '9'; it must be at least"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_what_cannot_be_honoured_is_refused_by_name(bases: Path, tmp_path: Path, fault: str, saved: Path) -> None:
    spoil, message = REFUSALS[fault]
    shutil.copytree(saved, tmp_path / "mine")
    spoil(tmp_path / "mine")
    with pytest.raises(CheckpointError, match=message):
        load_model(read_checkpoint(tmp_path / "mine"))

"""Folders whose `config.json` names heads that the weights lack, or no architecture that is known."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers

from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.errors import CheckpointError
from models.text.embedding import hidden_states
from models.text.text_model import TextModel
from tests.models.transformers.reference import assert_close, change, change_weights, publish, random_text

SIZE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 30,
    "num_labels": 3,
}
DISTILBERT: dict[str, Any] = {
    "vocab_size": 60,
    "dim": 12,
    "n_layers": 1,
    "n_heads": 2,
    "hidden_dim": 20,
    "max_position_embeddings": 30,
    "num_labels": 3,
}
GPT: dict[str, Any] = {
    "vocab_size": 60,
    "n_embd": 12,
    "n_layer": 1,
    "n_head": 2,
    "n_positions": 30,
    "num_labels": 3,
    "pad_token_id": 0,
}
CONFIGS: dict[str, Callable[[], Any]] = {
    "Bert": lambda: transformers.BertConfig(**SIZE),
    "Roberta": lambda: transformers.RobertaConfig(**SIZE),
    "XLMRoberta": lambda: transformers.XLMRobertaConfig(**SIZE),
    "Camembert": lambda: transformers.CamembertConfig(**SIZE),
    "Albert": lambda: transformers.AlbertConfig(**SIZE, embedding_size=8),
    "DistilBert": lambda: transformers.DistilBertConfig(**DISTILBERT),
    "MPNet": lambda: transformers.MPNetConfig(**SIZE),
    "Electra": lambda: transformers.ElectraConfig(**SIZE, embedding_size=8),
    "GPT2": lambda: transformers.GPT2Config(**GPT),
    "Marian": lambda: transformers.MarianConfig(
        vocab_size=60,
        d_model=12,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=30,
        pad_token_id=2,
        eos_token_id=0,
        decoder_start_token_id=2,
        forced_eos_token_id=0,
    ),
}
BASE_TASKS = {"encode", "similarity", "project"}


def drop(*parts: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda weights: [weights.pop(name) for name in list(weights) if any(part in name for part in parts)]


def loaded(folder: Path) -> tuple[PublishedCheckpoint, TextModel]:
    checkpoint = cast("PublishedCheckpoint", read_checkpoint(folder))
    return checkpoint, cast("TextModel", load_model(checkpoint))


def states_of(reference: Any, ids: Iterable[int]) -> torch.Tensor:
    given = torch.tensor([list(ids)])
    with torch.inference_mode():
        encoder = reference.get_encoder() if reference.config.model_type == "marian" else reference
        states: torch.Tensor = encoder(given).last_hidden_state[0]
    return states


BARE = [
    *(
        (family, f"{family}{head}")
        for family in ("Bert", "Roberta", "XLMRoberta", "Camembert", "Albert", "DistilBert", "MPNet", "Electra")
        for head in ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
    ),
    ("Bert", "BertForPreTraining"),
    ("Albert", "AlbertForPreTraining"),
    ("Electra", "ElectraForPreTraining"),
    ("GPT2", "GPT2ForSequenceClassification"),
]


@pytest.mark.parametrize(("family", "architecture"), BARE)
def test_a_bare_encoder_is_served_for_what_is_there(family: str, architecture: str, tmp_path: Path) -> None:
    reference = publish(tmp_path, f"{family}Model", CONFIGS[family]())
    change(tmp_path, architectures=[architecture])
    checkpoint, model = loaded(tmp_path)
    assert set(checkpoint.task_names) >= BASE_TASKS
    assert not {"fill_mask", "classify", "classify_tokens", "answer", "generate"} & set(checkpoint.task_names)
    assert checkpoint.missing_heads
    text = random_text(7, 60, 0)
    assert_close(hidden_states(model, [text])[0], states_of(reference, text.ids.tolist()))
    assert all("pooler" in name for name in checkpoint.unused)


@pytest.mark.parametrize("architectures", [None, [], ["BertForCL"], ["BertModelWithX"], ["BertForMultipleChoice"]])
@pytest.mark.parametrize("family", CONFIGS)
def test_an_architecture_that_is_not_known_is_the_base(family: str, architectures: Any, tmp_path: Path) -> None:
    reference = publish(tmp_path, f"{family}Model", CONFIGS[family]())
    change(tmp_path, architectures=architectures)
    change_weights(tmp_path, lambda weights: weights.update({"mlp.dense.weight": torch.ones(2)}))
    checkpoint, model = loaded(tmp_path)
    assert set(checkpoint.task_names) >= BASE_TASKS
    assert not {"fill_mask", "classify", "generate", "translate"} & set(checkpoint.task_names)
    text = random_text(7, 60, 0)
    assert_close(hidden_states(model, [text])[0], states_of(reference, text.ids.tolist()))
    assert [name for name in checkpoint.unused if name.endswith("mlp.dense.weight")]


@pytest.mark.parametrize(
    ("family", "head", "task"),
    [
        ("Bert", "ForMaskedLM", "fill_mask"),
        ("Roberta", "ForMaskedLM", "fill_mask"),
        ("Albert", "ForMaskedLM", "fill_mask"),
        ("DistilBert", "ForMaskedLM", "fill_mask"),
        ("DistilBert", "ForQuestionAnswering", "answer"),
        ("MPNet", "ForMaskedLM", "fill_mask"),
        ("Electra", "ForMaskedLM", "fill_mask"),
        ("Electra", "ForPreTraining", "classify_tokens"),
        ("Bert", "ForQuestionAnswering", "answer"),
        ("Marian", "MTModel", "translate"),
    ],
)
def test_without_an_architecture_a_whole_head_is_served(family: str, head: str, task: str, tmp_path: Path) -> None:
    config = CONFIGS[family]()
    config.num_labels = 2
    publish(tmp_path, family + head, config)
    change(tmp_path, architectures=None)
    checkpoint, _ = loaded(tmp_path)
    assert task in checkpoint.task_names
    assert checkpoint.missing_heads == ()


@pytest.mark.parametrize("head", ["ForSequenceClassification", "ForTokenClassification"])
@pytest.mark.parametrize("family", ["Bert", "Roberta", "Albert", "DistilBert", "MPNet", "Electra"])
def test_without_an_architecture_no_classes_are_guessed(family: str, head: str, tmp_path: Path) -> None:
    publish(tmp_path, family + head, CONFIGS[family]())
    change(tmp_path, architectures=None)
    checkpoint, _ = loaded(tmp_path)
    assert not {"classify", "classify_tokens"} & set(checkpoint.task_names)
    assert any(name.startswith("classifier") for name in checkpoint.unused)


@pytest.mark.parametrize(
    ("family", "head", "part"),
    [
        ("Bert", "ForMaskedLM", "cls.predictions.transform.dense.bias"),
        ("Bert", "ForSequenceClassification", "classifier.bias"),
        ("Bert", "ForSequenceClassification", "bert.pooler.dense.weight"),
        ("Roberta", "ForMaskedLM", "lm_head.layer_norm.weight"),
        ("Roberta", "ForSequenceClassification", "classifier.out_proj.weight"),
        ("XLMRoberta", "ForMaskedLM", "lm_head.dense.weight"),
        ("Albert", "ForMaskedLM", "predictions.LayerNorm.bias"),
        ("Albert", "ForQuestionAnswering", "qa_outputs.weight"),
        ("DistilBert", "ForMaskedLM", "vocab_transform.bias"),
        ("DistilBert", "ForSequenceClassification", "pre_classifier.weight"),
        ("MPNet", "ForMaskedLM", "lm_head.layer_norm.weight"),
        ("MPNet", "ForSequenceClassification", "classifier.dense.weight"),
        ("MPNet", "ForQuestionAnswering", "mpnet.encoder.relative_attention_bias.weight"),
        ("Electra", "ForMaskedLM", "generator_predictions.LayerNorm.bias"),
        ("Electra", "ForPreTraining", "discriminator_predictions.dense_prediction.weight"),
        ("Electra", "ForSequenceClassification", "classifier.dense.bias"),
        ("Electra", "ForQuestionAnswering", "electra.embeddings_project.weight"),
    ],
)
def test_a_head_with_some_of_its_weights_is_refused(family: str, head: str, part: str, tmp_path: Path) -> None:
    publish(tmp_path, family + head, CONFIGS[family]())
    change_weights(tmp_path, drop(part))
    with pytest.raises(CheckpointError, match=rf"missing \['{part}'\]"):
        loaded(tmp_path)


def test_one_of_two_heads_may_be_absent(tmp_path: Path) -> None:
    publish(tmp_path, "BertForPreTraining", CONFIGS["Bert"]())
    change_weights(tmp_path, drop("seq_relationship"))
    checkpoint, model = loaded(tmp_path)
    assert "fill_mask" in checkpoint.task_names
    assert checkpoint.missing_heads == ("pair",)
    assert cast("Any", model).pair_head is None


@pytest.mark.parametrize(("family", "head"), [("GPT2", "LMHeadModel"), ("Marian", "MTModel")])
def test_a_tied_head_needs_no_weights(family: str, head: str, tmp_path: Path) -> None:
    publish(tmp_path, f"{family}Model", CONFIGS[family]())
    change(tmp_path, architectures=[family + head])
    checkpoint, _ = loaded(tmp_path)
    assert "generate" in checkpoint.task_names
    assert checkpoint.missing_heads == ()


def test_an_untied_head_is_never_invented(tmp_path: Path) -> None:
    publish(tmp_path, "GPT2Model", CONFIGS["GPT2"]())
    change(tmp_path, architectures=["GPT2LMHeadModel"], tie_word_embeddings=False)
    checkpoint, _ = loaded(tmp_path)
    assert "generate" not in checkpoint.task_names
    assert checkpoint.missing_heads == ("language",)


@pytest.mark.parametrize(
    ("family", "name", "shape"),
    [
        ("Bert", "embeddings.position_ids", (1, 30)),
        ("Bert", "embeddings.token_type_ids", (1, 30)),
        ("Roberta", "embeddings.position_ids", (1, 30)),
        ("Albert", "embeddings.token_type_ids", (1, 30)),
        ("DistilBert", "embeddings.position_ids", (1, 30)),
        ("MPNet", "embeddings.position_ids", (1, 30)),
        ("Electra", "embeddings.position_ids", (1, 30)),
        ("GPT2", "h.0.attn.bias", (1, 1, 30, 30)),
        ("GPT2", "h.0.attn.masked_bias", ()),
    ],
)
def test_old_buffers_hold_no_parameters(family: str, name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    publish(tmp_path, f"{family}Model", CONFIGS[family]())
    change_weights(tmp_path, lambda weights: weights.update({name: torch.zeros(shape)}))
    checkpoint, _ = loaded(tmp_path)
    assert not checkpoint.unused


@pytest.mark.parametrize("name", ["encoder.layer.0.adapter.weight", "embeddings.extra.weight"])
@pytest.mark.parametrize("architectures", [None, ["BertModel"]])
def test_parameters_that_change_the_network_are_refused(architectures: Any, name: str, tmp_path: Path) -> None:
    publish(tmp_path, "BertModel", CONFIGS["Bert"]())
    change(tmp_path, architectures=architectures)
    change_weights(tmp_path, lambda weights: weights.update({name: torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=rf"unexpected \['bert.{name}'\]"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("Bert", "embeddings.word_embeddings.weight"),
        ("Roberta", "encoder.layer.0.output.dense.bias"),
        ("GPT2", "wte.weight"),
        ("DistilBert", "transformer.layer.0.ffn.lin1.bias"),
        ("MPNet", "encoder.relative_attention_bias.weight"),
        ("Electra", "embeddings_project.bias"),
    ],
)
def test_a_parameter_that_is_stored_twice_is_refused(family: str, name: str, tmp_path: Path) -> None:
    publish(tmp_path, f"{family}Model", CONFIGS[family]())
    prefix = {"GPT2": "transformer"}.get(family, family.lower())
    change_weights(tmp_path, lambda weights: weights.update({f"{prefix}.{name}": weights[name] + 1}))
    with pytest.raises(CheckpointError, match=f"{name} .*the same parameter, which is stored twice"):
        loaded(tmp_path)

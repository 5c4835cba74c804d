"""The function of class scores is the one that a folder declares, as CrossEncoder and the pipeline read it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from sentence_transformers import CrossEncoder

from models.errors import CheckpointError
from models.tasks import CLASSIFY_TEXT
from models.tasks.text import ClassifyTextRequest
from models.text.label_activation import SENTENCE_FILE, read_label_activation, write_label_activation
from tests.models.test_published_heads import CONFIGS
from tests.models.transformers.reference import change, ours, publish, random_text

OLD, NEW = "sbert_ce_default_activation_function", "sentence_transformers"
SIGMOID, IDENTITY = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"
RULES: list[tuple[dict[str, Any], int, str]] = [
    ({}, 1, "sigmoid"),
    ({}, 2, "softmax"),
    ({"problem_type": "single_label_classification"}, 1, "sigmoid"),
    ({"problem_type": "single_label_classification"}, 3, "softmax"),
    ({"problem_type": "multi_label_classification"}, 3, "sigmoid"),
    ({"problem_type": "regression"}, 1, "none"),
    ({"problem_type": "regression"}, 3, "none"),
    ({OLD: SIGMOID}, 1, "sigmoid"),
    ({OLD: IDENTITY}, 1, "none"),
    ({OLD: "torch.nn.Softmax"}, 3, "softmax"),
    ({NEW: {"activation_fn": IDENTITY, "version": "5.0.0"}}, 3, "none"),
    ({NEW: {"version": "5.0.0"}}, 1, "sigmoid"),
    ({NEW: {"activation_fn": IDENTITY}, OLD: SIGMOID}, 1, "none"),
    ({NEW: {"activation_fn": SIGMOID}, "problem_type": "regression"}, 1, "sigmoid"),
    ({SENTENCE_FILE: {"activation_fn": SIGMOID}, NEW: {"activation_fn": IDENTITY}}, 3, "sigmoid"),
    ({SENTENCE_FILE: {"prompts": {}}, OLD: IDENTITY}, 3, "none"),
]


@pytest.mark.parametrize(("values", "n_labels", "expected"), RULES, ids=str)
def test_the_folders_own_words_decide(values: dict[str, Any], n_labels: int, expected: str) -> None:
    assert read_label_activation(values, n_labels) == expected


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_what_is_written_is_read(activation: str) -> None:
    assert read_label_activation(write_label_activation(activation), 2) == activation


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({OLD: "torch.nn.Tanh"}, f"{OLD} is 'torch.nn.Tanh'; the functions of class scores are torch.nn.Sigmoid"),
        ({NEW: {"activation_fn": "my.module.Sigmoid"}}, f"{NEW}.activation_fn is 'my.module.Sigmoid'"),
        ({SENTENCE_FILE: {"activation_fn": 7}}, "activation_fn is 7"),
        ({"problem_type": "ranking"}, "problem_type is 'ranking'; it must be one of single_label_classification"),
    ],
)
def test_other_functions_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_label_activation(values, 1)


def scores_of(folder: Path, ids: list[int]) -> dict[str, float]:
    text = random_text(len(ids), 60, 0)
    text.ids[:] = ids
    (result,) = ours(folder).run(CLASSIFY_TEXT, [ClassifyTextRequest(tokens=text)])
    return {label.label: label.score for label in result.labels}


DECLARED: dict[str, Callable[[Path], object]] = {
    "old": lambda folder: change(folder, **{OLD: IDENTITY}),
    "new": lambda folder: change(folder, **{NEW: {"activation_fn": SIGMOID}}),
    "softmax": lambda folder: change(folder, **{NEW: {"activation_fn": "torch.nn.modules.activation.Softmax"}}),
    "file": lambda folder: CrossEncoder(str(folder), activation_fn=torch.nn.Identity(), device="cpu").save_pretrained(
        str(folder)
    ),
}


@pytest.mark.filterwarnings("ignore:Implicit dimension choice for softmax")
@pytest.mark.parametrize("n_labels", [1, 3])
@pytest.mark.parametrize("declared", [*DECLARED, None])
def test_scores_are_those_of_cross_encoder(declared: str | None, n_labels: int, tmp_path: Path) -> None:
    if declared is None and n_labels > 1:
        pytest.skip("CrossEncoder leaves the logits of several classes as they are, and the pipeline does not")
    config = CONFIGS["Bert"]()
    config.num_labels = n_labels
    publish(tmp_path, "BertForSequenceClassification", config)
    if declared:
        DECLARED[declared](tmp_path)
    reference = CrossEncoder(str(tmp_path), device="cpu")
    ids: list[int] = reference.tokenizer("the dog sees", "a cat")["input_ids"]
    assert reference.activation_fn is not None
    with torch.inference_mode():
        logits = reference.model(torch.tensor([ids])).logits
        expected = reference.activation_fn(logits)[0].tolist()
    labels = [reference.model.config.id2label[number] for number in range(n_labels)]
    assert scores_of(tmp_path, ids) == pytest.approx(dict(zip(labels, expected, strict=True)), abs=1e-4)


@pytest.mark.parametrize(
    ("n_labels", "problem"),
    [
        *((n, problem) for n in (1, 3) for problem in (None, "regression", "multi_label_classification")),
        (3, "single_label_classification"),
    ],
)
@pytest.mark.parametrize("family", ["Roberta", "GPT2"])
def test_scores_are_those_of_the_pipeline(family: str, n_labels: int, problem: str | None, tmp_path: Path) -> None:
    config = CONFIGS[family]()
    config.num_labels, config.problem_type = n_labels, problem
    reference = publish(tmp_path, f"{family}ForSequenceClassification", config)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    make: Any = transformers.TextClassificationPipeline
    pipeline = make(model=reference, tokenizer=tokenizer, device="cpu")
    ids: list[int] = tokenizer("the dog sees")["input_ids"]
    expected = {row["label"]: row["score"] for row in pipeline("the dog sees", top_k=None)}
    assert scores_of(tmp_path, ids) == pytest.approx(expected, abs=1e-4)

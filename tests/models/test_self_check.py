"""A loaded model is compared with the answers that its folder promises."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer import modules

from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.checkpoint.expected_answers import ExpectedAnswer, write_expected_answers
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.checkpoint.self_check import SelfCheck, check_answers, compute_answer
from models.errors import CheckpointError
from tests.models.transformers.reference import publish

WEIGHTS = Path(__file__).parents[2] / "weights"
SIZE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 64,
}
PROMPTS = {"query": "query: ", "document": "a passage: "}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "mine"
    publish(folder, "BertForSequenceClassification", transformers.BertConfig(**{**SIZE, "num_labels": 1}))
    return folder


def save_encoder(base: Path, folder: Path, pooling: str = "mean", **settings: Any) -> Path:
    """Save a sentence encoder by sentence-transformers, with the card that it writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers = [modules.Transformer(str(base)), modules.Pooling(24, pooling_mode=pooling), modules.Normalize()]
        model = SentenceTransformer(modules=layers, device="cpu", **settings)
        model.model_card_data.ir_model = "prompts" in settings
        model.save_pretrained(str(folder))
    return folder


def outcome(folder: Path) -> SelfCheck | None:
    checkpoint = read_checkpoint(folder)
    return check_answers(checkpoint, load_model(checkpoint))


@pytest.mark.parametrize("settings", [{}, {"similarity_fn_name": "dot"}, {"prompts": PROMPTS}], ids=str)
def test_a_model_agrees_with_the_card_that_the_library_wrote(
    base: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    found = outcome(save_encoder(base, tmp_path / "mine", **settings))
    assert found is not None
    assert (found.source, found.agrees, found.n_numbers) == ("README.md", True, 3 if "prompts" in settings else 9)
    assert found.largest_difference < 1e-4


def test_a_cross_encoder_agrees_with_its_card(base: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CrossEncoder(str(base), device="cpu").save_pretrained(str(tmp_path / "mine"))
    found = outcome(tmp_path / "mine")
    assert found is not None
    assert (found.source, found.agrees, found.n_numbers) == ("README.md", True, 3)


@pytest.mark.parametrize(
    ("method", "keywords"),
    [("encode", {"prompt_name": "passage"}), ("encode", {"prompt": "a man: "}), ("encode", {}), ("encode_query", {})],
    ids=str,
)
def test_a_model_agrees_with_an_edited_card(base: Path, tmp_path: Path, method: str, keywords: dict[str, str]) -> None:
    folder = save_encoder(base, tmp_path / "mine", prompts={"passage": "a dog: "}, default_prompt_name="passage")
    texts, library = ["the red house", "a cat"], SentenceTransformer(str(folder), device="cpu")
    embeddings = getattr(library, method)(texts, **keywords)
    printed = "\n".join(f"# {line}" for line in str(library.similarity(embeddings, embeddings)).splitlines())
    given = "".join(f", {name}={text!r}" for name, text in keywords.items())
    code = f"e = model.{method}({texts!r}{given})\nr = model.similarity(e, e)\nprint(r)\n{printed}"
    (folder / "README.md").write_text(f"```python\n{code}\n```\n")
    found = outcome(folder)
    assert found is not None
    assert found.n_numbers == 4
    assert found.largest_difference < 1e-4


def test_another_pooling_than_the_one_of_the_card_is_found(base: Path, tmp_path: Path) -> None:
    folder = save_encoder(base, tmp_path / "mine")
    card = (folder / "README.md").read_text()
    save_encoder(base, folder, "max")
    (folder / "README.md").write_text(card)
    found = outcome(folder)
    assert found is not None
    assert not found.agrees
    assert not found.is_binding
    assert "differ from the 9 numbers of its README.md" in found.describe("mine")


@pytest.mark.parametrize("folder", [f for f in find_checkpoints(WEIGHTS) if "transformers" in f.parts], ids=str)
def test_shipped_models_agree_with_their_expected_answers(folder: Path) -> None:
    found = outcome(folder)
    assert found is not None
    assert (found.source, found.agrees) == ("expected.json", True)
    assert found.n_numbers > 100


def promise(folder: Path, task: str, value: Any, change: float = 0.0) -> None:
    """Write what a model computes as its expected answers, changed by a number."""
    checkpoint = read_checkpoint(folder)
    assert isinstance(checkpoint, PublishedCheckpoint)
    case = compute_answer(checkpoint, load_model(checkpoint), task, value)
    numbers = tuple(number + change for number in case.numbers)
    write_expected_answers(folder, [ExpectedAnswer(task=task, input=value, numbers=numbers)])


@pytest.mark.parametrize(
    ("architecture", "task", "value"),
    [
        ("BertModel", "encode", "b c d"),
        ("BertForSequenceClassification", "classify", {"text": "b", "text_pair": "c d"}),
        ("BertForTokenClassification", "classify_tokens", "b c d"),
        ("BertForQuestionAnswering", "answer", {"question": "b c", "context": "d e f"}),
        ("BertForMaskedLM", "score_text", "b c d"),
    ],
)
@pytest.mark.parametrize("change", [0.0, 0.01])
def test_each_task_is_compared_with_its_expected_numbers(
    tmp_path: Path, architecture: str, task: str, value: Any, change: float
) -> None:
    publish(tmp_path / "mine", architecture, transformers.BertConfig(**{**SIZE, "num_labels": 2}))
    promise(tmp_path / "mine", task, value, change)
    found = outcome(tmp_path / "mine")
    assert found is not None
    assert (found.agrees, found.is_binding, found.changed_files) == (change == 0, True, ())
    assert found.largest_difference == pytest.approx(change, abs=1e-5)


def test_expected_answers_of_other_files_do_not_bind(tmp_path: Path) -> None:
    publish(tmp_path / "mine", "BertModel", transformers.BertConfig(**SIZE))
    promise(tmp_path / "mine", "encode", "b c d", 0.01)
    config = json.loads((tmp_path / "mine/config.json").read_text())
    (tmp_path / "mine/config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    (tmp_path / "mine/added_tokens.json").write_text("{}")
    found = outcome(tmp_path / "mine")
    assert found is not None
    assert (found.agrees, found.is_binding) == (False, False)
    assert found.changed_files == ("added_tokens.json", "config.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"cases": []}, "cases must be a list of 1 to 64 objects"),
        ({"cases": [{"task": "encode"}]}, r"cases\[0\] must be an object of task, input and numbers"),
        (
            {"cases": [{"task": "encode", "input": "b", "numbers": ["a"]}]},
            r"cases\[0\].numbers must be a list of numbers",
        ),
        ({"cases": [{"task": "encode", "input": "b", "numbers": [1e39]}]}, r"cases\[0\].numbers must be finite"),
        (
            {"cases": [{"task": "dance", "input": "b", "numbers": [1]}]},
            "the task is 'dance'; such a file may have encode",
        ),
        ({"cases": [{"task": "encode", "input": {"x": 1}, "numbers": [1]}]}, r"cases\[0\]: the item is no text"),
        ({"cases": [{"task": "encode", "input": "b", "numbers": [1]}], "tolerance": 2}, "tolerance is 2; it must be"),
        (
            {"cases": [{"task": "encode", "input": "b", "numbers": [1]}], "files": [1]},
            "files must be an object of names",
        ),
        ({"cases": [{"task": "encode", "input": "b", "numbers": [10**300]}]}, r"cases\[0\].numbers must be finite"),
        ({"case": []}, "case is unknown; known are tolerance, files and cases"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_expected_answers_are_refused(base: Path, tmp_path: Path, content: Any, message: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in base.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "expected.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"mine/expected.json.*{message}"):
        outcome(folder)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("b", 'the input must be an object of "question" and "context"'),
        ({"question": "b"}, 'the input must be an object of "question" and "context"'),
        ({"question": None, "context": "b"}, "question is null; it must be a string"),
    ],
    ids=str,
)
def test_expected_answers_to_no_question_are_refused(tmp_path: Path, value: Any, message: str) -> None:
    folder = tmp_path / "mine"
    publish(folder, "BertForQuestionAnswering", transformers.BertConfig(**SIZE))
    content = {"cases": [{"task": "answer", "input": value, "numbers": [1]}]}
    (folder / "expected.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=rf"mine/expected.json: cases\[0\]: {message}"):
        outcome(folder)


def test_another_number_of_numbers_is_a_difference(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in base.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_expected_answers(folder, [ExpectedAnswer(task="encode", input="b", numbers=(0.5, 0.5))])
    found = outcome(folder)
    assert found is not None
    assert not found.agrees
    assert found.describe("mine").endswith(
        "the 2 numbers of its expected.json, in how many numbers there are, or by NaN"
    )

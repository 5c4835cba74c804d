"""`manifold check` prints what was understood of a folder, and fails where its answers are not the promised ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import check, main
from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.expected_answers import ExpectedAnswer, write_expected_answers
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.checkpoint.self_check import compute_answer
from tests.app.texts import write_text
from tests.conftest import TINY


def promise(folder: Path, change: float) -> None:
    """Write what the model computes as its expected answers, changed by a number."""
    checkpoint = read_checkpoint(folder)
    assert isinstance(checkpoint, PublishedCheckpoint)
    case = compute_answer(checkpoint, load_model(checkpoint), "encode", "b c d")
    changed = ExpectedAnswer(task="encode", input="b c d", numbers=tuple(number + change for number in case.numbers))
    write_expected_answers(folder, [changed])


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(check, [str(folder), *options])


def report_of(folder: Path) -> dict[str, Any]:
    result = run(folder, "--json")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_an_encoder_is_described(tmp_path: Path) -> None:
    folder = write_text(tmp_path, "transformers/bert", 1)
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            ]
        )
    )
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 12, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    settings = {"prompts": {"query": "q: "}, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    report = report_of(folder)
    described = {key: report[key] for key in ("family", "pooling", "embedding_width", "similarity", "prompts")}
    assert described == {
        "family": "transformers/bert",
        "pooling": ["cls", "mean"],
        "embedding_width": 24,
        "similarity": "dot",
        "prompts": {"query": "q: "},
    }
    assert (report["default_prompt_name"], report["max_tokens"], report["self_check"]) == ("query", 64, None)
    table = run(folder).stdout
    assert "cls, mean" in table
    assert "query: q:" in table


def test_an_autoencoder_is_described(weights: Path) -> None:
    report = report_of(weights / f"autoencoders/vanilla/{TINY}")
    assert (report["id"], report["modality"], report["item_shape"]) == (TINY, "image", [1, 4, 4])
    assert "reconstruct" in report["tasks"]


@pytest.mark.parametrize(("change", "exit_code"), [(0.0, 0), (0.5, 1)])
def test_the_exit_code_tells_whether_the_answers_are_the_promised_ones(
    tmp_path: Path, change: float, exit_code: int
) -> None:
    folder = write_text(tmp_path, "transformers/bert", 4)
    promise(folder, change)
    result = run(folder, "--json")
    assert result.exit_code == exit_code
    assert json.loads(result.stdout)["self_check"]["agrees"] == (change == 0)
    said = "Error: The answers of bert-4 differ from the 12 numbers of its expected.json, by at most 0.5, where 0.001"
    assert result.stderr.startswith(said if change else "")


def test_what_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    folder = write_text(tmp_path, "transformers/bert", 4)
    (folder / "model.safetensors").write_bytes(b"x")
    result = run(folder)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: bert-4/model.safetensors is not a whole safetensors file")
    assert run(tmp_path / "nowhere").exit_code == 2


def test_it_is_a_command() -> None:
    assert "check" in CliRunner().invoke(main, ["--help"]).output

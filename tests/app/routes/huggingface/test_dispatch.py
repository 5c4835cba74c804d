"""Which pipeline a body means, and the kinds of errors."""

from typing import Any

import pytest

from app.errors import InvalidRequest, TaskNotServed
from app.http.error_answers import Problem
from app.routes.huggingface.dispatch import PIPELINES, choose_pipeline, pipelines_of
from app.routes.huggingface.errors import render_error
from models.checkpoint import Checkpoint, find_checkpoints, read_checkpoint
from tests.app.server import SHIPPED

CHECKPOINTS = {folder.name: read_checkpoint(folder) for folder in find_checkpoints(SHIPPED)}
TRANSLATOR = "transformer-multi30k-en-de"
QUESTION = {"question": "Where does Anna live?", "context": "Anna lives in London."}
IMAGE = "iVBORw0KGgo="


@pytest.mark.parametrize(
    ("model", "values", "pipeline"),
    [
        ("bert-mini-en", {"inputs": "The [MASK] ran."}, "fill-mask"),
        ("roberta-mini-en", {"inputs": ["A dog.", "The <mask> ran."]}, "fill-mask"),
        ("bert-mini-en", {"inputs": "The <mask> ran."}, "feature-extraction"),
        ("bert-mini-en", {"inputs": "The [MASK] ran.", "normalize": True}, "feature-extraction"),
        ("bert-mini-en", {"inputs": "The dog ran.", "parameters": {"top_k": 2}}, "fill-mask"),
        ("bert-mini-en", {"inputs": "The dog ran.", "parameters": {"top_k": None}}, "feature-extraction"),
        ("bert-mini-en", {"inputs": "The dog ran.", "parameters": {"unknown": 2}}, "fill-mask"),
        ("bert-mini-en", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, "sentence-similarity"),
        ("bert-sst2-en", {"inputs": "good"}, "text-classification"),
        ("bert-sst2-en", {"inputs": [{"text": "good", "text_pair": "bad"}]}, "text-classification"),
        ("bert-sst2-en", {"inputs": "good", "dimensions": 4}, "feature-extraction"),
        ("bert-ner-en", {"inputs": "Anna"}, "token-classification"),
        ("bert-qa-en", {"inputs": QUESTION}, "question-answering"),
        ("bert-qa-en", {"inputs": "Anna"}, "feature-extraction"),
        ("gpt-mini-en", {"inputs": "Once"}, "text-generation"),
        ("gpt-mini-en", {"inputs": ["Once", "Twice"]}, "feature-extraction"),
        (TRANSLATOR, {"inputs": "A man."}, "translation"),
        (TRANSLATOR, {"inputs": "A man.", "parameters": {"max_new_tokens": 4}}, "text-generation"),
        (TRANSLATOR, {"inputs": "A man.", "stream": True}, "text-generation"),
        ("denoising-ae-mnist", {"inputs": b"\x89PNG"}, "image-classification"),
        ("denoising-ae-mnist", {"inputs": IMAGE, "parameters": {"prompt": "denoise"}}, "image-to-image"),
        ("conv-ae-mnist", {"inputs": IMAGE}, "image-to-image"),
    ],
)
def test_the_form_of_the_inputs_and_the_fields_decide(model: str, values: dict[str, Any], pipeline: str) -> None:
    assert choose_pipeline(values, CHECKPOINTS[model], wants_picture=False).name == pipeline


def test_a_client_that_wants_an_image_gets_one() -> None:
    values, checkpoint = {"inputs": b"\x89PNG"}, CHECKPOINTS["denoising-ae-mnist"]
    assert choose_pipeline(values, checkpoint, wants_picture=True).name == "image-to-image"
    given = {"inputs": IMAGE, "parameters": {"top_k": 1}}
    assert choose_pipeline(given, checkpoint, wants_picture=True).name == "image-classification"


@pytest.mark.parametrize(
    ("model", "inputs", "error", "message"),
    [
        ("bert-mini-en", None, InvalidRequest, "feature-extraction takes a text or a list of texts"),
        ("bert-mini-en", ["a", 1], InvalidRequest, "/inputs: no pipeline"),
        ("bert-mini-en", {"question": "a"}, InvalidRequest, "/inputs: no pipeline"),
        ("gru-ae-ecg", [1, 2], TaskNotServed, "serves no pipeline: its items are series"),
    ],
)
def test_inputs_that_no_pipeline_takes(model: str, inputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        choose_pipeline({"inputs": inputs}, CHECKPOINTS[model], wants_picture=False)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_the_first_pipeline_of_a_model_is_what_it_was_trained_for(checkpoint: Checkpoint) -> None:
    names = [pipeline.name for pipeline in pipelines_of(checkpoint)]
    if checkpoint.modality in ("series", "sentence", "audio"):
        assert names == []
    elif checkpoint.modality == "text":
        assert {"sentence-similarity", "feature-extraction"} <= set(names)
        has_only_vectors = checkpoint.name == "sentence-mini-en"
        assert (names[0] == "sentence-similarity") == has_only_vectors
    else:
        assert names[-1] == "image-to-image"


def test_no_two_pipelines_have_one_name() -> None:
    assert len({pipeline.name for pipeline in PIPELINES}) == len(PIPELINES)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "overloaded"), (503, "overloaded"), (500, "generation"), (504, "generation"), (401, None)],
)
def test_errors_have_the_kinds_that_clients_know(status: int, kind: str | None) -> None:
    answered, content = render_error(Problem(name="Any", status=status, detail="why"))
    assert (answered, content) == (status, {"error": "why", **({"error_type": kind} if kind else {})})

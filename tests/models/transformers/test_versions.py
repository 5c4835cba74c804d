"""Every checkpoint of texts in the repository answers alike here, in transformers 4 and 5 and in their pipelines."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from sentence_transformers import SentenceTransformer

from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.text.embedding import vectors
from models.text.text_model import TextModel
from tests.models.transformers import pipelines
from tests.models.transformers.version_4 import ROOT, ask_version_4

pytestmark = pytest.mark.timeout(300)  # all models are loaded twice, in another process as well
TOLERANCE = 1e-4
FOLDERS = {
    folder.name: folder
    for folder in find_checkpoints(ROOT / "weights")
    if isinstance(read_checkpoint(folder), PublishedCheckpoint)
}

Answers = Mapping[str, Any]


@pytest.fixture(scope="module")
def version_4(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return ask_version_4(tmp_path_factory.mktemp("version-4"), FOLDERS, with_models=True)


@pytest.fixture(scope="module")
def version_5() -> Answers:
    return pipelines.ask({name: str(folder) for name, folder in FOLDERS.items()}, with_models=True)


def encodings(folder: Path) -> list[Any]:
    codec = cast("PublishedCheckpoint", read_checkpoint(folder)).codec
    encoded = [codec.encode(*texts) for texts in pipelines.TEXTS]
    return [[tokens.ids.tolist(), tokens.type_ids.tolist()] for tokens in encoded]


@pytest.mark.parametrize("name", FOLDERS)
def test_both_versions_encode_and_answer_alike(version_4: Answers, version_5: Answers, name: str) -> None:
    assert version_4[name]["encodings"] == version_5[name]["encodings"] == encodings(FOLDERS[name])
    assert_alike(version_4[name]["answer"], version_5[name]["answer"])


def assert_alike(mine: Any, theirs: Any) -> None:
    """Compare answers: texts and places exactly, numbers as far as they are computed in float32."""
    if isinstance(mine, dict):
        expected = {str(key): value for key, value in theirs.items()}
        assert {str(key): value for key, value in mine.items()} == pytest.approx(expected, abs=TOLERANCE)
    elif isinstance(mine, list) and all(isinstance(value, float) for value in mine):
        assert mine == pytest.approx(theirs, abs=TOLERANCE)
    else:
        assert mine == theirs


def test_the_sentence_encoder_gives_the_vectors_of_sentence_transformers() -> None:
    folder = FOLDERS["sentence-mini-en"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = SentenceTransformer(str(folder), device="cpu").encode([texts[0] for texts in pipelines.TEXTS])
    checkpoint = cast("PublishedCheckpoint", read_checkpoint(folder))
    tokens = [checkpoint.codec.encode(texts[0]) for texts in pipelines.TEXTS]
    mine = vectors(cast("TextModel", load_model(checkpoint)), tokens)
    torch.testing.assert_close(mine, torch.as_tensor(theirs), rtol=TOLERANCE, atol=TOLERANCE)

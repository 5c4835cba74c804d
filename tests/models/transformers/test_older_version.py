"""Models of families without a shipped checkpoint answer alike in versions 4 and 5 of transformers, and so here.

That ours are those of version 5 is tested by `test_encoders.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.models.transformers import pipelines
from tests.models.transformers.reference import publish
from tests.models.transformers.test_encoders import config_of
from tests.models.transformers.test_versions import assert_alike
from tests.models.transformers.version_4 import ask_version_4

pytestmark = pytest.mark.timeout(300)  # another process imports the other version
NAMES = [
    f"{family}{head}"
    for family in ("DistilBert", "MPNet", "Electra")
    for head in ("Model", "ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering")
]
BERT = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
MPNET = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "mask_token": "<mask>"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for name in NAMES:
        family = next(family for family in ("DistilBert", "MPNet", "Electra") if name.startswith(family))
        folder = found[name] = tmp_path_factory.mktemp(name)
        publish(folder, name, config_of(family, name.removeprefix(family), "deep"))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
        settings |= MPNET if family == "MPNet" else BERT
        inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * (family == "Electra")
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_input_names": inputs}))
    return found


@pytest.fixture(scope="module")
def version_4(folders: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return ask_version_4(tmp_path_factory.mktemp("version-4"), folders, with_models=True)


@pytest.mark.parametrize("name", NAMES)
def test_both_versions_answer_alike(folders: Mapping[str, Path], version_4: Mapping[str, Any], name: str) -> None:
    theirs = pipelines.ask({name: str(folders[name])}, with_models=True)[name]
    assert "error" not in theirs
    assert_alike(version_4[name]["answer"], theirs["answer"])

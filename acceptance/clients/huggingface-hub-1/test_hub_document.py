"""The snippet for `huggingface_hub` in the document about dialects, as it stands but for the address."""

import os
import re
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs/dialects.md").read_text()


def test_the_snippet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    section = DOCUMENT.partition("\n## Hugging Face\n")[2].partition("\n## ")[0]
    code = next(code for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL) if "InferenceClient" in code)
    exec(code.replace("http://localhost:8000", os.environ["MANIFOLD_URL"]), {})  # noqa: S102 that is what is tested
    sequence, answer, shape, *generated = capsys.readouterr().out.splitlines()
    assert sequence.endswith("was born in 1950.")
    assert (answer, shape[:4]) == ("London", "(2, ")
    assert generated

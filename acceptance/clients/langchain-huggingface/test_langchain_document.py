"""The snippet for `langchain-huggingface` in the document about dialects, as it stands but for the address."""

import os
import re
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).parents[3] / "docs/dialects.md").read_text()


def test_the_snippet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [
        code for code in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL) if "HuggingFaceEndpoint" in code
    ]
    exec(code.replace("http://localhost:8000", os.environ["MANIFOLD_URL"]), {})  # noqa: S102 that is what is tested
    assert capsys.readouterr().out.strip()

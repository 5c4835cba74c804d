"""What the document about dialects shows runs as it stands."""

import os
import re
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).parents[3] / "docs/dialects.md").read_text()
SNIPPETS = [
    code for code in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL) if "from langchain_openai import" in code
]


def test_the_snippet_of_the_document_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = SNIPPETS
    exec(code.replace("http://localhost:8000", os.environ["MANIFOLD_URL"]), {})  # noqa: S102 that is what is tested
    number, _, text = capsys.readouterr().out.partition("\n" if "stream" in code else " ")
    assert int(number.split()[0]) == 256
    assert text.strip()

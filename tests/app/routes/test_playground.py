"""The page at the root of the server."""

from pathlib import Path

import pytest

from app.routes import documentation
from app.settings import Settings
from tests.conftest import served

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("is_built", [True, False])
async def test_it_links_to_the_guide_if_there_is_one(
    is_built: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(documentation.FOLDERS, "/docs/guide", tmp_path if is_built else tmp_path / "nowhere")
    async with served(Settings(weights_dir=tmp_path), wait=False) as client:
        answer = await client.get("/")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert ("/docs/guide/" in answer.text) == is_built
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for script in ("theme.js", "main.js", "panels/digits.js"):
            answer = await client.get(f"/static/playground/{script}")
            assert (answer.status_code, "javascript" in answer.headers["content-type"]) == (200, True)

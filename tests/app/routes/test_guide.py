"""The guide is served from the folder that it is built into, and its pages run no scripts but their own."""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.routes import documentation
from app.settings import Settings
from tests.conftest import served

pytestmark = pytest.mark.anyio

SCRIPT = "document.title = 'x'"
PAGES = {
    "index.html": f"<title>Manifold</title><script>{SCRIPT}</script>",
    "settings/index.html": "<title>Settings</title>",
    "site.css": "p {}",
    "search.js": "0",
    "search/index.json": "{}",
    "picture.svg": "<svg/>",
}


@pytest.fixture
async def guide(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that has a small guide."""
    for name, content in PAGES.items():
        (tmp_path / "guide" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "guide" / name).write_text(content)
    (tmp_path / "secret.html").write_text("secret")
    monkeypatch.setitem(documentation.FOLDERS, "/docs/guide", tmp_path / "guide")
    async with served(Settings(weights_dir=weights), wait=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "name", "content_type"),
    [
        ("", "index.html", "text/html; charset=utf-8"),
        ("index.html", "index.html", "text/html; charset=utf-8"),
        ("settings/", "settings/index.html", "text/html; charset=utf-8"),
        ("site.css", "site.css", "text/css; charset=utf-8"),
        ("search.js", "search.js", "text/javascript; charset=utf-8"),
        ("search/index.json", "search/index.json", "application/json"),
        ("picture.svg", "picture.svg", "image/svg+xml"),
    ],
)
async def test_pages_and_files_have_their_types(
    guide: httpx.AsyncClient, path: str, name: str, content_type: str
) -> None:
    answer = await guide.get(f"/docs/guide/{path}")
    assert (answer.status_code, answer.text) == (200, PAGES[name])
    assert answer.headers["content-type"] == content_type
    head = await guide.head(f"/docs/guide/{path}")
    assert (head.status_code, head.text, head.headers["etag"]) == (200, "", answer.headers["etag"])


@pytest.mark.parametrize(
    ("path", "place"), [("/docs/guide", "/docs/guide/"), ("/docs/guide/settings", "/docs/guide/settings/")]
)
async def test_a_page_without_its_slash_is_redirected_within_the_server(
    guide: httpx.AsyncClient, path: str, place: str
) -> None:
    answer = await guide.get(path, headers={"host": "elsewhere.example"})
    assert answer.status_code == 307
    assert "//" not in answer.headers["location"]
    assert answer.next_request is not None
    assert answer.next_request.url.path == place


async def test_pages_run_no_script_but_their_own(guide: httpx.AsyncClient) -> None:
    policies = [
        (await guide.get(f"/docs/guide/{path}")).headers["content-security-policy"] for path in ("", "settings/")
    ]
    own, other = (dict(part.split(" ", 1) for part in policy.split("; ")) for policy in policies)
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert own == documentation.FILE_POLICY | {"script-src": f"'self' 'sha256-{digest}'"}
    assert other == documentation.FILE_POLICY
    assert "unsafe" not in " ".join(policies)


async def test_a_page_that_has_changed_has_a_new_policy(guide: httpx.AsyncClient) -> None:
    before = await guide.get("/docs/guide/")
    (documentation.FOLDERS["/docs/guide"] / "index.html").write_text("<script>another script</script>")
    after = await guide.get("/docs/guide/")
    digest = base64.b64encode(hashlib.sha256(b"another script").digest()).decode()
    assert f"'sha256-{digest}'" in after.headers["content-security-policy"]
    assert after.headers["content-security-policy"] != before.headers["content-security-policy"]


async def test_what_the_browser_has_is_not_sent_again(guide: httpx.AsyncClient) -> None:
    etag = (await guide.get("/docs/guide/")).headers["etag"]
    assert (await guide.get("/docs/guide/", headers={"if-none-match": etag})).status_code == 304


@pytest.mark.parametrize(
    "path",
    ["nowhere/", "nowhere.css", "../secret.html", "%2e%2e/secret.html", "..%2fsecret.html", "/etc/passwd", "a%00"],
)
async def test_there_is_nothing_but_the_files_of_the_folder(guide: httpx.AsyncClient, path: str) -> None:
    answer = await guide.get(f"/docs/guide/{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown-route")
    assert "secret" not in answer.text.replace(path, "").replace("/secret.html", "")


async def test_a_guide_that_is_not_built_says_how_to_build_it(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(documentation.FOLDERS, "/docs/guide", tmp_path / "nowhere")
    async with served(Settings(weights_dir=weights), wait=False) as client:
        for path in ("/docs/guide/", "/docs/guide/settings/"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown-route")
            assert "make docs" in answer.json()["detail"]
        assert (await client.get("/static/docs/favicon.png")).status_code == 200

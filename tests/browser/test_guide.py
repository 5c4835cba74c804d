"""The guide as `make docs` builds it leaves nothing out, loads nothing from elsewhere, and has a search that finds."""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect
from prometheus_client.metrics_core import Metric

from app.cli import main
from app.http.access_rules import Access, access_of
from app.http.error_answers import error_slug
from app.http.problems import STATUS
from app.main import create_app
from app.routes import documentation
from app.settings import Settings
from models.catalogue import families
from tests.app.cli.conftest import running
from tests.app.server import SHIPPED
from tests.browser.conftest import View, visit_with

ROOT = Path(__file__).parents[2]
PATH = "/docs/guide/"
LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "object": "data",
    "use": "href",
}
"""Elements that load something, and the attribute that says what."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide, which the strict build has built without a warning."""
    folder = tmp_path_factory.mktemp("guide")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def texts(built: Path) -> str:
    """All texts that the search knows, without their markup."""
    entries = json.loads((built / "search/search_index.json").read_text())["docs"]
    return html.unescape(re.sub(r"<[^>]*>", "", "\n".join(f"{entry['title']}\n{entry['text']}" for entry in entries)))


class Page(HTMLParser):
    """What a page loads, and where its links lead."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.styles: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a" or values.get("rel") in ("prev", "next"):
            self.links.append(values.get("href", ""))
        elif tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])
        if "style" in values or tag == "style":
            self.styles.append(self.get_starttag_text() or "")


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, Page]:
    """The pages by their paths on the server."""
    paths = sorted(built.rglob("*.html"))
    assert len(paths) > 70
    return {PATH + path.relative_to(built).as_posix().removesuffix("index.html"): Page(path) for path in paths}


def test_pages_load_nothing_from_elsewhere_and_all_that_they_load_is_there(built: Path, pages: dict[str, Page]) -> None:
    for place, page in pages.items():
        assert page.loaded
        for named in page.loaded:
            target = urlsplit(urljoin(f"http://server{place}", named))
            assert target.netloc == "server", (place, named)
            assert (built / unquote(target.path).removeprefix(PATH)).is_file(), (place, named)
        assert page.styles == [], place  # their policy allows none
    for path in built.rglob("*.css"):
        for named in re.findall(r"url\(([^)]*)\)|@import ([^;]*);", path.read_text()):
            address = "".join(named).strip("'\"")
            assert address.startswith(("data:", "#")) or (path.parent / address).is_file(), path


def test_links_between_pages_lead_somewhere(built: Path, pages: dict[str, Page]) -> None:
    for place, page in pages.items():
        for link in page.links:
            target = urlsplit(urljoin(f"http://server{place}", link))
            if target.netloc == "server":
                assert target.path in pages or (built / target.path.removeprefix(PATH)).is_file(), (place, link)


def test_pages_and_files_are_public(built: Path) -> None:
    for path in built.rglob("*"):
        place = PATH + path.relative_to(built).as_posix().removesuffix("index.html")
        assert access_of({"path": place, "method": "GET"}) is Access.PUBLIC, place


def test_formulas_are_mathml(built: Path) -> None:
    for path in built.rglob("*.html"):
        assert "arithmatex" not in path.read_text(), path
    for family in families():
        page = (built / "models" / family / "index.html").read_text()
        readme = (ROOT / "models" / family / "README.md").read_text()
        assert page.count("<math") == len(re.findall(r"\$\$?[^$]+\$\$?", readme))


def test_every_family_and_every_checkpoint_has_a_page(built: Path) -> None:
    overview = (ROOT / "docs/families.md").read_text()
    for family in families():
        assert f"(../models/{family}/README.md)" in overview
        assert (built / "models" / family / "index.html").is_file()
    for card in SHIPPED.glob("*/*/*/README.md"):
        assert (built / "weights" / card.parent.relative_to(SHIPPED) / "index.html").is_file()


def test_everything_that_users_may_set_call_or_get_is_found(texts: str, exposed: list[Metric]) -> None:
    for name in Settings.model_fields:
        assert f"MANIFOLD_{name.upper()}" in texts
    for path, operations in create_app(Settings()).openapi()["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in texts
    for error in STATUS:
        assert error_slug(error.__name__) in texts
    for family in exposed:
        assert family.name + ("_total" if family.type == "counter" else "") in texts
    with main.make_context("manifold", ["--help"], resilient_parsing=True) as context:
        for command in main.list_commands(context):
            assert f"manifold {command}" in texts


@pytest.fixture(scope="module")
def url(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has the guide, and no models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(documentation.FOLDERS, "/docs/guide", built)
        with running(Settings(weights_dir=tmp_path_factory.mktemp("weights"))) as address:
            yield address


def test_the_server_shows_every_page(url: str, pages: dict[str, Page]) -> None:
    with httpx.Client(base_url=url) as client:
        for place in pages:
            answer = client.get(place)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "'sha256-" in answer.headers["content-security-policy"]
        assert client.get(f"{PATH}search/search_index.json").json()["docs"]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_setting_is_found_and_nothing_is_asked_of_others(chromium: Browser, url: str, colours: str) -> None:
    for visit in visit_with(View(colours, 1200, 1400), chromium, url):
        page = visit.page
        page.goto(f"{url}{PATH}")
        scheme = {"light": "default", "dark": "slate"}[colours]
        expect(page.locator("body")).to_have_attribute("data-md-color-scheme", scheme)
        search = page.get_by_role("textbox", name="Search")
        for words in ("--max-queue-items", "MANIFOLD_MAX_QUEUE_ITEMS"):
            search.fill("")
            search.press_sequentially(words)
            found = page.locator(".md-search-result__link[href*='/guide/settings/']")
            expect(found.first).to_be_visible(timeout=20_000)
        page.locator(".md-search-result__link[href*='/guide/settings/'][href$='#limits']").click()
        expect(page.get_by_role("heading", name="Limits")).to_be_in_viewport()
        page.goto(f"{url}{PATH}models/transformers/bert/")
        expect(page.locator("math").first).to_be_visible()
        page.get_by_title("Show in ").locator("visible=true").first.click()
        expect(page.locator("body")).not_to_have_attribute("data-md-color-scheme", scheme)


def test_a_card_plays_its_sounds(chromium: Browser, url: str) -> None:
    for visit in visit_with(View("light", 1200, 1400), chromium, url):
        visit.page.goto(f"{url}{PATH}weights/autoencoders/encodec/encodec-mini-digits/")
        players = visit.page.locator("audio")
        expect(players).to_have_count(4)
        for player in players.all():
            seconds = player.evaluate(
                """audio => new Promise((resolve, reject) => {
                    audio.onloadedmetadata = () => resolve(audio.duration);
                    audio.onerror = () => reject(audio.error.message);
                    audio.preload = "metadata";
                    audio.load();
                })"""
            )
            assert 2 < seconds < 8

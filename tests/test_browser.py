"""The documentation pages in a real browser that can reach nothing but the server."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect, sync_playwright

from app.routes.examples import EXAMPLES
from tests.app.server import Served, serve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("browser")) as served:
        yield served


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser.new_page(viewport={"width": 1200, "height": 1400})
        browser.close()


@pytest.fixture
def strangers(server: Served, page: Page) -> Iterator[list[str]]:
    """Whatever the page asks of anyone but the server."""
    asked: list[str] = []

    def watch(request: Request) -> None:
        if not request.url.startswith((server.url, "data:", "blob:")):
            asked.append(request.url)

    page.on("request", watch)
    yield asked
    page.remove_listener("request", watch)


@pytest.mark.parametrize("task", EXAMPLES)
def test_every_example_in_docs_executes(server: Served, page: Page, strangers: list[str], task: str) -> None:
    page.goto(f"{server.url}/docs")
    operation = page.locator(f"[id^='operations-'][id$='-{task}_{task}_post']").first  # some stand under both kinds
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table td.response-col_status").last
    expect(answer).to_contain_text("200", timeout=15_000)
    expect(operation.locator(".live-responses-table")).to_contain_text(EXAMPLES[task][0]["model"])
    assert strangers == []


def test_redoc_renders(server: Served, page: Page, strangers: list[str]) -> None:
    page.goto(f"{server.url}/redoc")
    expect(page.get_by_role("heading", name="Manifold")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("Map items to latents and back.").first).to_be_visible()
    assert strangers == []

"""A server with every shipped checkpoint, and a browser that shows its page on a desktop and on a phone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.app.server import Served, serve

CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    "--use-fake-device-for-media-stream",  # a microphone that beeps
]
TIMEOUT_MS = 20_000


@dataclass(frozen=True)
class View:
    """How the browser shows a page."""

    theme: str
    width: int
    height: int


VIEWS = {"light": View("light", 1280, 900), "dark phone": View("dark", 375, 812)}


@dataclass(frozen=True)
class Visit:
    """A visit of the page: `faults` are errors in the console, and requests to anyone but the server."""

    page: Page
    url: str
    faults: list[str]

    def open(self, panel: str) -> None:
        """Show a panel, given as what follows "#" in the URL, and wait until it is built."""
        self.page.goto(f"{self.url}/#{panel}")
        expect(self.page.locator(f"#panel-{panel.partition('?')[0]}")).to_have_attribute(
            "data-shown", "true", timeout=TIMEOUT_MS
        )

    def check_accessibility(self) -> None:
        """Assert that axe finds no serious violation on the page as it is."""
        found = Axe().run(self.page).response["violations"]
        serious = [
            (each["id"], each["help"], [node["html"] for node in each["nodes"]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == []

    def check_width(self) -> None:
        """Assert that the page does not scroll sideways."""
        assert self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@pytest.fixture(scope="session")
def own_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the models that are fitted by the server."""
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, own_checkpoints: Path) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("playground"), "--checkpoints-dir", str(own_checkpoints)) as served:
        yield served


@pytest.fixture(scope="module")  # while it is open, an event loop runs in this thread, which other tests may not have
def chromium() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=VIEWS)
def visit(request: pytest.FixtureRequest, chromium: Browser, server: Served) -> Iterator[Visit]:
    """A visit with each of `VIEWS`, which fails at its end if there was an error or a request off the server."""
    view = VIEWS[request.param]
    yield from visit_with(view, chromium, server.url)


def visit_with(view: View, chromium: Browser, url: str) -> Iterator[Visit]:
    """A visit that fails at its end if there was an error in the console, or a request to anyone but the server."""
    context = chromium.new_context(
        viewport={"width": view.width, "height": view.height},
        color_scheme=view.theme,  # type: ignore[arg-type] # its names are those of Playwright
    )
    context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"], origin=url)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    visited = Visit(page, url, [])

    def watch_request(request: Request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            visited.faults.append(f"request to {request.url}")

    def watch_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            visited.faults.append(message.text)

    page.on("request", watch_request)
    page.on("console", watch_console)
    page.on("pageerror", lambda error: visited.faults.append(str(error)))
    yield visited
    context.close()
    assert visited.faults == []

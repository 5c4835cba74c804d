"""A real browser that can reach nothing but the server."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, path: str, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page, and whatever it asks of anyone but the server, is refused by its content policy, or reports as an error.

    `options` are those of a page of Playwright.
    """
    page = browser.new_page(viewport={"width": 1200, "height": 1400}, **options)
    faults: list[str] = []

    def watch(request: Request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            faults.append(request.url)

    def listen(said: ConsoleMessage) -> None:
        if said.type == "error":
            faults.append(said.text)

    page.on("request", watch)
    page.on("console", listen)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{url}{path}")
    yield page, faults
    page.close()

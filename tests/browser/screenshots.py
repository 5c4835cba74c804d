"""Draws the pictures of the page for the README and the guide: `make screenshots`.

`made-of.txt` beside them has a digest of the files of the page, so that a test sees when they are of another version.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.app.server import serve
from tests.browser.conftest import CHROMIUM, FLAGS, TIMEOUT_MS, View, visit_with

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "screenshots"
PAGE = ROOT / "app" / "static" / "playground"
DIGEST = FOLDER / "made-of.txt"
VIEW = View("light", 1180, 760)


def draw_digits(page: Page) -> None:
    """Choose an example with noise, which every model cleans."""
    page.get_by_role("button", name="5", exact=True).click()
    expect(page.locator("#panel-digits .card").last).to_contain_text("PSNR")


def show_map(page: Page) -> None:
    """Put the cursor among the digits of the map."""
    expect(page.get_by_text("Nearest digits")).to_be_visible()


def show_attention(page: Page) -> None:
    """Wait for the links between the tokens."""
    expect(page.get_by_text(re.compile(r"Answered in \d+"))).to_be_visible()


SHOWN: dict[str, tuple[str, Callable[[Page], None]]] = {
    "digits": ("digits?noise=0.3", draw_digits),
    "latent": ("latent", show_map),
    "texts": ("texts?part=attention", show_attention),
}
"""By the name of the picture: the panel, and what is done in it before."""


def digest_of_page() -> str:
    """Return a digest of the names and the contents of all files of the page."""
    digest = hashlib.sha256()
    for path in sorted(path for path in PAGE.rglob("*") if path.is_file()):
        digest.update(path.relative_to(PAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Draw all pictures, and note what they are made of."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, (panel, prepare) in SHOWN.items():
            for visit in visit_with(VIEW, browser, server.url):
                visit.open(panel)
                prepare(visit.page)
                visit.page.wait_for_load_state("networkidle", timeout=TIMEOUT_MS)
                visit.page.screenshot(path=FOLDER / f"{name}.png")
        browser.close()
    DIGEST.write_text(digest_of_page() + "\n")


if __name__ == "__main__":
    main()

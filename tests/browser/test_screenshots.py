"""The pictures in the documents are of the page as it is."""

import re

import pytest
from PIL import Image

from tests.browser.screenshots import DIGEST, FOLDER, ROOT, SHOWN, VIEW, digest_of_page


def test_the_pictures_are_of_this_version() -> None:
    assert DIGEST.read_text().strip() == digest_of_page(), "the page has changed: run `make screenshots`"


@pytest.mark.parametrize("name", SHOWN)
def test_each_picture_shows_a_panel(name: str) -> None:
    with Image.open(FOLDER / f"{name}.png") as picture:
        assert picture.size == (VIEW.width, VIEW.height)
        assert len(picture.convert("RGB").getcolors(2**24) or ()) > 50


def test_the_readme_shows_three() -> None:
    shown = re.findall(r"docs/screenshots/(\w+)\.png", (ROOT / "README.md").read_text())
    assert len(set(shown)) == 3
    assert set(shown) <= set(SHOWN)

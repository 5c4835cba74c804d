"""Digits of MNIST, drawn anywhere on the page, in any size and in either colour, are classified right."""

import os
from pathlib import Path

import pytest

from benchmarks.server.drawings import first_digits, measure
from tests.app.server import serve

FOLDER = os.environ.get("DATA", "")
N_DIGITS, SEED = 500, 0
LEAST_SHARE = 0.97


@pytest.mark.skipif(not FOLDER, reason="the variable DATA names no folder with the data set `mnist`")
@pytest.mark.timeout(600)
def test_digits_that_are_drawn_on_the_page_are_classified_right(tmp_path: Path) -> None:
    pixels, labels = first_digits(Path(FOLDER), N_DIGITS)
    with serve(tmp_path) as server:
        accuracy = measure(server.url, pixels, labels, SEED).accuracy
    assert {name: share for name, share in accuracy.items() if share < 0.94} == {}
    assert max(accuracy.values()) >= LEAST_SHARE

"""The documentation pages in a real browser that can reach nothing but the server."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.schemas.catalogue import task_endpoints
from tests.app.server import Served, serve
from tests.app.tables import ROWS, write_rows
from tests.browsing import CHROMIUM, launched, opened

EXAMPLES = {endpoint.name: endpoint.examples for endpoint in task_endpoints()}

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("browser")) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def docs(browser: Browser, server: Served) -> Iterator[tuple[Page, list[str]]]:
    with opened(browser, server.url, "/docs") as its:
        yield its


@pytest.mark.parametrize("task", EXAMPLES)
def test_every_example_in_docs_executes(docs: tuple[Page, list[str]], task: str) -> None:
    page, strangers = docs
    operation = page.locator(f"[id^='operations-'][id$='-{task}']").first  # some stand under both kinds
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table td.response-col_status").last
    expect(answer).to_contain_text("200", timeout=15_000)
    expect(operation.locator(".live-responses-table")).to_contain_text(EXAMPLES[task][0]["model"])
    operation.locator(".opblock-summary").click()  # closes it: the page stays as small as it was
    assert strangers == []


def test_the_example_of_a_model_of_rows_executes(browser: Browser, tmp_path: Path) -> None:
    write_rows(tmp_path / "weights")
    with (
        serve(tmp_path, weights=tmp_path / "weights") as server,
        opened(browser, server.url, "/docs") as (page, strangers),
    ):
        operation = page.locator("[id^='operations-'][id$='-detect_anomalies']")
        operation.locator(".opblock-summary").click()
        operation.locator(".opblock-body select.examples-select-element").first.select_option(ROWS)
        expect(operation.locator("textarea")).to_have_value(re.compile(f'"model": "{ROWS}".*"flow": 0.5', re.DOTALL))
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table")
        expect(answer.locator("td.response-col_status").last).to_contain_text("200", timeout=15_000)
        expect(answer).to_contain_text("contributions")
        assert strangers == []


def test_redoc_renders(browser: Browser, server: Served) -> None:
    with opened(browser, server.url, "/redoc") as (page, strangers):
        expect(page.get_by_role("heading", name="Manifold")).to_be_visible(timeout=15_000)
        expect(page.get_by_text("Maps items to latents and back.").first).to_be_visible()
        assert strangers == []

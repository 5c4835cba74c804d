"""The documentation pages in a real browser that can reach nothing but the server."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.schemas.catalogue import task_endpoints
from tests.app.server import Served, serve
from tests.app.tables import ROWS, write_rows
from tests.browser.conftest import View, visit_with

EXAMPLES = {endpoint.name: endpoint.examples for endpoint in task_endpoints()}
VIEW = View("light", 1200, 1400)


@contextmanager
def opened(chromium: Browser, server: Served, path: str) -> Iterator[Page]:
    for visit in visit_with(VIEW, chromium, server.url):
        visit.page.goto(f"{server.url}{path}")
        yield visit.page


@pytest.fixture(scope="module")
def docs(chromium: Browser, server: Served) -> Iterator[Page]:
    with opened(chromium, server, "/docs") as page:
        yield page


@pytest.mark.parametrize("task", EXAMPLES)
def test_every_example_in_docs_executes(docs: Page, task: str) -> None:
    operation = docs.locator(f"[id^='operations-'][id$='-{task}']").first  # some stand under both kinds
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table td.response-col_status").last
    expect(answer).to_contain_text("200", timeout=15_000)
    expect(operation.locator(".live-responses-table")).to_contain_text(EXAMPLES[task][0]["model"])
    operation.locator(".opblock-summary").click()  # closes it: the page stays as small as it was


def test_the_example_of_a_model_of_rows_executes(chromium: Browser, tmp_path: Path) -> None:
    write_rows(tmp_path / "weights")
    with serve(tmp_path, weights=tmp_path / "weights") as server, opened(chromium, server, "/docs") as page:
        operation = page.locator("[id^='operations-'][id$='-detect_anomalies']")
        operation.locator(".opblock-summary").click()
        operation.locator(".opblock-body select.examples-select-element").first.select_option(ROWS)
        expect(operation.locator("textarea")).to_have_value(re.compile(f'"model": "{ROWS}".*"flow": 0.5', re.DOTALL))
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table")
        expect(answer.locator("td.response-col_status").last).to_contain_text("200", timeout=15_000)
        expect(answer).to_contain_text("contributions")


def test_redoc_renders(chromium: Browser, server: Served) -> None:
    with opened(chromium, server, "/redoc") as page:
        expect(page.get_by_role("heading", name="Manifold")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("Maps items to latents or codes, and back.").first).to_be_visible()

"""The panel of a person's own data: a file is found out, a model fitted to it, and its rows are scored."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app.fitting import MINUTES, SERIES_MINUTES, series_csv, table_csv
from tests.browser.conftest import Visit

pytestmark = pytest.mark.timeout(400)  # since a fit stands back behind whatever else the machine does
LOOK_TIMEOUT_MS, FIT_TIMEOUT_MS = 60_000, 150_000
"""Longest times to find out what a file holds, and to fit a model."""


def file_of(name: str, text: str) -> dict[str, object]:
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode()}


def open_file(page: Page, name: str, text: str) -> None:
    field = page.get_by_label("File of rows, whose first line names the columns")
    field.set_input_files(file_of(name, text))  # type: ignore[arg-type] # a file that is none on disk


def row_of(page: Page, column: str) -> Locator:
    region = page.get_by_role("region", name="Columns of the file")
    return region.get_by_role("row").filter(has=page.get_by_text(column, exact=True))


def unload(visit: Visit, name: str) -> None:
    httpx.post(f"{visit.url}/models/{name}/unload", timeout=60)


def test_a_table_is_found_out_fitted_and_scored(visit: Visit) -> None:
    visit.open(f"data?minutes={MINUTES}")
    page = visit.page
    text = table_csv(150)
    lines = [f"{line},{'note' if number == 0 else f'text {number}'}" for number, line in enumerate(text.splitlines())]
    open_file(page, "orders 2026.csv", "\n".join(lines))
    expect(page.get_by_role("alert").first).to_contain_text(
        "text cannot be learnt from, and is in 'note'", timeout=LOOK_TIMEOUT_MS
    )
    assert all("status of 422" in fault for fault in visit.faults)  # which the browser tells of in its console
    visit.faults.clear()
    page.get_by_label("Use note").uncheck()
    found = page.get_by_text("A table of 150 rows without order, of which a model sees 4 columns.")
    expect(found).to_be_visible(timeout=LOOK_TIMEOUT_MS)
    expect(row_of(page, "site")).to_contain_text("category, 3 values")
    expect(row_of(page, "amount")).to_contain_text("number")
    expect(row_of(page, "note")).to_contain_text("left out: as asked")
    expect(page).to_have_url(re.compile("ignore=note"))
    expect(page.get_by_label("Name of the model")).to_have_value("orders-2026")
    page.get_by_label("Replace a model of this name").check()
    page.get_by_role("button", name="Fit a model").click()
    expect(page.get_by_role("progressbar", name="Progress of the fit")).to_be_visible()
    expect(page.get_by_role("region", name="Result of the fit")).to_contain_text("threshold", timeout=FIT_TIMEOUT_MS)
    page.get_by_text("Card and charts of the model").click(timeout=FIT_TIMEOUT_MS)
    card = page.get_by_role("region", name="Model card")
    expect(card).to_contain_text("A denoising autoencoder of the rows of orders-2026.csv")
    chart = card.get_by_role("img")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 600
    expect(page.get_by_text(re.compile(r"\d+ of 150 rows are anomalies"))).to_be_visible()
    expect(page).to_have_url(re.compile("model=orders-2026"))
    later = file_of("later.csv", table_csv(60, seed=1, strange=20))
    page.get_by_label("Rows to score").set_input_files(later)  # type: ignore[arg-type] # as above
    expect(page.get_by_text(re.compile(r"[1-9]\d* of 60 rows are anomalies"))).to_be_visible()
    scores = page.get_by_role("region", name="Scores of the rows")
    first = scores.get_by_role("row").nth(1)
    expect(first).to_contain_text(re.compile(r"21.*▲ anomaly"))
    first.locator("summary").click()
    expect(first.locator(".bars")).to_contain_text("amount = ")
    visit.check_width()
    visit.check_accessibility()
    unload(visit, "orders-2026")


def test_a_series_is_drawn_with_its_anomalies(visit: Visit) -> None:
    visit.open(f"data?minutes={SERIES_MINUTES}&name=panel-series")
    page = visit.page
    open_file(page, "pumps.csv", series_csv(600))
    found = page.get_by_text("A series of 600 rows, in the order of at, which a model sees in windows of 24")
    expect(found).to_be_visible(timeout=LOOK_TIMEOUT_MS)
    expect(row_of(page, "at")).to_contain_text("times, which put the rows in order")
    page.get_by_label("Replace a model of this name").check()
    page.get_by_role("button", name="Fit a model").click()
    expect(page.get_by_text("600 rows of pumps.csv.")).to_be_visible(timeout=FIT_TIMEOUT_MS)
    faulty = file_of("later.csv", series_csv(120, seed=1, strange=(60, 64)))
    page.get_by_label("Rows to score").set_input_files(faulty)  # type: ignore[arg-type] # as above
    expect(page.get_by_text("120 rows of later.csv.")).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text("▲ Anomaly")
    expect(page.get_by_role("region", name="Steps that stand out").locator("td").first).to_contain_text(re.compile("6"))
    visit.check_width()
    visit.check_accessibility()
    unload(visit, "panel-series")


def test_a_fit_is_stopped(visit: Visit, own_checkpoints: Path) -> None:
    visit.open("data?minutes=3&name=never&kind=table")
    page = visit.page
    open_file(page, "pumps.csv", series_csv(600))
    expect(page.get_by_text("A table of 600 rows")).to_be_visible(timeout=LOOK_TIMEOUT_MS)
    page.get_by_role("button", name="Fit a model").click()
    stage = page.get_by_text(re.compile(r"looking for anomalies: \d+%, error"))
    expect(stage).to_be_visible(timeout=LOOK_TIMEOUT_MS)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("The fit was stopped, and nothing of it is left.")).to_be_visible()
    assert not (own_checkpoints / "never").exists()

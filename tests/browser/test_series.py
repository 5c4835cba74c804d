"""The panel of series: where one is unusual and in which column, and how a hole in it is filled."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.app.fitting import SERIES_MINUTES, series_csv
from tests.app.server import Served
from tests.browser.conftest import TIMEOUT_MS, Visit

pytestmark = pytest.mark.timeout(300)  # since a fit stands back behind whatever else the machine does
MODEL = "panel-pumps"
FAULTY = series_csv(120, seed=1, strange=(60, 64))


@pytest.fixture(scope="module")
def fitted(server: Served) -> Iterator[str]:
    """A model of series with columns."""
    query = {"name": MODEL, "minutes": SERIES_MINUTES, "replace": "true"}
    headers = {"content-type": "text/csv"}
    answer = httpx.post(f"{server.url}/fit", params=query, content=series_csv(600), headers=headers, timeout=200)
    assert '"result"' in answer.text, answer.text
    assert httpx.post(f"{server.url}/models/{MODEL}/load", timeout=60).status_code == 200
    yield MODEL
    assert httpx.post(f"{server.url}/models/{MODEL}/unload", timeout=60).status_code == 200


def drag_over(visit: Visit, chart: Locator, shares: tuple[float, float], *, height: float = 0.5) -> None:
    """Drag over a chart, from one share of its width to another."""
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box
    y = box["y"] + height * box["height"]
    first, last = (box["x"] + share * box["width"] for share in shares)
    visit.page.mouse.move(first, y)
    visit.page.mouse.down()
    visit.page.mouse.move(last, y, steps=8)
    visit.page.mouse.up()


def test_what_is_no_heartbeat_is_told_and_its_steps_are_marked(visit: Visit) -> None:
    visit.open("series")
    page = visit.page
    expect(page.get_by_label("Model", exact=True)).to_have_value("lstm-ae-ecg")
    expect(page.locator(".verdict")).to_contain_text("Normal: the score")
    page.get_by_role("button", name="no beat").click()
    expect(page.locator(".verdict")).to_contain_text("▲ Anomaly: the score")
    chart = page.get_by_role("img", name=re.compile(r"value of 140 steps\. These steps stand out: \d+"))
    expect(chart).to_be_visible()
    expect(page).to_have_url(re.compile("example=no"))
    page.get_by_role("button", name="beat with a fault").click()
    expect(page.get_by_role("region", name="Steps that stand out")).to_contain_text(re.compile(r"(9\d|10\d) to 11\d"))
    visit.check_width()
    visit.check_accessibility()


def test_a_hole_that_is_torn_with_the_mouse_is_filled(visit: Visit) -> None:
    visit.open("series?example=beat 2")
    page = visit.page
    expect(page.locator(".verdict")).to_contain_text("the score")
    drag_over(visit, page.locator(".u-over").first, (0.4, 0.6))
    filled = page.get_by_text(re.compile(r"Steps \d+ to \d+ of value are filled in"))
    expect(filled).to_be_visible()
    first = int(page.get_by_label("Hole from step").input_value())
    last = int(page.get_by_label("to step", exact=True).input_value())
    assert 50 <= first < last <= 90
    expect(page).to_have_url(re.compile(f"from={first}&to={last}"))
    page.get_by_text("Request", exact=True).click()
    expect(page.locator("details.request pre")).to_contain_text("/impute")
    expect(page.locator("details.request pre")).to_contain_text("null")
    page.get_by_role("button", name="Mend").click()
    expect(filled).to_be_hidden()


def test_a_hole_can_be_torn_without_a_mouse_and_is_shared_by_the_url(visit: Visit) -> None:
    visit.open("series?model=gru-ae-ecg&example=beat 2&from=20&to=29")
    page = visit.page
    expect(page.get_by_text("Steps 20 to 29 of value are filled in")).to_be_visible()
    page.get_by_label("to step", exact=True).fill("40")
    page.get_by_role("button", name="Tear", exact=True).press("Enter")
    expect(page.get_by_text("Steps 20 to 40 of value are filled in")).to_be_visible()
    expect(page.get_by_label("Model", exact=True)).to_have_value("gru-ae-ecg")


def test_a_series_is_drawn_with_the_pen(visit: Visit) -> None:
    visit.open("series")
    page = visit.page
    expect(page.locator(".verdict")).to_contain_text("the score")
    page.get_by_role("button", name="Draw", exact=True).click()
    before = page.get_by_label("Numbers, or rows").input_value()
    drag_over(visit, page.locator(".u-over").first, (0.3, 0.7), height=0.1)
    expect(page.locator(".verdict")).to_contain_text("▲ Anomaly")
    after = page.get_by_label("Numbers, or rows").input_value()
    assert len(after.split(",")) == 140
    assert after != before
    expect(page).to_have_url(re.compile("series="))


def test_numbers_are_pasted_and_what_is_none_is_said(visit: Visit) -> None:
    visit.open("series")
    text = visit.page.get_by_label("Numbers, or rows")
    text.fill("1, 2, much")
    expect(visit.page.get_by_role("alert")).to_contain_text("“much” is no number")
    text.fill("\n".join(", ".join(str(step % (7 + line)) for step in range(60)) for line in range(2)))
    expect(visit.page.get_by_role("img", name=re.compile("value of 60 steps"))).to_be_visible()
    visit.page.get_by_text("Request", exact=True).click()
    expect(visit.page.locator("details.request pre")).to_contain_text('"score":"mae"')
    visit.page.get_by_label("Series", exact=True).select_option("line 2")
    expect(visit.page).to_have_url(re.compile("line=1"))


def test_rows_of_a_table_show_which_column_is_to_blame(visit: Visit, fitted: str) -> None:
    visit.open(f"series?model={fitted}")
    page = visit.page
    page.locator("input[type=file]").set_input_files(
        {"name": "pumps.csv", "mimeType": "text/csv", "buffer": FAULTY.encode()}
    )
    region = page.get_by_role("region", name="Steps that stand out")
    expect(region).to_contain_text("2026-03-02 00:1", timeout=TIMEOUT_MS)  # the answer to the file
    expect(page.locator(".verdict")).to_contain_text("▲ Anomaly")
    expect(region).to_contain_text(re.compile(r"[56]\d to [67]\d"))
    expect(page.locator(".bars span").first).to_have_text("flow")
    expect(page.get_by_label("Column", exact=True)).to_have_value("flow")
    page.get_by_label("in all columns").check()
    drag_over(visit, page.locator(".u-over").first, (0.1, 0.2))
    expect(page.get_by_text(re.compile(r"Steps \d+ to \d+ of flow are filled in"))).to_be_visible()
    page.get_by_label("Column", exact=True).select_option("pressure")
    expect(page.get_by_text(re.compile(r"Steps \d+ to \d+ of pressure are filled in"))).to_be_visible()
    visit.check_width()
    visit.check_accessibility()


def test_a_file_that_is_opened_while_the_model_draws_a_series_is_kept(visit: Visit, fitted: str) -> None:
    page = visit.page
    page.route("**/sample", lambda route: None)  # it is never answered
    with page.expect_request("**/sample"):
        visit.open(f"series?model={fitted}")
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/sample")):
        page.locator("input[type=file]").set_input_files(
            {"name": "pumps.csv", "mimeType": "text/csv", "buffer": FAULTY.encode()}
        )
    region = page.get_by_role("region", name="Steps that stand out")
    expect(region).to_contain_text("2026-03-02 00:1", timeout=TIMEOUT_MS)

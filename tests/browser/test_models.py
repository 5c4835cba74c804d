"""The panel of models: what they are, what they do now, and how they are loaded and unloaded."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, expect
from prometheus_client.parser import text_string_to_metric_families

from app.keys.api_key import ApiKey, Role, digest_of, new_secret
from app.keys.file import write_keys
from tests.app.server import Served, serve
from tests.browser.conftest import VIEWS, Visit, visit_with

MODEL = "albert-sst2-en"
READ = """async ([text, name]) => {
    const { Reading } = await import('/static/playground/panels/models/metrics-text.js');
    return new Reading(text, 0).find(name);
}"""
QUANTILE = """async ([before, after, share]) => {
    const { Interval, Reading } = await import('/static/playground/panels/models/metrics-text.js');
    return new Interval(new Reading(before, 0), new Reading(after, 2)).quantile('t', share);
}"""


def figures_of(page: Page, model: str) -> list[str]:
    """The cells of a model's row, without its name."""
    row = page.locator(".live tr", has=page.get_by_role("rowheader", name=model, exact=True))
    return row.locator("td").all_inner_texts()


def hide(page: Page, *, is_hidden: bool) -> None:
    """Let the page take itself for hidden, as the page of a tab in the background is."""
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        is_hidden,
    )


def test_every_model_has_a_card(visit: Visit) -> None:
    visit.open("models")
    models = httpx.get(f"{visit.url}/models").json()["models"]
    cards = visit.page.locator("#panel-models .card")
    assert cards.count() == len(models)
    expect(visit.page.get_by_text(f"{len(models)} of {len(models)} models are in memory")).to_be_visible()
    card = visit.page.get_by_role("region", name=MODEL)
    expect(card).to_contain_text("ready")
    expect(card).to_contain_text("Known failings:")
    card.get_by_text("Figures and limits").click()
    expect(card).to_contain_text("accuracy")
    expect(card).to_contain_text("limit: max tokens")
    visit.check_accessibility()
    visit.check_width()


def test_figures_follow_the_requests(visit: Visit) -> None:
    visit.open(f"models?model={MODEL}")
    page = visit.page
    expect(page.locator(".uplot")).to_have_count(4)
    row = page.locator(".live tr", has=page.get_by_role("rowheader", name=MODEL, exact=True))
    requests, items = row.locator("td").nth(0), row.locator("td").nth(1)
    expect(requests).to_have_text("0.0")  # two readings were made
    for _ in range(5):
        body = {"model": MODEL, "inputs": ["a wonderful film", "a boring one"]}
        httpx.post(f"{visit.url}/classify", json=body).raise_for_status()
    expect(requests).not_to_have_text("0.0")
    seen = figures_of(page, MODEL)
    assert float(seen[1]) == pytest.approx(2 * float(seen[0]), abs=0.2)
    assert float(seen[4]) > 0
    assert float(seen[5]) > 0
    expect(items).to_have_text("0.0")
    visit.check_accessibility()


def test_a_model_is_unloaded_and_loaded(visit: Visit) -> None:
    visit.open("models")
    card = visit.page.get_by_role("region", name=MODEL)
    card.get_by_role("button", name="Unload").click()
    dialog = visit.page.get_by_role("dialog")
    visit.check_accessibility()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    expect(card.locator(".state")).to_have_text("ready")
    card.get_by_role("button", name="Unload").click()
    dialog.get_by_role("button", name="Unload").click()
    expect(card.locator(".state")).to_have_text("unloaded")
    states = httpx.get(f"{visit.url}/health/ready").json()["models"]
    assert states[MODEL] == "unloaded"
    card.get_by_role("button", name="Load").click()
    expect(card.locator(".state")).to_have_text("ready")


def test_a_change_by_others_is_seen(visit: Visit) -> None:
    visit.open("models")
    state = visit.page.get_by_role("region", name=MODEL).locator(".state")
    expect(state).to_have_text("ready")
    httpx.post(f"{visit.url}/models/{MODEL}/unload").raise_for_status()
    expect(state).to_have_text("unloaded")
    httpx.post(f"{visit.url}/models/{MODEL}/load", timeout=60).raise_for_status()
    expect(state).to_have_text("ready")


def test_metrics_are_read_only_while_the_panel_is_seen(visit: Visit) -> None:
    page = visit.page
    seen: list[str] = []

    def count(request: Request) -> None:
        if request.url.endswith("/metrics"):
            seen.append(request.url)

    page.clock.install()
    page.on("request", count)
    visit.open("models")
    with page.expect_request("**/metrics"):
        page.clock.run_for(2_100)
    hide(page, is_hidden=True)
    n_seen = len(seen)
    page.clock.run_for(20_000)
    assert len(seen) == n_seen
    with page.expect_request("**/metrics"):
        hide(page, is_hidden=False)
    page.goto(f"{visit.url}/#texts?part=labels")
    expect(page.locator(".bars")).to_be_visible()
    n_seen = len(seen)
    page.clock.run_for(20_000)
    assert len(seen) == n_seen


def test_metrics_are_parsed_as_the_client_library_does(visit: Visit) -> None:
    visit.open("texts?part=labels")
    text = httpx.get(f"{visit.url}/metrics").text
    odd = 'odd_total{model="a\\"b\\\\c\\nd{e},f=\\"g\\"",task=""} 3.5e-2\n'
    samples = [sample for family in text_string_to_metric_families(text + odd) for sample in family.samples]
    for name in {sample.name for sample in samples if sample.name.startswith(("manifold_", "odd"))}:
        expected = [{"labels": s.labels, "value": s.value} for s in samples if s.name == name]
        assert visit.page.evaluate(READ, [text + odd, name]) == expected


def test_quantiles_are_those_of_prometheus(visit: Visit) -> None:
    visit.open("texts?part=labels")

    def histogram(*counts: int) -> str:
        limits = ("0.1", "0.5", "1.0", "+Inf")
        lines = [f't_bucket{{le="{limit}"}} {count}' for limit, count in zip(limits, counts, strict=True)]
        return "\n".join([*lines, f"t_count {counts[-1]}"])

    before = histogram(1, 1, 1, 1)
    for after, share, expected in (
        (histogram(11, 11, 11, 11), 0.5, 0.05),
        (histogram(1, 11, 11, 11), 0.5, 0.3),
        (histogram(6, 9, 10, 11), 0.9, 1.0),
        (histogram(6, 9, 10, 11), 0.95, 1.0),
        (before, 0.5, None),
    ):
        assert visit.page.evaluate(QUANTILE, [before, after, share]) == (expected and pytest.approx(expected))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A server of one model with a key of the role `infer`, and the key."""
    folder = tmp_path_factory.mktemp("guarded")
    secret = new_secret()
    digest = digest_of(secret.encode()) or b""
    write_keys(folder / "keys.json", [ApiKey(name="me", role=Role.INFER, digest=digest, created=datetime.now(UTC))])
    with serve(folder, "--keys-file", str(folder / "keys.json"), "--models", MODEL) as server:
        yield server, secret


def test_a_key_is_asked_for_and_may_not_be_enough(chromium: Browser, guarded: tuple[Served, str]) -> None:
    server, key = guarded
    for visit in visit_with(VIEWS["light"], chromium, server.url):
        visit.open("models")
        page = visit.page
        page.get_by_role("button", name="Enter an API key").click()
        page.locator("#key-input").fill(key)
        page.get_by_role("button", name="Use it").click()
        page.get_by_role("button", name=f"Unload {MODEL}").click()
        page.get_by_role("dialog").get_by_role("button", name="Unload").click()
        expect(page.get_by_role("region", name=MODEL)).to_contain_text(re.compile("admin"))
        assert [fault for fault in visit.faults if not re.search("401|403", fault)] == []
        visit.faults.clear()  # the browser reports every refused request as an error

"""The panel of digits: what is drawn is reconstructed, denoised and classified by every model of digits."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import Visit

N_MODELS = 7
"""Shipped models of digits."""


def test_a_drawing_is_shown_as_every_model_sees_it(visit: Visit) -> None:
    visit.open("digits")
    page = visit.page
    cards = page.locator("#panel-digits .card")
    assert cards.count() == N_MODELS
    box = page.locator(".drawing").bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + 230, steps=8)
    page.mouse.up()
    for number in range(N_MODELS):
        expect(cards.nth(number)).to_contain_text(re.compile(r"mean squared error 0\.\d{4}"))
    classifier = page.locator("#panel-digits .card", has_text="denoising-ae-mnist")
    expect(classifier.locator(".bars span").first).to_have_text("1")
    visit.check_accessibility()


def test_noise_is_removed_and_kept_in_the_url(visit: Visit) -> None:
    visit.open("digits?noise=0.3")
    visit.page.get_by_role("button", name="5", exact=True).click()
    card = visit.page.locator("#panel-digits .card", has_text="denoising-ae-mnist")
    expect(card).to_contain_text(re.compile(r"PSNR \d+\.\d → \d+\.\d dB"))
    expect(card.locator(".bars span").first).to_have_text("5")
    visit.page.get_by_label("Noise").fill("0.5")
    expect(visit.page).to_have_url(re.compile(r"#digits\?noise=0\.5$"))


def test_a_request_can_be_copied_in_each_language(visit: Visit) -> None:
    visit.open("digits")
    visit.page.get_by_role("button", name="3", exact=True).click()
    visit.page.get_by_text("Request", exact=True).click()
    for language, words in (("curl", "curl -s -X POST"), ("Python", "httpx.post("), ("JavaScript", "await fetch(")):
        visit.page.get_by_role("button", name=language, exact=True).click()
        expect(visit.page.locator("details.request pre")).to_contain_text(words)
        visit.page.get_by_role("button", name="Copy").click()
        assert words in visit.page.evaluate("navigator.clipboard.readText()")

"""The panel of the latent space: the map, interpolation, sliders, samples and Gibbs sampling."""

import json
import re
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import Visit
from tests.training.test_latent_maps import read_latents
from training.latent_maps import FOLDER, SIDE

MODEL = "vae-mnist"
MAP = json.loads((FOLDER / f"{MODEL}.json").read_text())
PLACES = np.array(MAP["places"])


DECODED = "[aria-label='The digit that is decoded at the cursor']"
OF_SLIDERS = "[aria-label='The digit of the sliders']"
FRAMES = "[aria-label=Frames] canvas"
SAMPLES = "[aria-label=Samples] canvas"
CHAINS = "[aria-label=Chains] canvas"


def picture_of(canvas: Locator) -> str:
    """Return the picture on a canvas as the URL of a PNG."""
    url: str = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    return url


def wait_for_picture(visit: Visit, selector: str, url: str) -> None:
    """Wait until the first canvas with that selector has this picture."""
    script = "([selector, url]) => document.querySelector(selector)?.toDataURL('image/png') === url"
    visit.page.wait_for_function(script, arg=[selector, url])


def wait_for_change(visit: Visit, selector: str, url: str) -> str:
    """Wait until the first canvas with that selector has another picture, and return that."""
    script = "([selector, url]) => ![undefined, url].includes(document.querySelector(selector)?.toDataURL('image/png'))"
    visit.page.wait_for_function(script, arg=[selector, url])
    return picture_of(visit.page.locator(selector).first)


def classify(visit: Visit, canvas: Locator) -> str:
    """Return what digit the server's classifier sees on a canvas."""
    body = {"model": "denoising-ae-mnist", "inputs": [picture_of(canvas)]}
    answer = httpx.post(f"{visit.url}/classify", json=body)
    label: str = answer.json()["outputs"][0]["labels"][0]["label"]
    return label


def place_amid(label: str) -> tuple[int, int]:
    """Return the place of the digit with a label that has the most of its kind near it."""
    own = PLACES[[each == label for each in MAP["labels"]]]
    near = (np.linalg.norm(own[:, None] - own[None], axis=2) < SIDE / 20).sum(1)
    x, y = own[near.argmax()].tolist()
    return x, y


def emptiest_place() -> tuple[int, int]:
    grid = np.stack(np.meshgrid(*[np.arange(0, SIDE + 1, 20)] * 2), -1).reshape(-1, 2)
    x, y = grid[np.linalg.norm(grid[:, None] - PLACES[None], axis=2).min(1).argmax()].tolist()
    return x, y


@pytest.mark.parametrize("label", ["0", "7"])
def test_the_digit_under_the_cursor_is_decoded(visit: Visit, label: str) -> None:
    x, y = place_amid(label)
    visit.open(f"latent?x={x}&y={y}")
    near = visit.page.get_by_text(re.compile("Nearest digits"))
    expect(near).to_contain_text(f"Nearest digits: {label}, {label}")
    expect(visit.page.get_by_role("region", name="Request of the map")).to_contain_text("Answered in")
    assert classify(visit, visit.page.locator(DECODED)) == label
    visit.check_width()
    visit.check_accessibility()


def test_the_cursor_is_dragged_and_moved_by_keys_and_kept_in_the_url(visit: Visit) -> None:
    visit.open("latent")
    canvas = visit.page.get_by_role("application")
    box = canvas.bounding_box()
    assert box
    expect(visit.page.get_by_role("region", name="Request of the map")).to_contain_text("Answered in")
    before = picture_of(visit.page.locator(DECODED))
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] * 0.97, box["y"] + box["height"] * 0.03, steps=5)
    visit.page.mouse.up()
    expect(visit.page).to_have_url(re.compile(rf"x={SIDE}&y=0"))
    in_corner = wait_for_change(visit, DECODED, before)
    for _ in range(3):
        canvas.press("ArrowLeft")
    canvas.press("Shift+ArrowDown")
    expect(visit.page).to_have_url(re.compile(rf"x={SIDE - 36}&y=60"))
    wait_for_change(visit, DECODED, in_corner)


def test_an_empty_place_of_the_map_is_warned_of(visit: Visit) -> None:
    x, y = emptiest_place()
    visit.open(f"latent?x={x}&y={y}")
    expect(visit.page.get_by_text("The map is empty here")).to_be_visible()
    visit.open(f"latent?x={PLACES[0][0]}&y={PLACES[0][1]}")
    visit.page.reload()
    expect(visit.page.get_by_text(re.compile("Nearest digits"))).to_be_visible()
    expect(visit.page.get_by_text("The map is empty here")).to_have_count(0)


def test_a_map_of_another_version_of_the_model_says_so(visit: Visit) -> None:
    def change(route: Route) -> None:
        route.fulfill(json=MAP | {"sha256": "0" * 64})

    visit.page.route(f"**/maps/{MODEL}.json", change)
    visit.open("latent")
    expect(visit.page.get_by_text(f"another version of {MODEL}")).to_be_visible()


def test_the_way_between_two_digits_is_shown_in_frames(visit: Visit) -> None:
    visit.open("latent?from=1&to=0&steps=7")
    page = visit.page
    frames = page.locator(FRAMES)
    expect(frames).to_have_count(7)
    assert (classify(visit, frames.first), classify(visit, frames.last)) == ("1", "0")
    linear = picture_of(frames.nth(3))
    page.get_by_label("Path").select_option("slerp")
    expect(page).to_have_url(re.compile("method=slerp"))
    wait_for_change(visit, f"{FRAMES}:nth-child(4)", linear)
    page.get_by_label("Frames", exact=True).and_(page.locator("input")).fill("5")
    expect(frames).to_have_count(5)
    player = page.locator(".controls", has=page.get_by_label("Frame", exact=True).and_(page.locator("input")))
    player.get_by_role("button", name="Step").click()
    player.get_by_role("button", name="Step").click()
    expect(player.locator("output")).to_have_text("2 of 4")
    assert picture_of(page.get_by_label("The frame that is shown")) == picture_of(frames.nth(2))
    player.get_by_role("button", name="Play").click()
    expect(player.locator("output")).not_to_have_text("2 of 4")
    player.get_by_role("button", name="Pause").click()
    expect(player.get_by_role("button", name="Play")).to_be_visible()


def test_a_drawing_takes_the_place_of_an_example(visit: Visit) -> None:
    visit.open("latent?from=0&to=7")
    page = visit.page
    frames = page.locator(FRAMES)
    expect(frames).to_have_count(9)
    zero, seven = picture_of(frames.first), picture_of(frames.last)
    field = page.get_by_label("From: draw a digit here")
    page.locator(".small").first.get_by_role("button", name="Black on white").click()  # the other stays white on black
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 140, steps=8)
    page.mouse.up()
    expect(page).to_have_url(re.compile("from=drawn"))
    expect(page.get_by_label("Example").first).to_have_value("drawn")
    wait_for_change(visit, FRAMES, zero)
    assert classify(visit, frames.first) == "1"
    assert picture_of(frames.last) == seven


def test_a_slider_changes_the_digit_and_the_url_brings_it_back(visit: Visit) -> None:
    visit.open("latent?start=7")
    page = visit.page
    picture = page.locator(OF_SLIDERS)
    request = page.get_by_role("region", name="Request of the sliders")
    expect(request).to_contain_text("Answered in")
    assert classify(visit, picture) == "7"
    before = picture_of(picture)
    sliders = page.locator(".sliders input")
    assert sliders.count() == len(MAP["scales"])
    first = sliders.first
    first.fill(str(first.get_attribute("max")))
    expect(page).to_have_url(re.compile(r"changed=\d+%3A"))
    after = wait_for_change(visit, OF_SLIDERS, before)
    page.reload()
    wait_for_picture(visit, OF_SLIDERS, after)
    page.get_by_role("button", name="Reset").click()
    expect(page).not_to_have_url(re.compile("changed="))
    wait_for_picture(visit, OF_SLIDERS, before)


def test_the_sliders_that_vary_most_come_first(visit: Visit) -> None:
    visit.open("latent")
    labels = visit.page.locator(".sliders label").all_text_contents()
    deviations = read_latents(MAP).std(0)
    assert labels == [f"z {place + 1}" for place in np.argsort(-deviations, kind="stable")]
    visit.page.get_by_label("Order").select_option("number")
    expect(visit.page.locator(".sliders label").first).to_have_text("z 1")


def test_samples_are_those_of_the_seed_and_the_class(visit: Visit) -> None:
    visit.open("latent?model=cvae-mnist&seed=11&n=3")
    page = visit.page
    pictures = page.locator(SAMPLES)
    expect(pictures).to_have_count(3)
    first = picture_of(pictures.first)
    page.get_by_label("Class", exact=True).select_option("4")
    expect(page).to_have_url(re.compile("label=4"))
    shown = wait_for_change(visit, SAMPLES, first)
    assert [classify(visit, pictures.nth(number)) for number in range(3)] == ["4"] * 3
    page.get_by_role("button", name="Another").first.click()
    wait_for_change(visit, SAMPLES, shown)
    expect(page).not_to_have_url(re.compile(r"[?&]seed=11(&|$)"))
    page.get_by_label("Seed").first.fill("11")
    wait_for_picture(visit, SAMPLES, shown)
    page.get_by_label("Model").select_option("vanilla-ae-mnist")
    expect(page.get_by_label("Class", exact=True)).to_be_hidden()


def test_gibbs_sampling_is_gone_through_step_by_step(visit: Visit) -> None:
    visit.page.emulate_media(reduced_motion="reduce")
    visit.open("latent?gibbs=20&gibbs_seed=3")
    page = visit.page
    chains = page.locator(CHAINS)
    request = page.get_by_role("region", name="Request of Gibbs sampling")
    expect(request).to_contain_text("Answered in")
    at_20 = picture_of(chains.first)
    player = page.locator(".controls", has=page.get_by_label("Steps", exact=True).and_(page.locator("input")))
    expect(player.locator("output")).to_have_text("20 of 300")
    expect(player).to_contain_text("less motion")
    player.get_by_role("button", name="Play").click()
    expect(player.locator("output")).to_have_text("22 of 300")
    player.get_by_role("button", name="Pause").click()
    page.get_by_label("Steps at a time").select_option("25")
    player.get_by_role("button", name="Step", exact=True).click()
    expect(page).to_have_url(re.compile(r"gibbs=4\d"))
    wait_for_change(visit, CHAINS, at_20)
    player.locator("input").fill("20")
    wait_for_picture(visit, CHAINS, at_20)
    expect(player.locator("output")).to_have_text("20 of 300")
    body = {
        "model": "dbn-ae-mnist",
        "parameters": {"sampler": "gibbs", "seed": 3, "gibbs_steps": 20, "temperature": 1, "format": "png"},
    }
    (sample,) = httpx.post(f"{visit.url}/sample", json=body).json()["outputs"]
    assert np.abs(pixels(visit, sample["sample"]) - pixels(visit, at_20)).max() <= 1


def pixels(visit: Visit, url: str) -> Any:
    """Return the numbers of a picture, from 0 to 255, as the browser reads it."""
    script = """async (url) => {
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      return Array.from(context.getImageData(0, 0, image.width, image.height).data);
    }"""
    return np.array(visit.page.evaluate(script, url))

"""The panel of sounds: a sound beside what a stream of it gives back, for files and recordings."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.app.server import Served, serve
from tests.app.sounds import MONO, RATE, STEREO, file_of, tone, write_models
from tests.browser.conftest import TIMEOUT_MS, VIEWS, Visit, visit_with
from tests.conftest import write_tiny

pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture(scope="module")
def sound_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of models of sounds with random weights, whose sounds may have 2 seconds."""
    weights = tmp_path_factory.mktemp("weights")
    write_models(weights)
    with serve(tmp_path_factory.mktemp("sounds"), "--max-audio-seconds", "2", weights=weights) as served:
        yield served


@pytest.fixture(params=VIEWS)
def sounds(request: pytest.FixtureRequest, chromium: Browser, sound_server: Served) -> Iterator[Visit]:
    yield from visit_with(VIEWS[request.param], chromium, sound_server.url)


def card(visit: Visit, title: str) -> Locator:
    return visit.page.get_by_role("region", name=title, exact=True)


def n_bytes(visit: Visit) -> int:
    found = re.search(r"(\d+) bytes", card(visit, "What is left of it").text_content() or "")
    assert found
    return int(found[1])


def seconds(shown: Locator) -> float:
    """The length of what the player of a card plays."""
    length: float = shown.locator("audio").evaluate(
        """audio => new Promise((resolve) => audio.readyState ? resolve(audio.duration)
          : audio.addEventListener("loadedmetadata", () => resolve(audio.duration)))"""
    )
    return length


def n_colours(shown: Locator) -> int:
    """The number of different colours of the spectrogram of a card."""
    found: int = shown.locator("canvas").last.evaluate(
        """canvas => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(Array.from({ length: data.length / 4 }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
        }"""
    )
    return found


def test_a_file_is_compressed_at_the_bandwidth_and_played(sounds: Visit, tmp_path: Path) -> None:
    sounds.open(f"sounds?model={MONO}")
    page = sounds.page
    expect(page.get_by_role("link", name="Sounds")).to_be_visible()
    path = tmp_path / "noise.flac"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, int(1.8 * RATE))
    path.write_bytes(file_of(noise, "FLAC"))
    page.get_by_label("Open a sound").set_input_files(path)
    original, restored = card(sounds, "The sound"), card(sounds, "What is left of it")
    expect(original).to_contain_text(f"1.80 s, up to 4000 Hz{44 + 2 * len(noise)} bytes as WAV")
    expect(restored).to_contain_text("1.80 s")
    small = n_bytes(sounds)
    page.get_by_label("Bandwidth").select_option("0.4 kbit/s")
    expect(page).to_have_url(re.compile("bandwidth=0.4"))
    expect(restored).not_to_contain_text(f"{small} bytes")
    assert n_bytes(sounds) > small
    for shown in (original, restored):
        assert seconds(shown) == pytest.approx(1.8, abs=0.01)
        assert n_colours(shown) > 20
    expect(page.get_by_role("heading", name="Classes")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the stream as a file").click()
    stream = Path(download.value.path()).read_bytes()
    assert (download.value.suggested_filename, len(stream)) == (f"{MONO}-0.4-kbps.mfld", n_bytes(sounds))
    body = {"model": MONO, "inputs": [base64.b64encode(stream).decode()]}
    (output,) = httpx.post(f"{sounds.url}/decompress", json=body).json()["outputs"]
    assert len(output["items"][0]) == len(noise)
    sounds.check_width()
    sounds.check_accessibility()


def test_a_recording_is_used_in_two_channels(chromium: Browser, sound_server: Served) -> None:
    for visit in visit_with(VIEWS["light"], chromium, sound_server.url):
        visit.open(f"sounds?model={STEREO}")
        expect(card(visit, "The sound")).to_contain_text("1.50 s")
        visit.page.get_by_role("button", name="Record").click()
        expect(visit.page.get_by_role("button", name="Stop")).to_be_visible()
        record = visit.page.get_by_role("button", name="Record")
        expect(record).to_be_visible(timeout=TIMEOUT_MS)  # since it ends by itself
        expect(card(visit, "The sound")).to_contain_text(re.compile(r"(1\.[6-9]\d|2\.00) s"))
        assert seconds(card(visit, "What is left of it")) == pytest.approx(2, abs=0.4)
        expect(visit.page.get_by_role("heading", name="Classes")).to_be_hidden()


def test_what_is_no_sound_or_too_long_is_told(chromium: Browser, sound_server: Served, tmp_path: Path) -> None:
    for visit in visit_with(VIEWS["light"], chromium, sound_server.url):
        visit.open(f"sounds?model={MONO}")
        alert = visit.page.get_by_role("alert")
        for name, data, words in (
            ("text.wav", b"no sound", "This browser cannot read the sound"),
            ("long.wav", file_of(tone(3)), "(max_audio_seconds)"),
        ):
            (tmp_path / name).write_bytes(data)
            visit.page.get_by_label("Open a sound").set_input_files(tmp_path / name)
            expect(alert).to_contain_text(words)
        assert [fault.partition(":")[0] for fault in visit.faults] == ["Failed to load resource"]
        visit.faults.clear()


def test_the_panel_is_offered_where_there_are_sounds_alone(chromium: Browser, tmp_path: Path) -> None:
    write_tiny(tmp_path / "weights")
    with serve(tmp_path, weights=tmp_path / "weights") as served:
        for visit in visit_with(VIEWS["light"], chromium, served.url):
            visit.open("sounds")
            expect(visit.page.get_by_text("No model of sounds is loaded.")).to_be_visible()
            expect(visit.page.get_by_role("link", name="Models")).to_be_visible()
            expect(visit.page.get_by_role("link", name="Sounds")).to_be_hidden()

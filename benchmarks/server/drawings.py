"""Draw digits on the page of the server in a real browser, and measure how they are classified and how soon.

The digits are the first ones of the test split of MNIST, each moved, scaled and perhaps inverted at random on a canvas.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.lib.report import Report, json_option, print_report, table
from benchmarks.lib.servers import start_manifold
from training.data.files import DataFolder
from training.data.mnist import mnist_images, mnist_labels

SIDE = 280
"""Width and height of the canvas, in pixels."""
MIN_SCALE, MAX_SCALE = 3.0, 9.0
"""Least and greatest number of pixels of the canvas for a pixel of a digit."""
N_STROKES = 20
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_CLASSIFY = """async ([side, digits]) => {
    const { prepared } = await import("/static/playground/drawing.js");
    const { task } = await import("/static/playground/api.js");
    const { isOfDigits, modelsFor } = await import("/static/playground/models.js");
    const small = new OffscreenCanvas(28, 28), drawn = document.createElement("canvas");
    Object.assign(drawn, { width: side, height: side });
    const context = drawn.getContext("2d", { willReadFrequently: true });
    const found = Object.fromEntries((await modelsFor("classify", isOfDigits)).map((model) => [model.id, []]));
    for (const { pixels, x, y, scale, isInverted } of digits) {
        const data = new ImageData(28, 28);
        pixels.forEach((grey, place) => data.data.set([grey, grey, grey, 255], 4 * place));
        small.getContext("2d").putImageData(data, 0, 0);
        context.filter = isInverted ? "invert(1)" : "none";
        context.fillStyle = "black";
        context.fillRect(0, 0, side, side);
        context.drawImage(small, x, y, 28 * scale, 28 * scale);
        const { input, parameters } = prepared(drawn);
        for (const id of Object.keys(found)) {
            const { answer } = await task("classify", id, [input], { ...parameters, top_k: 1 });
            found[id].push(answer.outputs[0].labels[0].label);
        }
    }
    return found;
}"""
_DRAWN_AFTER_MS = """() => [...document.querySelectorAll("#panel-digits .card")].map((card) => {
    const ms = card.dataset.drawnAfterMs;
    delete card.dataset.drawnAfterMs;
    return Number(ms);
})"""
_ALL_DRAWN = (
    """() => [...document.querySelectorAll("#panel-digits .card")].every((card) => card.dataset.drawnAfterMs)"""
)


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """What was measured.

    Attributes:
        n_digits: number of digits that were classified.
        accuracy: the share of them that was classified right, by model.
        drawn_after_ms: milliseconds from the pen's last move until the page shows what every model answers: the median
            and the longest of the strokes.
    """

    n_digits: int
    accuracy: Mapping[str, float]
    drawn_after_ms: tuple[float, float]


def first_digits(folder: Path, n: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the first pictures of the test split in `folder/mnist`, `[n, 28, 28]` from 0 to 255, and their labels."""
    data = DataFolder(folder, download=False)
    pixels = (mnist_images(data).test[:n, 0] * 255).round().byte().numpy()
    return pixels, [str(label) for label in mnist_labels(data).test[:n].tolist()]


def placed_digits(pixels: NDArray[np.uint8], seed: int) -> list[dict[str, Any]]:
    """Return digits `[n, 28, 28]` with a place on the canvas, a scale, and whether paper is white, all at random.

    The whole picture of a digit is on the canvas.
    """
    rng = np.random.default_rng(seed)
    found = []
    for digit in pixels:
        scale = float(rng.uniform(MIN_SCALE, MAX_SCALE))
        x, y = rng.uniform(0, SIDE - 28 * scale, 2).tolist()
        is_inverted = bool(rng.random() < 0.5)
        found.append({"pixels": digit.ravel().tolist(), "x": x, "y": y, "scale": scale, "isInverted": is_inverted})
    return found


def measure(url: str, pixels: NDArray[np.uint8], labels: Sequence[str], seed: int = 0) -> Drawings:
    """Draw digits `[n, 28, 28]` on the page of a server, and return how they are classified and how soon.

    Raises:
        ClickException: no Chromium is installed.
    """
    from playwright.sync_api import sync_playwright

    browsers = [path for name in CHROMIUM if (path := shutil.which(name))]
    if not browsers:
        raise click.ClickException("this needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browsers[0], args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"{url}/#digits")
        page.wait_for_selector("#panel-digits[data-shown]")
        found = page.evaluate(_CLASSIFY, [SIDE, placed_digits(pixels, seed)])
        times = [_time_of_stroke(page, number) for number in range(N_STROKES)]
        browser.close()
    return Drawings(
        n_digits=len(labels),
        accuracy={
            name: float(np.mean([a == b for a, b in zip(each, labels, strict=True)])) for name, each in found.items()
        },
        drawn_after_ms=(median(times), max(times)),
    )


def _time_of_stroke(page: Any, number: int) -> float:
    """Draw a stroke, and return the milliseconds from its end until every card of the page shows it."""
    box = page.locator(".drawing").bounding_box()
    page.get_by_role("button", name="Clear").click()
    page.mouse.move(box["x"] + 60 + 8 * number, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 220 - 8 * number, box["y"] + 240, steps=10)
    page.mouse.up()
    page.wait_for_function(_ALL_DRAWN)
    page.wait_for_timeout(300)  # earlier moves may still be answered, before that of the last
    times: list[float] = page.evaluate(_DRAWN_AFTER_MS)
    return max(times)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--digits", "n_digits", default=500, show_default=True, help="Number of digits that are classified.")
@click.option("--seed", default=0, show_default=True, help="Seed of the places.")
@json_option
def drawings(folder: Path, n_digits: int, seed: int, as_json: bool) -> None:
    """Draw digits on the page, and measure how they are classified and how soon.

    FOLDER has the folder `mnist`, as `manifold evaluate --data` takes it. The page runs in Chromium, on the machine of
    the server.

    \b
    Keys of the JSON output:
      n_digits             number of digits that were classified
      accuracy             share of them that was classified right, by model
      drawn_after_ms       milliseconds from the pen's last move until every model's answer is shown: the median and
                           the longest of 20 strokes
    """
    pixels, labels = first_digits(folder, n_digits)
    with start_manifold() as server:
        result = measure(server.url, pixels, labels, seed)
    rows = [[f"`{name}`", f"{share:.3f}"] for name, share in sorted(result.accuracy.items(), key=lambda pair: -pair[1])]
    middle, longest = result.drawn_after_ms
    report = Report(
        name="drawings",
        title="Digits on the page",
        command="manifold bench drawings FOLDER",
        note=f"{result.n_digits} digits. From the pen's last move until every model's answer is shown, it takes "
        f"{middle:.0f} ms in the median and {longest:.0f} ms at most.",
        parts=[table(["model", "classified right"], rows)],
    )
    print_report(report, asdict(result), as_json=as_json)

"""The whole way of pictures: a folder of PNG files, `manifold fit`, and new pictures sent to the server."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from app.settings import Settings
from tests.conftest import served, write_tiny
from training.fit.command import fit


def picture(rng: np.random.Generator, *, scratched: bool = False) -> bytes:
    """A bright disc on a dark ground, a little off its place; scratched ones have a bright line beside it."""
    image = Image.new("L", (48, 40), int(rng.integers(20, 40)))
    draw = ImageDraw.Draw(image)
    x, y = rng.uniform(18, 30), rng.uniform(15, 25)
    draw.ellipse([x - 9, y - 9, x + 9, y + 9], fill=200)
    if scratched:
        draw.line([2, 2, 2 + rng.uniform(25, 40), 36], fill=230, width=2)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("pictures")
    for name, n, scratched in (("good", 300, False), ("scratched", 12, True)):
        (root / "parts" / name).mkdir(parents=True)
        for number in range(n):
            (root / "parts" / name / f"{number}.png").write_bytes(picture(rng, scratched=scratched))
    return root


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    arguments = [folder / "parts", "--name", "parts", "--label", "scratched", "--output", folder / "own"]
    run = CliRunner().invoke(
        fit, [*map(str, arguments), "--minutes", "0.6", "--contamination", "none", "--false-alarms", "0.03", "--json"]
    )
    assert run.exit_code == 0, run.output
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_the_pictures_of_the_label_are_found(folder: Path, result: dict[str, Any]) -> None:
    assert (result["kind"], result["columns"]) == ("pictures", [])
    assert result["rows"] == {"training": 270, "validation": 30, "calibration": 300, "anomalies": 12, "suspects": 0}
    assert result["figures"]["this model"]["auroc"] > 0.95
    card = (folder / "own" / "parts" / "README.md").read_text()
    assert "the 312 pictures of `parts`, seen as 48 by 40 pixels" in card


@pytest.mark.anyio
async def test_new_pictures_are_judged(folder: Path, result: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    pictures = [picture(rng, scratched=number >= 20) for number in range(30)]
    inputs = [base64.b64encode(each).decode() for each in pictures]
    write_tiny(folder / "weights")
    async with served(Settings(weights_dir=folder / "weights", checkpoints_dir=folder / "own")) as client:
        answer = await client.post("/detect-anomalies", json={"model": "parts", "inputs": inputs})
        assert answer.status_code == 200, answer.text
        verdicts = [output["is_anomaly"] for output in answer.json()["outputs"]]
        assert sum(verdicts[:20]) <= 3
        assert sum(verdicts[20:]) >= 8
        answer = await client.post(
            "/reconstruct?model=parts", content=pictures[0], headers={"content-type": "image/png"}
        )
        assert np.array(answer.json()["outputs"][0]["reconstruction"]).shape == (1, 40, 48)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "broken"], "has no subfolder 'broken' with pictures"),
        (["--time", "at"], "--time is for tables and series"),
        (["--as", "table"], "has pictures, and --as table asks for files of rows"),
    ],
)
def test_what_pictures_do_not_have_is_refused(folder: Path, arguments: list[str], words: str) -> None:
    run = CliRunner().invoke(fit, [str(folder / "parts"), "--name", "x", "--output", str(folder / "own"), *arguments])
    assert run.exit_code == 1
    assert words in run.output.replace("\n", " ")


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    run = CliRunner().invoke(fit, [str(tmp_path), "--name", "x", "--output", str(tmp_path / "own")])
    assert run.exit_code == 1
    assert "broken.png is no picture that can be read" in run.output.replace("\n", " ")

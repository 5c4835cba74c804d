"""What model cards and configurations say about encoded images."""

from pathlib import Path

import pytest

from models.checkpoint import find_checkpoints
from models.json_files import read_json
from training.autoencoders import AutoencoderRecipe, image_section
from training.recipe import get_recipe

WEIGHTS = Path(__file__).parents[2] / "weights/autoencoders"
SHIPPED = [
    folder for folder in sorted(find_checkpoints(WEIGHTS)) if isinstance(get_recipe(folder.name), AutoencoderRecipe)
]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_checkpoint_says_what_its_recipe_would_write(folder: Path) -> None:
    recipe = get_recipe(folder.name)
    assert isinstance(recipe, AutoencoderRecipe)
    assert read_json(folder, folder.name, "config.json")["codec"] == recipe.codec
    for title, text in image_section(recipe.codec).items():
        assert f"\n## {title}\n\n{text}\n\n## " in (folder / "README.md").read_text()


def test_a_section_says_where_ink_belongs() -> None:
    image = {"modality": "image", "shape": [1, 28, 28]}
    (text,) = image_section({**image, "paper": "white", "ink_box": 20}).values()
    assert "Ink is black and paper is white." in text
    assert "`centre`" in text
    (text,) = image_section({**image, "paper": "black"}).values()
    assert "`invert`" in text
    assert "`centre`" not in text
    (text,) = image_section(image).values()
    assert "ink" not in text
    assert image_section({"modality": "vector", "shape": [3]}) == {}

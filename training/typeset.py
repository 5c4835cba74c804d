"""Characters of fonts that are no digits, slanted and stretched at random and framed as MNIST frames its digits."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from training.drawings import Random, framed

FONTS = ("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic", "STIXGeneral")
"""Names of the fonts, which come with matplotlib."""
KINDS = ("Ll", "Lu", "Lo", "Sm")
"""Unicode's categories of letters with case, letters without, and signs of mathematics; digits are in others."""
LOOK_ALIKES = frozenset("BGIOQSZbgiloqsyz|ΙΟΖιουЗОЧзобчІіѕଠ٥०০૦੦")
"""Characters that look like digits. Rarer ones may be among those drawn."""
SIZE_PX, CANVAS_PX = 56, 112


def typeset_characters(n: int, random: Random) -> Tensor:
    """Return pictures of one character each, white on black, `[n, 1, 28, 28]` in [0, 1]."""
    return torch.stack([_character(random) for _ in range(n)])


def _character(random: Random) -> Tensor:
    """Draw characters until one has ink: some are combined with others only, and have none alone."""
    while True:
        path, characters = characters_of_fonts()[int(random.integers(len(FONTS)))]
        character = characters[int(random.integers(len(characters)))]
        canvas = Image.new("L", (CANVAS_PX, CANVAS_PX))
        middle = CANVAS_PX / 2
        ImageDraw.Draw(canvas).text((middle, middle), character, fill=255, font=_font(path), anchor="mm")
        a, b, c, d = 1.0, *random.normal(0, 0.15, 2), random.uniform(0.6, 1.5)  # slants, and stretches the height
        moved = (a, b, middle - a * middle - b * middle, c, d, middle - c * middle - d * middle)
        canvas = canvas.transform(canvas.size, Image.Transform.AFFINE, moved, Image.Resampling.BICUBIC)
        threshold = random.uniform(60, 190)  # makes the lines wider or narrower
        canvas = canvas.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2.5)))
        canvas = canvas.point([255 * (level > threshold) for level in range(256)])
        if canvas.getbbox() is not None:
            return framed(canvas)


@cache
def characters_of_fonts() -> Sequence[tuple[Path, Sequence[str]]]:
    """Return the file of each font and the characters of it that may be drawn."""
    folder = Path(mpl.get_data_path()) / "fonts/ttf"
    fonts = []
    for name in FONTS:
        path = folder / f"{name}.ttf"
        characters = [chr(code) for code in sorted(FT2Font(str(path)).get_charmap())]
        drawn = [each for each in characters if unicodedata.category(each) in KINDS and each not in LOOK_ALIKES]
        fonts.append((path, drawn))
    return fonts


@cache
def _font(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, SIZE_PX)

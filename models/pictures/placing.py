"""Bringing decoded pictures to what a model was trained on: its paper, its ink and its size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.errors import InvalidItems, Problem
from models.pictures.bands import bands
from models.pictures.opening import Picture

Fit = Literal["contain", "cover", "stretch"]
Paper = Literal["black", "white"]
WHITE = 255
MIN_INK_SHARE = 0.2
"""Share of the strongest ink from which on a pixel counts as ink."""


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """What a request says about its encoded pictures; numbers are taken as they are.

    Attributes:
        fit: how a picture of another size is resized; `contain` if None.
        invert: whether dark and bright are exchanged.
        centre: whether the ink is scaled and centred as in the pictures that the model was trained on.
    """

    fit: Fit | None = None
    invert: bool = False
    centre: bool = False

    def given(self) -> list[str]:
        """Return the names of the options that a request has set."""
        return [name for name in ("fit", "invert", "centre") if getattr(self, name)]


@dataclass(frozen=True, slots=True)
class Style:
    """How the pictures look that a model was trained on.

    Attributes:
        paper: colour of the paper, which the ink contrasts with; None for photographs, which have no paper.
        ink_box: number of pixels of the longer side of the ink, whose centre of mass is the centre of the picture;
            None if the pictures are not made like this.
    """

    paper: Paper | None = None
    ink_box: int | None = None

    @property
    def background(self) -> int:
        """Return the level, of 0 to 255, of what no picture covers."""
        return WHITE if self.paper == "white" else 0


NO_OPTIONS = PictureOptions()
PHOTOGRAPHS = Style()


def put_on_paper(picture: Picture, style: Style, *, invert: bool) -> Image.Image:
    """Return a picture whose transparent pixels are paper. Where `invert` is set, only the picture is inverted.

    The picture itself is changed, because a copy of a large one would take much memory.
    """
    image = picture.image
    if not invert and picture.alpha is None:
        return image
    colour = (style.background,) * len(image.getbands())
    for box, band in bands(image):
        if invert:
            image.paste(ImageOps.invert(band), box)
        if picture.alpha is not None:
            image.paste(colour, box, ImageOps.invert(picture.alpha.crop(box)))
    return image


def seems_inverted(picture: Picture, on_paper: Image.Image, style: Style) -> bool:
    """Return whether the paper of a picture seems to have the colour of the model's ink.

    That is so if most of its border has that colour, or if what is not transparent has the colour of the paper.
    """
    if style.paper is None:
        return False
    width, height = on_paper.size
    sides = (0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height)
    border = np.concatenate([_is_ink(on_paper.crop(side), style).ravel() for side in sides])
    if border.mean() > 0.5:
        return True
    if picture.alpha is None:
        return False
    n_visible = n_ink = 0
    for box, band in bands(on_paper):
        is_visible = np.asarray(picture.alpha.crop(box)) > WHITE / 2
        n_visible += int(is_visible.sum())
        n_ink += int((_is_ink(band, style) & is_visible).sum())
    return n_visible > 0 and n_ink / n_visible < 0.5


def _is_ink(image: Image.Image, style: Style) -> NDArray[np.bool_]:
    """Return whether each pixel, `[H, W]`, is nearer to the colour of the ink than to that of the paper."""
    levels = np.asarray(image.convert("L"))
    return levels >= WHITE / 2 if style.paper == "black" else levels < WHITE / 2


def fit_into(image: Image.Image, size: tuple[int, int], fit: Fit, background: int) -> Image.Image:
    """Return an image of the size (width, height)."""
    if image.size == size:
        return image
    if fit == "contain":
        return _contain(image, size, background)
    box = _centre_box(image.size, size) if fit == "cover" else None
    return image.resize(size, Image.Resampling.LANCZOS, box=box)


def _contain(image: Image.Image, size: tuple[int, int], background: int) -> Image.Image:
    """Return the whole image, scaled and with bars; however narrow it is, it is at least one pixel wide."""
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = (max(1, round(side * scale)) for side in image.size)
    place = (round((size[0] - width) / 2), round((size[1] - height) / 2))
    return _on_canvas(image.resize((width, height), Image.Resampling.LANCZOS), size, place, background)


def _on_canvas(image: Image.Image, size: tuple[int, int], place: tuple[int, int], background: int) -> Image.Image:
    canvas = Image.new(image.mode, size, (background,) * len(image.getbands()))
    canvas.paste(image, place)
    return canvas


def _centre_box(of: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the largest box in the middle of an image of the size `of` that has the proportions of `size`."""
    scale = min(of[0] / size[0], of[1] / size[1])
    width, height = (min(side * scale, whole) for side, whole in zip(size, of, strict=True))
    left, top = (of[0] - width) / 2, (of[1] - height) / 2
    return left, top, min(left + width, of[0]), min(top + height, of[1])


def centre_ink(image: Image.Image, size: tuple[int, int], style: Style, box: int) -> Image.Image:
    """Scale the ink of an image so that its longer side has `box` pixels, and centre it by its mass.

    Source: LeCun, Bottou, Bengio, Haffner 1998, section III.A; in MNIST, the mass is at (14, 14), counted from 0.

    Raises:
        InvalidItems: the image has no ink, or none is left of it at this size.
    """
    left, top, right, bottom = _ink_box(image, style)
    drawing = image.crop((left, top, right, bottom))
    scale = box / max(drawing.size)
    width, height = (max(1, round(side * scale)) for side in drawing.size)
    drawing = drawing.resize((width, height), Image.Resampling.LANCZOS)
    mass = _ink(drawing, style)
    if not mass.any():
        raise InvalidItems(
            Problem(f"the ink of the image is too fine: none is left of it at {width} x {height} pixels")
        )
    centre = [mass.sum(axis) @ np.arange(side) / mass.sum() for axis, side in ((0, width), (1, height))]
    place = [
        min(max(round(whole / 2 - middle), 0), whole - side)
        for whole, middle, side in zip(size, centre, (width, height), strict=True)
    ]
    return _on_canvas(drawing, size, (place[0], place[1]), style.background)


def _ink_box(image: Image.Image, style: Style) -> tuple[int, int, int, int]:
    """Return the smallest box with all ink of an image.

    Raises:
        InvalidItems: the image has no ink.
    """
    levels = image.convert("L")
    amounts = [abs(level - style.background) for level in range(WHITE + 1)]
    strongest = max(amounts[level] for level, n_pixels in enumerate(levels.histogram()) if n_pixels)
    threshold = max(MIN_INK_SHARE * strongest, 1)
    box = levels.point([WHITE * (amount >= threshold) for amount in amounts]).getbbox()
    if box is None:
        raise InvalidItems(Problem(f"the image has no ink to centre: all of it is {style.paper}"))
    return box


def _ink(image: Image.Image, style: Style) -> NDArray[np.float64]:
    """Return the amount of ink of each pixel, `[H, W]`, from 0 to 255."""
    levels = np.asarray(image.convert("L"), dtype=np.float64)
    return np.abs(levels - style.background)

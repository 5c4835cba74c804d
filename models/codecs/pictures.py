"""Encoded pictures: opening them, putting them on the model's paper, and bringing them to the model's size."""

import io
import math
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from models.errors import InvalidItems, Problem, UndecodableItems

Fit = Literal["contain", "cover", "stretch"]
Paper = Literal["black", "white"]
FORMATS = ("PNG", "JPEG", "WEBP")
ANIMATED_FORMATS = ("PNG", "WEBP")
WHITE = 255
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_DEPTH_OFFSET = 24
"""Position in a PNG of the number of bits of a sample."""
MIN_INK_SHARE = 0.2
"""Share of the strongest ink from which on a pixel counts as ink."""

Image.MAX_IMAGE_PIXELS = None  # `Limits.max_pixels` is the limit here; Pillow's own only warns

_PILLOW_ERRORS = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    IndexError,
    KeyError,
)


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


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of 8 bits a channel, in the mode `L` or `RGB`.

    Attributes:
        image: the picture without its transparency.
        alpha: the opacity of each pixel, from 0 to 255; None if all are opaque.
        n_frames: number of frames of the file, of which this is the first.
    """

    image: Image.Image
    alpha: NDArray[np.uint8] | None
    n_frames: int


def open_picture(data: bytes, max_pixels: int, mode: str) -> Picture:
    """Decode a file, upright as its EXIF says, after checking that its header declares at most `max_pixels`.

    Raises:
        InvalidItems: the picture has more pixels.
        UndecodableItems: the bytes are not a picture of one of the `FORMATS`.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if math.prod(image.size) > max_pixels:
            width, height = image.size
            detail = f"the image has {width} x {height} pixels; {max_pixels} are left of what a request may bring"
            raise InvalidItems(Problem(detail))
        image.load()
        n_frames = getattr(image, "n_frames", 1) if image.format in ANIMATED_FORMATS else 1
        with suppress(Exception):  # damaged EXIF makes Pillow raise errors of many types
            image = ImageOps.exif_transpose(image)
        depth = data[PNG_DEPTH_OFFSET] if data.startswith(PNG_SIGNATURE) else 8
        return Picture(_to_8_bits(image).convert(mode), _alpha(image, depth), n_frames)
    except _PILLOW_ERRORS:
        raise UndecodableItems(
            Problem(f"the bytes are not a readable image; accepted are {', '.join(FORMATS)}")
        ) from None


def _to_8_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray(np.rint(np.asarray(image, dtype=np.float64) / 257).astype(np.uint8))


def _alpha(image: Image.Image, depth: int) -> NDArray[np.uint8] | None:
    """Return the opacity of each pixel `[H, W]`; None if the file has no transparency.

    A file has it as a channel, as a list for the colours of a palette, or as one colour that is transparent. That
    colour is in samples of `depth` bits, and Pillow compares it wrongly unless these are 8. Of colours of 16 bits,
    Pillow keeps the upper 8, and those are compared.
    """
    if "A" in image.getbands():
        return np.asarray(image.getchannel("A"))
    key: Any = image.info.get("transparency")
    if key is None:
        return None
    if image.mode == "P":
        return np.asarray(image.convert("RGBA").getchannel("A"))
    pixels = np.asarray(image)
    if image.mode == "1":
        is_transparent = pixels == bool(key)
    elif image.mode == "RGB":
        is_transparent = (pixels == np.array(key) // (256 if depth == 16 else 1)).all(-1)
    else:
        is_transparent = pixels == key * (WHITE // (2**depth - 1) if depth < 8 else 1)
    return np.where(is_transparent, 0, WHITE).astype(np.uint8)


def put_on_paper(picture: Picture, style: Style, *, invert: bool) -> Image.Image:
    """Return a picture whose transparent pixels are paper. Where `invert` is set, only the picture is inverted."""
    image = ImageOps.invert(picture.image) if invert else picture.image
    if picture.alpha is None:
        return image
    canvas = Image.new(image.mode, image.size, (style.background,) * len(image.getbands()))
    canvas.paste(image, mask=Image.fromarray(picture.alpha))
    return canvas


def seems_inverted(picture: Picture, on_paper: Image.Image, style: Style) -> bool:
    """Return whether the paper of a picture seems to have the colour of the model's ink.

    That is so if most of its border has that colour, or if what is not transparent has the colour of the paper.
    """
    if style.paper is None:
        return False
    is_ink = (np.asarray(on_paper.convert("L")) >= WHITE / 2) == (style.paper == "black")
    border = np.concatenate([is_ink[0], is_ink[-1], is_ink[:, 0], is_ink[:, -1]])
    if border.mean() > 0.5:
        return True
    is_visible = None if picture.alpha is None else picture.alpha > WHITE / 2
    return is_visible is not None and bool(is_visible.any()) and is_ink[is_visible].mean() < 0.5


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
    mass = _ink(image, style)
    is_ink = mass >= max(MIN_INK_SHARE * mass.max(), 1)
    if not is_ink.any():
        raise InvalidItems(Problem(f"the image has no ink to centre: all of it is {style.paper}"))
    (top, bottom), (left, right) = (np.flatnonzero(is_ink.any(axis))[[0, -1]].tolist() for axis in (1, 0))
    drawing = image.crop((left, top, right + 1, bottom + 1))
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


def _ink(image: Image.Image, style: Style) -> NDArray[np.float64]:
    """Return the amount of ink of each pixel, `[H, W]`, from 0 to 255."""
    levels = np.asarray(image.convert("L"), dtype=np.float64)
    return np.abs(levels - style.background)

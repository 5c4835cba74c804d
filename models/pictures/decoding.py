"""From the file of a picture to the pixels of a model's input."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.pictures.header import PictureHeader
from models.pictures.opening import open_picture
from models.pictures.placing import (
    NO_OPTIONS,
    PictureOptions,
    Style,
    centre_ink,
    fit_into,
    put_on_paper,
    seems_inverted,
)


@dataclass(frozen=True, slots=True)
class PictureForm:
    """The form into which pictures are brought.

    Attributes:
        n_channels: 1 for grey, 3 for RGB.
        height: number of rows; None if pictures keep their own size.
        width: number of columns; None if pictures keep their own size.
        style: the paper and the ink of the pictures that the model was trained on.
        options: what the request says about its pictures.
        multiple: number that the sides of pictures which keep their size become multiples of, by getting smaller.
    """

    n_channels: int
    height: int | None
    width: int | None
    style: Style
    options: PictureOptions = NO_OPTIONS
    multiple: int = 1

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and the height of a picture in this form, given those that it has."""
        if self.width is None or self.height is None:
            return width - width % self.multiple, height - height % self.multiple
        return self.width, self.height

    def to_json(self) -> dict[str, Any]:
        """Return the form as values of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the form that `to_json` gave the values of."""
        return cls(**{**values, "style": Style(**values["style"]), "options": PictureOptions(**values["options"])})


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """The file of a picture, whose header has been read and is within the limits."""

    data: bytes
    header: PictureHeader


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture in the form that a model takes.

    Attributes:
        pixels: levels from 0 to 255, `[C, H, W]`.
        warnings: what a client should know about the picture, which is accepted all the same.
    """

    pixels: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()


def decode_picture(picture: EncodedPicture, form: PictureForm) -> DecodedPicture:
    """Decode a picture and bring it into the form of a model's input.

    Raises:
        UndecodableItems: the file is damaged.
        InvalidItems: an option cannot have its effect on this picture, or decoding it would take too long.
        MemoryError: there is too little memory.
    """
    style, options = form.style, form.options
    opened = open_picture(picture.data, picture.header, "L" if form.n_channels == 1 else "RGB")
    image = put_on_paper(opened, style, invert=options.invert)
    warnings = []
    if opened.n_frames > 1:
        warnings.append(f"the image is animated; of its {opened.n_frames} frames, only the first is read")
    if seems_inverted(opened, image, style):
        advice = "leave out the parameter invert" if options.invert else "set the parameter invert to true"
        warnings.append(
            f"the model was trained on images with {style.paper} paper, and the paper of this image seems to have the "
            f"colour of the model's ink; if so, {advice}"
        )
    size = form.size_for(*image.size)
    if form.width is None and size != image.size:
        resized = f"{image.width} x {image.height} pixels is resized to {size[0]} x {size[1]}"
        warnings.append(f"the image of {resized}, since the model takes sides of multiples of {form.multiple}")
    if options.centre and style.ink_box is not None:
        image = centre_ink(image, size, style, style.ink_box)
    else:
        fit = options.fit or ("stretch" if form.width is None else "contain")
        image = fit_into(image, size, fit, style.background)
    pixels = np.asarray(image)
    return DecodedPicture(
        pixels[None] if form.n_channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1)), tuple(warnings)
    )

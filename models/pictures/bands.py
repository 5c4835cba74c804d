"""Working on a large picture band by band, so that intermediate results need little memory."""

from collections.abc import Iterator

from PIL import Image

BAND_PIXELS = 2**19
"""Number of pixels of a band, unless a single row has more."""
Box = tuple[int, int, int, int]


def bands(image: Image.Image) -> Iterator[tuple[Box, Image.Image]]:
    """Yield the bands of an image from the top to the bottom: the box of each, and a copy of its pixels."""
    width, height = image.size
    n_rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, n_rows):
        box = (0, top, width, min(top + n_rows, height))
        yield box, image.crop(box)

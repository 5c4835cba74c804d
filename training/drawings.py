"""Made-up pictures of what is no digit, framed as MNIST frames its digits: pen drawings and filled shapes.

They are drawn at random; no picture of any data set is part of them. Coordinates are those of a unit square, whose y
axis points down.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from models.pictures.placing import Style, centre_ink

Points = NDArray[np.float64]
"""The places that a pen visits in order, `[n, 2]`, as x and y."""
Random = np.random.Generator

SIDE, INK_BOX = 28, 20
MNIST_STYLE = Style(paper="black", ink_box=INK_BOX)
OVERSAMPLING = 4
"""Pixels of the canvas on which a drawing is made for each pixel of the picture."""
MIN_PEN_PX, MAX_PEN_PX = 0.9, 3.2
"""Limits of the width of the pen in pixels of the picture, which are about those in MNIST."""
MAX_PEN_OF_MANY_PX = 2.2
"""Largest width of the pen that draws several strokes, which a wider pen would make a blot."""
POINTS_OF_STROKE = 16
SHARES_OF_STROKES = (0.34, 0.34, 0.2, 0.08, 0.04)
"""Shares of the drawings with one stroke, two and so on."""
SHARE_OF_CHARACTERS = 0.85
"""Share of the drawings whose strokes are placed as those of characters are."""
MAX_RADIUS = 0.5
"""Largest distance of a polygon's corners from its middle."""
TREMBLE = 0.006
"""Standard deviation of the places of a stroke around its exact shape."""


def framed(canvas: Image.Image) -> Tensor:
    """Return white ink on black as MNIST frames it, `[1, 28, 28]` in [0, 1].

    The longer side of the ink has 20 pixels, and its centre of mass is the centre of the picture.
    """
    return _pixels(centre_ink(canvas, (SIDE, SIDE), MNIST_STYLE, INK_BOX))


def pen_drawings(n: int, random: Random) -> Tensor:
    """Draw pictures of one to five pen strokes each, `[n, 1, 28, 28]` in [0, 1]."""
    return torch.stack([_pen_drawing(random) for _ in range(n)])


def filled_shapes(n: int, random: Random) -> Tensor:
    """Draw pictures of plain or textured areas, `[n, 1, 28, 28]` in [0, 1]."""
    return torch.stack([_filled_shape(random) for _ in range(n)])


def _pen_drawing(random: Random) -> Tensor:
    strokes = _strokes(random)
    places = np.concatenate(strokes)
    widest = MAX_PEN_PX if len(strokes) == 1 else MAX_PEN_OF_MANY_PX
    width = OVERSAMPLING * random.uniform(MIN_PEN_PX, widest)
    extent = max(float(np.ptp(places, axis=0).max()), 1e-6)
    scale, start = (OVERSAMPLING * INK_BOX - width) / extent, places.min(axis=0)
    canvas = Image.new("L", (OVERSAMPLING * SIDE, OVERSAMPLING * SIDE))
    pen = ImageDraw.Draw(canvas)
    for stroke in strokes:
        path = ((stroke - start) * scale + OVERSAMPLING + width).tolist()
        pen.line([(x, y) for x, y in path], fill=255, width=round(width))
        for x, y in path:  # the pen is round
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return framed(canvas)


def _strokes(random: Random) -> list[Points]:
    """Return the strokes of a drawing, which is like a character of an unknown script, or a scribble."""
    n_strokes = int(random.choice(len(SHARES_OF_STROKES), p=SHARES_OF_STROKES)) + 1
    strokes = _character(random, n_strokes) if random.random() < SHARE_OF_CHARACTERS else _scribble(random, n_strokes)
    turn = _rotation(random.normal(0, 0.08))
    stretch = np.array([1.0, random.uniform(0.6, 2.0)])
    return [(stroke * stretch + random.normal(0, TREMBLE, stroke.shape)) @ turn for stroke in strokes]


def _character(random: Random, n_strokes: int) -> list[Points]:
    """Return strokes between the nine places of a grid; most begin where an earlier stroke has been."""
    grid = np.stack(np.meshgrid((0.0, 0.5, 1.0), (0.0, 0.5, 1.0)), axis=-1).reshape(-1, 2)
    grid += random.normal(0, 0.05, grid.shape)
    strokes: list[Points] = []
    for _ in range(n_strokes):
        visited = [int(random.integers(9))]
        for _ in range(int(random.choice([1, 1, 1, 2, 2, 3]))):
            visited.append(int(random.choice([place for place in range(9) if place != visited[-1]])))
        if len(visited) > 2 and random.random() < 0.2:
            visited.append(visited[0])  # closed
        corners = grid[visited]
        if strokes and random.random() < 0.6:
            touched = strokes[random.integers(len(strokes))]
            corners[0] = touched[random.choice([0, -1, int(random.integers(len(touched)))])]
        kind = random.random()
        if kind < 0.2:
            strokes.append(_arc(random) * random.uniform(0.5, 1) + corners[0])
        elif kind < 0.55:
            strokes.append(_straight(corners))
        else:
            strokes.append(_bulging(corners, random))
    return strokes


def _scribble(random: Random, n_strokes: int) -> list[Points]:
    """Return strokes of all kinds; most touch an earlier one, and some stand apart."""
    shapes = (_curve, _corners, _arc, _wave)
    strokes: list[Points] = []
    for _ in range(n_strokes):
        shape = shapes[random.choice(len(shapes), p=(0.35, 0.3, 0.2, 0.15))]
        stroke = shape(random) * random.uniform(0.4, 1)
        if strokes and random.random() < 0.75:
            touched = strokes[random.integers(len(strokes))]
            stroke += touched[random.integers(len(touched))] - stroke[random.choice([0, 0, -1, len(stroke) // 2])]
        elif strokes:
            stroke += random.uniform(0, 1, 2)
        strokes.append(stroke)
    return strokes


def _bulging(corners: Points, random: Random) -> Points:
    """Return a smooth curve through the corners that leaves the straight lines between them to one side."""
    sides = np.diff(corners, axis=0)
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1)
    middles = corners[:-1] + sides / 2 + normals * random.normal(0, 0.3, (len(sides), 1))
    places = np.empty((2 * len(corners) - 1, 2))
    places[::2], places[1::2] = corners, middles
    return _smooth(places, 6 * len(places))


def _straight(corners: Points) -> Points:
    """Return places on the straight lines between the corners."""
    along = np.linspace(0, len(corners) - 1 - 1e-9, 4 * (len(corners) - 1) + 1)
    part, t = along.astype(int), (along % 1)[:, None]
    lines: Points = corners[part] * (1 - t) + corners[part + 1] * t
    return lines


def _smooth(corners: Points, n: int = POINTS_OF_STROKE) -> Points:
    """Return `n` places on the Catmull-Rom spline through the corners."""
    padded = np.concatenate([2 * corners[:1] - corners[1:2], corners, 2 * corners[-1:] - corners[-2:-1]])
    place = np.linspace(0, len(corners) - 1 - 1e-9, n)
    part, t = place.astype(int), (place % 1)[:, None]
    a, b, c, d = (padded[part + i] for i in range(4))
    spline: Points = b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))) / 2
    return spline


def _curve(random: Random) -> Points:
    """Return a smooth curve through three to six random places."""
    return _smooth(random.uniform(0, 1, (int(random.integers(3, 7)), 2)))


def _corners(random: Random) -> Points:
    """Return straight lines between two to five places near those of a grid; some are closed."""
    n = int(random.integers(2, 6))
    corners = [random.integers(0, 3, 2) / 2]
    while len(corners) < n:
        corner = random.integers(0, 3, 2) / 2
        if (corner != corners[-1]).any():
            corners.append(corner)
    if n > 2 and random.random() < 0.2:
        corners.append(corners[0])
    return _straight(np.array(corners) + random.normal(0, 0.06, (len(corners), 2)))


def _arc(random: Random) -> Points:
    """Return a part of an ellipse, or all of it, turned in any direction."""
    start, sweep = random.uniform(0, 2 * math.pi), random.uniform(0.4, 2.2) * math.pi
    angles = start + np.linspace(0, sweep, POINTS_OF_STROKE) * random.choice([-1, 1])
    axes = random.uniform(0.15, 0.55, 2)
    ellipse = np.stack([axes[0] * np.cos(angles), axes[1] * np.sin(angles)], axis=1)
    ellipse *= np.linspace(1, random.uniform(0.6, 1.4), POINTS_OF_STROKE)[:, None]  # some are spirals
    return ellipse @ _rotation(random.uniform(0, math.pi))


def _wave(random: Random) -> Points:
    """Return a line that goes up and down several times."""
    n_turns = int(random.integers(3, 8))
    along = np.linspace(0, 1, n_turns) + random.normal(0, 0.03, n_turns)
    across = random.uniform(0.2, 0.8) * (np.arange(n_turns) % 2) + random.normal(0, 0.06, n_turns)
    corners = np.stack([along, across], axis=1) @ _rotation(random.choice([0, math.pi / 2]) + random.normal(0, 0.2))
    return _smooth(corners, 6 * n_turns) if random.random() < 0.6 else corners


def _rotation(angle: float) -> Points:
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def _filled_shape(random: Random) -> Tensor:
    """Draw one to three areas, give them a texture, and let them fill the frame or be framed as a digit is."""
    side = OVERSAMPLING * SIDE
    canvas = Image.new("L", (side, side))
    shapes = (_polygon, _ellipse, _garment, _bands)
    kind = shapes[random.integers(len(shapes))]
    for _ in range(int(random.choice([1, 1, 2, 3]))):
        outline = [tuple(place) for place in kind(random) * side]
        ImageDraw.Draw(canvas).polygon(outline, fill=int(random.integers(90, 256)))
    if random.random() < 0.1:
        canvas = Image.new("L", (side, side), 255)
    mask = canvas.filter(ImageFilter.GaussianBlur(random.uniform(0, 3)))
    levels = np.asarray(mask, dtype=np.float64) * _texture(random, side)
    textured = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if textured.getbbox() is None or random.random() < 0.5:
        return _pixels(textured.resize((SIDE, SIDE), Image.Resampling.BOX))
    return framed(textured)


def _polygon(random: Random) -> Points:
    """Return a polygon of three to eight corners around a middle."""
    n = int(random.integers(3, 9))
    angles = np.sort(random.uniform(0, 2 * math.pi, n))
    return _around(random, angles, random.uniform(0.15, MAX_RADIUS, n))


def _ellipse(random: Random) -> Points:
    """Return an ellipse of any width and height, whose middle is on the diagonal of the frame."""
    circle = _around(random, np.linspace(0, 2 * math.pi, 40), np.ones(40))
    return circle * random.uniform(0.2, 0.5, 2) + random.uniform(0.2, 0.5)


def _around(random: Random, angles: Points, radii: Points) -> Points:
    """Return an outline around a random middle, or around the origin if it is too large for the frame."""
    middle = random.uniform(0.35, 0.65, 2)
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    return outline + middle if radii.max() <= MAX_RADIUS else outline


def _garment(random: Random) -> Points:
    """Return a shape with the same random edge at its left and at its right, as most clothes and vessels have."""
    n = int(random.integers(3, 9))
    heights = np.linspace(random.uniform(0, 0.2), random.uniform(0.8, 1), n)
    half_widths = random.uniform(0.08, 0.5, n)
    left = np.stack([0.5 - half_widths, heights], axis=1)
    right = np.stack([0.5 + half_widths, heights], axis=1)
    return np.concatenate([left, right[::-1]])


def _bands(random: Random) -> Points:
    """Return a bar or a wedge from one side to the other, at any height and in any direction."""
    height, thickness = random.uniform(0.1, 0.7), random.uniform(0.1, 0.5, 2)
    bar = np.array([[0, height], [1, height], [1, height + thickness[1]], [0, height + thickness[0]]])
    return (bar - 0.5) @ _rotation(random.choice([0, math.pi / 2, random.uniform(0, math.pi)])) + 0.5


def _texture(random: Random, side: int) -> Points:
    """Return factors in [0, 1] for each place of the canvas: plain, graded, striped, chequered or noisy."""
    y, x = np.mgrid[0:side, 0:side] / side
    along = x * math.cos(angle := random.uniform(0, 2 * math.pi)) + y * math.sin(angle)
    period = random.uniform(0.08, 0.4)
    textures: Sequence[Callable[[], Points]] = (
        lambda: np.ones((side, side)),
        lambda: np.clip(0.5 + along - along.mean(), 0.1, 1),
        lambda: 0.6 + 0.4 * np.sign(np.sin(2 * math.pi * along / period)),
        lambda: 0.7 + 0.3 * np.sign(np.sin(2 * math.pi * x / period) * np.sin(2 * math.pi * y / period)),
        lambda: _noise(random, side, OVERSAMPLING),
        lambda: _noise(random, side, 4 * OVERSAMPLING),
    )
    texture: Points = textures[int(random.integers(len(textures)))]() * random.uniform(0.4, 1)
    return texture


def _noise(random: Random, side: int, grain: int) -> Points:
    """Return noise between 0.2 and 1 that is smooth over about `grain` places."""
    coarse = Image.fromarray(random.uniform(50, 255, (side // grain, side // grain)).astype(np.uint8))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64) / 255


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)[None]

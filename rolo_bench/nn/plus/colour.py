"""Colours of the target against those around it: a cue of how far it reaches that no network was trained for.

Source: histograms of foreground and background as in Staple (Bertinetto et al. 2016), read over candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from rolo_bench.boxes import Array, centers
from rolo_bench.nn.plus.evidence import around
from rolo_bench.nn.plus.view import View, crop
from rolo_bench.sequence import Image

PIXELS = 96  # side of the crop whose pixels are counted
BINS = 16  # of each of the three colours
RARE = 2e-4  # share of pixels below which a colour says little
RING = 1.5  # side of what lies around a box, in sides of the box


def likelihoods(image: Image, view: View, box: Array) -> Array:
    """How likely a pixel of each colour is the target's ``(BINS³,)``, 0 … 1 and a half for colours that were not seen.

    Args:
        image, view, box: first frame, a look at it, and the target there ``(4,)``; the look's crop is counted.
    """
    inside, outside = counted(image, view, box)
    return (inside + RARE) / (inside + outside + 2 * RARE)


def coloured(likely: Array, image: Image, view: View, boxes: Array) -> Array:
    """Mean likelihood in boxes ``(N, 4)`` and in the ring around each, 0 where nothing is seen: ``(N, 2)``.

    Args:
        likely: of `likelihoods`.
        image, view: a frame and a look at it, whose crop is read.
    """
    total = np.zeros((PIXELS + 1, PIXELS + 1))
    total[1:, 1:] = likely[bins(image, view)].cumsum(axis=0).cumsum(axis=1)
    inside, area = summed(total, view, boxes)
    wide, all_area = summed(total, view, around(centers(boxes), RING * boxes[:, 2:]))
    return np.stack([share(inside, area), share(wide - inside, all_area - area)], axis=1)


def bins(image: Image, view: View) -> NDArray[np.int64]:
    """Number of the colour of each pixel of a look's crop ``(PIXELS, PIXELS)``."""
    pixels = crop(image, view.centre, view.side, PIXELS).astype(np.int64)
    red, green, blue = np.moveaxis(pixels * BINS // 256, 2, 0)
    return (red * BINS + green) * BINS + blue


def counted(image: Image, view: View, box: Array) -> tuple[Array, Array]:
    """Share of each colour ``(BINS³,)`` inside and outside of a box ``(4,)``, of the crop's pixels within the image."""
    places = (np.arange(PIXELS) + 0.5) / PIXELS * view.side
    x, y = (view.centre - view.side / 2)[:, None] + places  # (2, PIXELS)
    seen = ((y > 0) & (y < image.shape[0]))[:, None] & ((x > 0) & (x < image.shape[1]))
    within = ((y > box[1]) & (y < box[1] + box[3]))[:, None] & ((x > box[0]) & (x < box[0] + box[2]))
    found = bins(image, view)
    parts = [np.bincount(found[seen & part], minlength=BINS**3) for part in (within, ~within)]
    inside, outside = (part / max(part.sum(), 1) for part in parts)
    return inside, outside


def summed(total: Array, view: View, boxes: Array) -> tuple[Array, Array]:
    """Sum of a map over boxes ``(N, 4)`` in image pixels, from its integral image, and their area on it: ``(N,)``."""
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])  # (2, N, 2)
    (x, right), (y, bottom) = np.clip(
        (corners - view.centre + view.side / 2) * PIXELS / view.side, 0, PIXELS
    ).transpose(2, 0, 1)
    rows, columns = np.stack([bottom, y, bottom, y]), np.stack([right, right, x, x])
    values = map_coordinates(total, [rows, columns], order=1, mode="nearest")
    return values[0] - values[1] - values[2] + values[3], (right - x) * (bottom - y)


def share(part: Array, whole: Array) -> Array:
    """Quotient, 0 where the whole is next to nothing."""
    return np.where(whole > 0.01, part / np.maximum(whole, 0.01), 0.0)

"""Where the pixels of the target went since the first frame and since the last one: what corrects the given box.

Source: MedianFlow (Kalal et al. 2010): points on a lattice, followed forward and backward by Lucas and Kanade's
method; the target moves and grows by medians over them. Here from any frame to any other, between crops in which
the target is of one size and the light even, and by those points alone that agree on one movement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from rolo_bench.boxes import Array, centers
from rolo_bench.nn.plus.evidence import around
from rolo_bench.nn.plus.view import Square, crop
from rolo_bench.sequence import Image

PIXELS = 128  # side of a crop
CONTEXT = 2.0  # side of what it shows, in mean target sides
LEAST_SIDE = 4.0  # of that in image pixels
EVEN = 8.0  # pixels over which light and contrast are evened out
POINTS = 8  # of the lattice along a side of the target
LEAST = 6  # points that a movement needs
MISS = 3.0  # pixels of the crop by which a point may miss where it began, there and back, or where all others went
APART = 0.3  # mean target sides between two points whose distance tells the growth
METHOD: dict[str, Any] = {"winSize": (21, 21), "maxLevel": 3, "criteria": (3, 20, 0.03)}


@dataclass(frozen=True)
class Patch(Square):
    """A grey crop ``(PIXELS, PIXELS)`` around a target, its light and contrast evened out."""

    pixels: NDArray[np.uint8]

    @property
    def count(self) -> int:
        return PIXELS

    @classmethod
    def cut(cls, image: Image, box: Array) -> Patch:
        """The crop around a box ``(4,)``."""
        centre, side = centers(box)[0], max(CONTEXT * float(np.sqrt(box[2:].prod())), LEAST_SIDE)
        gray = cv2.cvtColor(crop(image, centre, side, PIXELS), cv2.COLOR_RGB2GRAY).astype(np.float32)
        contrast = gray - cv2.GaussianBlur(gray, (0, 0), EVEN)
        spread = np.sqrt(cv2.GaussianBlur(contrast**2, (0, 0), EVEN)) + 4
        return cls(centre, side, np.clip(128 + 40 * contrast / spread, 0, 255).astype(np.uint8))


def moved(past: Patch, now: Patch, box: Array) -> tuple[Array, float]:
    """A box ``(4,)`` of an earlier frame as its pixels moved, and the share of its points that agree on it.

    Of a box that is more than four times as long as wide some points lie beyond the crop and never agree.

    Args:
        past, now: crops of that frame and of this one.
        box: in image pixels; it comes back as it is, with a share of 0, where fewer than `LEAST` points agree.
    """
    steps = (np.arange(POINTS) + 0.5) / POINTS - 0.5
    before = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) * box[2:]  # from the centre
    start = past.to_cells(centers(box)[0] + before).astype(np.float32)
    end, there = followed(past, now, start)
    back, again = followed(now, past, end)
    sure = there & again & (np.linalg.norm(back - start, axis=1) < MISS)
    after = now.to_pixels(np.round(end.astype(np.float64) * 64) / 64)
    for last in (False, True):
        if sure.sum() < LEAST:
            return box, 0.0
        centre, growth = movement_of(before[sure], after[sure], APART * float(np.sqrt(box[2:].prod())))
        if not last:
            sure &= np.linalg.norm(after - centre - growth * before, axis=1) * now.cells < MISS
    return around(centre, box[2:] * growth), float(sure.mean())


def movement_of(before: Array, after: Array, apart: float) -> tuple[Array, float]:
    """Where the origin ``(2,)`` went and how all grew, by medians over points ``(N, 2)``.

    Args:
        before, after: the points on the two frames.
        apart: least distance of two points whose growth counts; without any, all are taken to have kept it.
    """
    old, new = pdist(before), pdist(after)
    far = old > apart
    growth = float(np.median(new[far] / old[far])) if far.any() else 1.0
    return np.median(after - growth * before, axis=0), growth


def followed(
    first: Patch, second: Patch, points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points ``(N, 2)`` of one crop lie on another, and whether each was found ``(N,)``."""
    found: Any = cv2.calcOpticalFlowPyrLK(first.pixels, second.pixels, points[:, None], None, **METHOD)  # type: ignore[call-overload]
    return found[0][:, 0], found[1][:, 0] > 0

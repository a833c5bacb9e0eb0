"""How the pixels of the target moved since the last frame: what steadies the box that is given.

Source: MedianFlow (Kalal et al. 2010): points on a lattice, followed forward and backward by Lucas and Kanade's
method; the target moves by the median of the movements and grows by the median of how distances changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, centers
from rolo_bench.nn.plus.evidence import around
from rolo_bench.nn.plus.view import Square, crop, snapped
from rolo_bench.sequence import Image

PIXELS = 128  # side of the crop in which points are followed
POINTS = 8  # of the lattice along a side of the target
LEAST = 6  # points that a movement needs
MISS = 1.0  # pixels of the crop by which a point, followed there and back, may miss where it began
APART = 0.3  # mean target sides between two points whose distance tells the growth
GROWTH = 1.25  # most of a frame
METHOD: dict[str, Any] = {"winSize": (13, 13), "maxLevel": 3, "criteria": (3, 12, 0.03)}


@dataclass(frozen=True)
class Patch(Square):
    """A grey crop ``(PIXELS, PIXELS)``."""

    pixels: NDArray[np.uint8]

    @property
    def count(self) -> int:
        return PIXELS

    @classmethod
    def cut(cls, image: Image, centre: Array, side: float) -> Patch:
        """The crop on the lattice of `snapped`."""
        centre, side = snapped(centre, side)
        pixels: Any = cv2.cvtColor(crop(image, centre, side, PIXELS), cv2.COLOR_RGB2GRAY)
        return cls(centre, side, pixels)


def moved(past: Patch, now: Patch, box: Array) -> tuple[Array, float]:
    """A box ``(4,)`` of the last frame as its pixels moved, and the share of its points that could be followed.

    Args:
        past, now: crops of the last frame and of this one, at any place and of one side.
        box: in image pixels.
    """
    steps = (np.arange(POINTS) + 0.5) / POINTS - 0.5
    lattice = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    before = centers(box)[0] + lattice * box[2:]
    start = past.to_cells(before).astype(np.float32)
    end, there = followed(past, now, start)
    back, again = followed(now, past, end)
    sure = there & again & (np.linalg.norm(back - start, axis=1) < MISS)
    if sure.sum() < LEAST:
        return box, 0.0
    after = now.to_pixels(np.round(end[sure].astype(np.float64) * 64) / 64)
    before = before[sure]
    old, new = (np.linalg.norm(points[:, None] - points, axis=2) for points in (before, after))
    far = old > APART * np.sqrt(box[2:].prod())
    growth = float(np.clip(np.median(new[far] / old[far]), 1 / GROWTH, GROWTH)) if far.any() else 1.0
    centre = centers(box)[0] + np.median(after - before, axis=0)
    return around(centre, box[2:] * growth), float(sure.mean())


def followed(
    first: Patch, second: Patch, points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points ``(N, 2)`` of one crop lie on another, and whether each was found ``(N,)``."""
    found: Any = cv2.calcOpticalFlowPyrLK(first.pixels, second.pixels, points[:, None], None, **METHOD)  # type: ignore[call-overload]
    return found[0][:, 0], found[1][:, 0] > 0

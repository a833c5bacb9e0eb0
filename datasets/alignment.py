"""Whether results fit the truth that they are held against, and what is likely wrong where they do not.

Results come from anywhere: a file may hold corners where sizes are expected, count pixels from 0 or from 1, begin a
few frames early or late, or be of another video. Its first box tells: it is the box that the tracker was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from rolo_bench.boxes import Array, iou, valid

ROUNDED = 0.51
"""A first box that is off by at most this many pixels was rounded, or stands for the middle of a pixel."""
CLOSE = 0.8
"""Overlap from which on two boxes are taken for the same one."""
GAIN = 0.05
"""By how much the mean overlap must rise for a shift in time to be believed."""


class Misfit(Enum):
    """What is likely wrong with a result, in words that say what to do."""

    CORNERS = "its rows look like corners x1, y1, x2, y2; import it with --corners"
    FIRST_CORNERS = "its first row alone looks like corners x1, y1, x2, y2"
    FROM_ZERO = "its pixels seem to count from 0, not from 1; import it with --zero-based"
    FROM_ONE = "its pixels seem to count from 1, not from 0; import it with --one-based"
    LATE = "it seems to lack its first {} rows: its first box is the truth of frame {}"
    EARLY = "it seems to begin {} frames early: the first true box is in its row {}"
    CENTRES = "its x and y look like the middle of the box; subtract half its size"
    SWAPPED = "its rows look like y, x, h, w"
    FRACTIONS = "its numbers look like fractions of the image; multiply them by width and height"
    OTHER = "its first box is that of {}: results of another sequence?"
    UNKNOWN = "its first box is not the truth (overlap {}): another range, sequence or type?"


@dataclass(frozen=True)
class Finding:
    """A misfit with what is to be said of it."""

    kind: Misfit
    words: tuple[object, ...] = ()

    def __str__(self) -> str:
        return self.kind.value.format(*self.words)


def from_corners(boxes: Array) -> Array:
    """Boxes ``(N, 4)`` from rows x1, y1, x2, y2."""
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def like_corners(boxes: Array, size: tuple[int, int]) -> bool:
    """Whether rows ``(N, 4)`` all lie in an image of this width and height as corners, and most do not as boxes."""
    real, most = boxes[valid(boxes)], np.array(size) + 1
    inside = (real[:, 2:] > real[:, :2]) & (real[:, 2:] <= most)
    beyond = (real[:, :2] + real[:, 2:] > most).any(axis=1)
    return bool(inside.all() and 2 * beyond.sum() > len(real))


def find_misfit(boxes: Array, truth: Array, firsts: Mapping[str, Array] | None = None) -> Finding | None:
    """What is likely wrong with boxes ``(N, 4)``, judged by the first one against truth ``(N, 4)``, both 0-based.

    None where the first box is the first true one, or near enough that nothing else explains it better, and where
    the truth does not begin with a box.

    Args:
        firsts: first true boxes of other sequences ``(4,)``, by name.
    """
    off = boxes[0] - truth[0]
    if (np.abs(off) <= ROUNDED).all() or not valid(truth[0])[0]:
        return None
    if np.isnan(off).any():
        return Finding(Misfit.UNKNOWN, ("none",))
    return (
        _corners(boxes, truth)
        or _counted(boxes, truth, off)
        or _shifted(boxes, truth)
        or _other(boxes[0], firsts or {})
        or _written_otherwise(boxes, truth[0])
        or _far(boxes[0], truth[0])
    )


def _mean(boxes: Array, truth: Array) -> float:
    """Mean overlap of frames with a true box; a row that is no box overlaps by 0."""
    there = valid(truth)
    return float(np.nan_to_num(iou(boxes, truth))[there].mean()) if there.any() else 0.0


def _corners(boxes: Array, truth: Array) -> Finding | None:
    """Whether the numbers make better sense as two corners."""
    sized = from_corners(boxes)
    if (np.abs(sized[0] - truth[0]) > 1.5).any():
        return None
    whole = _mean(sized[1:], truth[1:]) > _mean(boxes[1:], truth[1:]) or len(boxes) == 1
    return Finding(Misfit.CORNERS if whole else Misfit.FIRST_CORNERS)


def _counted(boxes: Array, truth: Array, off: Array) -> Finding | None:
    """Whether pixels count from another number; the whole result must gain by it, since trackers round."""
    for kind, step in ((Misfit.FROM_ZERO, -1.0), (Misfit.FROM_ONE, 1.0)):
        moved = np.array([step, step, 0, 0])
        if (np.abs(off - moved) < 0.26).all() and _mean(boxes - moved, truth) > _mean(boxes, truth):
            return Finding(kind)
    return None


def _shifted(boxes: Array, truth: Array) -> Finding | None:
    """Whether the result fits another stretch of the video better, from its first box on.

    Where the first box nearly fits, at least half of the video must agree.
    """
    here, near = _mean(boxes, truth), np.nan_to_num(iou(boxes[0], truth[0])[0])
    best: tuple[float, Finding] | None = None
    for late, row, others in ((True, boxes[0], truth), (False, truth[0], boxes)):
        for k in np.flatnonzero(iou(row, others) >= max(CLOSE, near + 0.02)):
            if k == 0 or k > len(truth) * (0.5 if near >= 0.5 else 1) - 2:
                continue
            mean = _mean(boxes[:-k], truth[k:]) if late else _mean(boxes[k:], truth[:-k])
            if mean >= here + GAIN and (best is None or mean > best[0]):
                best = mean, Finding(Misfit.LATE if late else Misfit.EARLY, (k, k + 1))
    return best[1] if best else None


def _other(first: Array, firsts: Mapping[str, Array]) -> Finding | None:
    """The sequence that begins with this very box."""
    names = (name for name, box in firsts.items() if (np.abs(first - box) <= ROUNDED).all())
    name = next(names, None)
    return None if name is None else Finding(Misfit.OTHER, (name,))


def _written_otherwise(boxes: Array, first: Array) -> Finding | None:
    """Whether the rows make sense as another way to write a box, for which `import` has no option."""
    if np.nanmax(np.abs(boxes)) <= 1 < first[2:].min():
        return Finding(Misfit.FRACTIONS)
    centre = np.append(first[:2] + first[2:] / 2, first[2:])
    for kind, there in ((Misfit.CENTRES, centre), (Misfit.SWAPPED, first[[1, 0, 3, 2]])):
        if (np.abs(boxes[0] - there) <= 1.5).all():
            return Finding(kind)
    return None


def _far(first: Array, truth: Array) -> Finding | None:
    overlap = iou(first, truth)[0]
    return None if overlap >= 0.5 else Finding(Misfit.UNKNOWN, (f"{np.nan_to_num(overlap):.2f}",))

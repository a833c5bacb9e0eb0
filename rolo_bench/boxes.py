"""Box arithmetic on arrays.

One convention everywhere inside: ``(N, 4)`` float64 ``x, y, w, h``, top-left corner, pixels,
0-based; a row with NaN is "no box". Only readers and writers convert from and to others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def as_boxes(boxes: ArrayLike) -> Array:
    """Boxes as a ``(N, 4)`` float64 array; one box ``(4,)`` becomes ``(1, 4)``.

    Raises:
        ValueError: another shape.
    """
    array = np.asarray(boxes, dtype=np.float64)
    if array.ndim == 1 and array.shape[0] == 4:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must have shape (N, 4), not {array.shape}")
    return array


def valid(boxes: ArrayLike) -> NDArray[np.bool_]:
    """Which rows ``(N,)`` are real boxes: all four finite, width and height above zero."""
    x, y, w, h = as_boxes(boxes).T
    return np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h) & (w > 0) & (h > 0)


def centers(boxes: ArrayLike) -> Array:
    """Box centres ``(N, 2)`` in pixels, continuous: ``x + w / 2``, ``y + h / 2``."""
    b = as_boxes(boxes)
    return b[:, :2] + b[:, 2:] / 2


def iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Intersection over union, row by row: ``(N,)`` in 0 … 1.

    One of the two may have a single row, which is then held against every row of the other.
    A row that is not a real box on either side gives NaN. Areas are ``w * h``; OTB's
    inclusive-pixel code (``right = x + w - 1``, then ``+ 1``) comes to the same.

    Source: Wu, Lim, Yang 2013, ``calcRectInt``.
    """
    p, q = as_boxes(a), as_boxes(b)
    (px, py, pw, ph), (qx, qy, qw, qh) = p.T, q.T
    with np.errstate(invalid="ignore", over="ignore"):
        across = np.minimum(px + pw, qx + qw) - np.maximum(px, qx)
        down = np.minimum(py + ph, qy + qh) - np.maximum(py, qy)
        inter = np.maximum(across, 0) * np.maximum(down, 0)
        union = pw * ph + qw * qh - inter
    good = valid(p) & valid(q) & (union > 0)  # sides near the smallest float have an area of 0
    values = np.divide(inter, union, out=np.full(len(union), np.nan), where=good)
    return np.minimum(values, 1.0)  # rounding may pass 1 by 1e-14


def iou_matrix(a: ArrayLike, b: ArrayLike) -> Array:
    """Intersection over union of every pair: ``(N, M)`` in 0 … 1; 0 where a row is not a real box."""
    p, q = as_boxes(a), as_boxes(b)
    if not len(p) or not len(q):
        return np.zeros((len(p), len(q)))
    n, m = len(p), len(q)
    values = iou(np.repeat(p, m, axis=0), np.tile(q, (n, 1))).reshape(n, m)
    return np.nan_to_num(values, nan=0.0)


def to_relative(boxes: ArrayLike, size: tuple[int, int]) -> Array:
    """``x, y, w, h`` in pixels to centre and size relative to an image of ``size`` (width, height).

    Source: ROLO paper, equation 3.
    """
    b = as_boxes(boxes)
    scale = np.asarray([*size, *size], dtype=np.float64)
    return np.hstack([centers(b), b[:, 2:]]) / scale


def from_relative(relative: ArrayLike, size: tuple[int, int]) -> Array:
    """The inverse of `to_relative`: relative centre and size to ``x, y, w, h`` in pixels."""
    r = as_boxes(relative) * np.asarray([*size, *size], dtype=np.float64)
    return np.hstack([r[:, :2] - r[:, 2:] / 2, r[:, 2:]])


def clip(boxes: ArrayLike, size: tuple[int, int], least: float = 1.0) -> Array:
    """Boxes cut to an image of ``size`` (width, height), each side at least ``least`` pixels."""
    b = as_boxes(boxes)
    limit = np.asarray(size, dtype=np.float64)
    low = np.clip(b[:, :2], 0, np.maximum(limit - least, 0))
    high = np.clip(b[:, :2] + b[:, 2:], low + least, np.maximum(limit, low + least))
    return np.hstack([low, high - low])

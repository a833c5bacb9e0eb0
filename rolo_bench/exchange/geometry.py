"""From the ways in which OTB trackers described a target to boxes.

Every function takes the numbers as they stand in the file and gives raw boxes ``(N, 4)`` x, y, w, h in the
file's own 1-based pixels. A NaN in a description gives a NaN row. The rules, with their roundings, are those of
the 2013 MATLAB toolkit, whose evaluation made the published scores; the files of 2015 hold the same
descriptions under new type names. (The conversion that came with those files leaves out the roundings and, for
the Lucas-Kanade warp, the identity; neither is followed here.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.errors import DataError

TYPES = {
    "rect": "rect",
    "ivtAff": "affine_ivt",
    "affine_ivt": "affine_ivt",
    "L1Aff": "affine_L1",
    "affine_L1": "affine_L1",
    "LK_Aff": "affine_LK",
    "affine_LK": "affine_LK",
    "4corner": "four_corners",
    "four_corners": "four_corners",
    "affine": "four_corners",
    "SIMILARITY": "similarity",
    "similarity": "similarity",
}
"""Type names of the files of 2013 and of 2015, and the description that they stand for."""


def _round(values: Array) -> Array:
    """Halves away from zero, as MATLAB rounds (numpy rounds them to even)."""
    return np.sign(values) * np.floor(np.abs(values) + 0.5)


def _around(corners: Array) -> Array:
    """Rounded bounding box of corners ``(N, 2, K)``, both ends counted.

    Source: OTB ``corner2rect``.
    """
    low, high = corners.min(axis=2), corners.max(axis=2)
    return _round(np.concatenate([low, high - low + 1], axis=1))


def rect(values: Array, size: Array) -> Array:
    """Boxes that are boxes already, ``(N, 4)``."""
    return values


def affine_ivt(values: Array, size: Array) -> Array:
    """Affine parameters ``(N, 6)`` of a template of ``size`` (width, height) centred on the target.

    The corners are ``(p0, p1) + [[p2, p3], [p4, p5]] @ (±w/2, ±h/2)``; the box spans the first and the third
    of them, each rounded down. Source: OTB ``calcRectCenter``.
    """
    half = size / 2
    turn = values[:, 2:].reshape(-1, 2, 2) @ half  # (N, 2)
    first, third = np.floor(values[:, :2] - turn), np.floor(values[:, :2] + turn)
    return np.concatenate([first, third - first], axis=1)


def affine_l1(values: Array, size: Array) -> Array:
    """Affine parameters ``(N, 6)`` of a template of ``size`` (rows, columns) with its corner at (1, 1).

    ``row = p0 r + p1 c + p4`` and ``column = p2 r + p3 c + p5``, rounded; the box spans template points
    (1, 1) and ``size``, both counted. Source: OTB ``calcCenter_L1`` and ``aff2image``.
    """
    matrix = values[:, :4].reshape(-1, 2, 2)
    first = _round(matrix.sum(axis=2) + values[:, 4:])[:, ::-1]  # (N, 2) as column, row
    last = _round(matrix @ size + values[:, 4:])[:, ::-1]
    return np.concatenate([first, last - first + 1], axis=1)


def _template(size: Array) -> Array:
    """Homogeneous corners ``(3, 4)`` of a template of ``size`` (height, width) whose first pixel is (1, 1)."""
    h, w = size
    return np.array([[1, 1, w, w], [1, h, h, 1], [1, 1, 1, 1]], dtype=np.float64)


def affine_lk(values: Array, size: Array) -> Array:
    """Lucas-Kanade warps, two rows of three a frame ``(2 N, 3)``, the identity left out, template (height, width).

    Source: OTB ``getLKcorner`` and ``corner2rect``.
    """
    warps = values.reshape(-1, 2, 3) + np.eye(2, 3)
    return _around(warps @ _template(size))


def four_corners(values: Array, size: Array) -> Array:
    """Corners, a row of x and a row of y a frame ``(2 N, 4)``. Source: OTB ``corner2rect``."""
    return _around(values.reshape(-1, 2, 4))


def similarity(values: Array, size: Array) -> Array:
    """Scale, angle in radians, x, y ``(N, 4)`` of a template (height, width).

    Source: OTB ``parameters_to_projective_matrix``, ``getLKcorner`` and ``corner2rect``.
    """
    scale, angle, x, y = values.T
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    warps = np.stack([np.stack([cos, -sin, x], axis=1), np.stack([sin, cos, y], axis=1)], axis=1)
    return _around(warps @ _template(size))


Rule = Callable[[Array, Array], Array]
RULES: dict[str, tuple[int, int, Rule]] = {
    "rect": (4, 1, rect),
    "affine_ivt": (6, 1, affine_ivt),
    "affine_L1": (6, 1, affine_l1),
    "affine_LK": (3, 2, affine_lk),
    "four_corners": (4, 2, four_corners),
    "similarity": (4, 1, similarity),
}
"""A description's numbers a row, its rows a frame, and its rule."""


def to_boxes(kind: str, values: Array, size: Array | None, where: str) -> Array:
    """Raw 1-based boxes ``(N, 4)`` from a file's numbers.

    Args:
        kind: the type in the file's own word.
        values: as they stand in the file.
        size: template size, for the descriptions that need one.
        where: file and place, for messages.

    Raises:
        DataError: unknown type, wrong number of columns or rows, or no usable template size.
    """
    if kind not in TYPES:
        raise DataError(f"{where}: unknown result type {kind!r}; known: {', '.join(TYPES)}")
    name = TYPES[kind]
    columns, rows, rule = RULES[name]
    if values.ndim != 2 or not values.size:
        raise DataError(f"{where}: expected a table of numbers, found shape {values.shape}")
    if name == "similarity" and values.shape[1] != 4 and values.shape[0] == 4:
        values = values.T  # both ways round were published
    if values.shape[1] != columns:
        raise DataError(f"{where}: type {kind} needs {columns} numbers a row, found {values.shape[1]}")
    if len(values) % rows:
        raise DataError(f"{where}: type {kind} needs {rows} rows a frame, found {len(values)} rows in all")
    if name not in ("rect", "four_corners") and (
        size is None or size.shape != (2,) or not np.isfinite(size).all() or (size <= 0).any()
    ):
        raise DataError(f"{where}: type {kind} needs a template size of two positive numbers")
    with np.errstate(invalid="ignore"):
        return rule(values, np.zeros(2) if size is None else size)

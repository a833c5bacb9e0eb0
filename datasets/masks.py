"""Bounding boxes of masks: VOT's run lengths and DAVIS's images."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.place import Truth, frame_paths
from rolo_bench.errors import DataError

WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
LARGEST = 1 << 24
"""Pixels of a side, and of a place, beyond which nothing is a mask."""
MOST = 64
"""Targets of a video; a mask of more colours was scaled, or compressed with loss."""
VOID = 255
"""Colour of pixels that belong to no target, where there are others."""


def box_of(mask: np.ndarray) -> Array:
    """The box ``(4,)`` around what is not zero in a mask ``(H, W)``; NaN for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.full(4, np.nan)
    x, y = columns[0], rows[0]
    return np.array([x, y, columns[-1] - x + 1, rows[-1] - y + 1], dtype=np.float64)


def decode(values: list[int], where: str) -> Array:
    """The box ``(4,)`` of a mask as VOT writes it: ``x0, y0, width, height`` and run lengths of 0 and 1 in turn.

    Raises:
        DataError: it is no mask; ``where`` says in which file and row.
    """
    if len(values) < 4 or min(values[2:]) < 0:
        raise DataError(f"{where}: not a mask")
    x, y, width, height = values[:4]
    ends = list(accumulate(values[4:]))
    if (
        max(map(abs, values[:4])) > LARGEST
        or min(values[4:], default=0) < 0
        or max(ends, default=0) > width * height
    ):
        raise DataError(f"{where}: a mask whose run lengths do not fit {width} × {height} pixels")
    first, last = (
        np.array([(a, b - 1) for a, b in zip(ends[::2], ends[1::2]) if b > a], dtype=int).reshape(-1, 2).T
    )
    if not len(first):
        return np.full(4, np.nan)
    rows, columns = (first // width, last // width), (first % width, last % width)
    over = bool((rows[0] != rows[1]).any())  # a run that goes on in the next row reaches both sides
    left, right = (0, width - 1) if over else (columns[0].min(), columns[1].max())
    top = rows[0].min()
    return np.array([x + left, y + top, right - left + 1, rows[1].max() - top + 1], dtype=np.float64)


def parse(text: str, where: str) -> Array:
    """`decode` of a row of text, ``m0,0,4,3,…``.

    Raises:
        DataError: as `decode`.
    """
    cells = [c.strip() for c in text.strip()[1:].split(",")]
    if not all(WHOLE.fullmatch(c) for c in cells):
        raise DataError(f"{where}: not a mask: {text[:40]!r}")
    return decode([int(c) for c in cells], where)


def encode(box: Array) -> str:
    """A filled rectangle as a mask of VOT; empty for no box."""
    if np.isnan(box).any():
        return "m0,0,0,0"
    x, y, w, h = (int(v) for v in np.rint(box))
    return f"m{x},{y},{w},{h},0,{w * h}"


def davis_objects(path: Path) -> list[int]:
    """The targets of a mask image, by their colour's number; 255 beside others is "do not care", as in VOC.

    Raises:
        DataError: not a readable image, or one with more colours than any video has targets.
    """
    found = [int(v) for v in np.unique(read_mask(path)) if v != 0]
    if len(found) > MOST:
        raise DataError(
            f"{path}: {len(found)} colours, one a target is expected; a mask must not be scaled or a JPEG"
        )
    return [v for v in found if v != VOID] or found


def davis_truth(masks: dict[int, Path], target: int, folder: Path, images: Path) -> Truth:
    """Boxes around one target in the masks of a video, a file a frame, that are as large as its images.

    Raises:
        DataError: they are not, or one cannot be read.
    """
    size, boxes = _image_size(images), []
    for path in masks.values():
        mask = read_mask(path)
        size = size or mask.shape[::-1]
        if mask.shape[::-1] != size:
            raise DataError(
                f"{path}: {mask.shape[1]} × {mask.shape[0]} pixels, its images have {size[0]} × {size[1]}"
            )
        boxes.append(box_of(mask == target))
    there = np.array(boxes)
    return Truth(there, folder, absent=np.isnan(there[:, 0]))


def _image_size(folder: Path) -> tuple[int, int] | None:
    """Width and height of the first image of a folder; None where that cannot be said, which its reader tells."""
    from PIL import Image

    with suppress(Exception), warnings.catch_warnings(action="ignore"):
        image = Image.open(next(iter(frame_paths(folder).values())))
        with image:
            return image.size
    return None


def read_mask(path: Path) -> np.ndarray:
    """A mask image ``(H, W)`` of colour numbers.

    Raises:
        DataError: not a readable image.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            return np.array(image if image.mode in ("P", "L", "1") else image.convert("L")).astype(np.uint8)
    except Exception as error:  # whatever a damaged file makes of the reader
        raise DataError(f"{path}: not a readable mask ({type(error).__name__})") from None

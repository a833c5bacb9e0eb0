"""Sequences in VOT layout: ``<Seq>/color/00000001.jpg …`` (or images beside) and ``groundtruth.txt``.

Regions are rectangles (4 numbers) or polygons (8 or more); VOT counts pixels from 0. A polygon becomes its
axis-aligned bounding rectangle, as the VOT toolkit does for trackers that report boxes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.otb import frame_paths
from rolo_bench.errors import DataError
from rolo_bench.sequence import ImageFiles, Sequence


def read_regions(path: Path) -> Array:
    """Regions of a VOT annotation as boxes ``(N, 4)``, 0-based pixels; ``nan`` rows and code 0 are "no box".

    Raises:
        DataError: missing or malformed, with file and row.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__})") from None
    if not lines:
        raise DataError(f"{path}: holds no rows")
    return np.stack([_region(path, number, line) for number, line in enumerate(lines, 1)])


def _region(path: Path, number: int, line: str) -> Array:
    try:
        values = np.array([float(v) for v in line.split(",")])
    except ValueError:
        raise DataError(f"{path}, row {number}: not a rectangle or polygon: {line[:60]!r}") from None
    if values.size == 1 or np.isnan(values).any():  # VOT writes one code for "no region"
        return np.full(4, np.nan)
    if np.isinf(values).any():
        raise DataError(f"{path}, row {number}: infinite value")
    return bounding_box(values, f"{path}, row {number}")


def bounding_box(values: Array, where: str) -> Array:
    """A region's numbers as a box ``(4,)``: a rectangle as it is, or what spans a polygon.

    Raises:
        DataError: neither; ``where`` says in which file and row.
    """
    if values.size == 4:
        return values
    if values.size >= 6 and values.size % 2 == 0:
        points = values.reshape(-1, 2)
        return np.concatenate([points.min(axis=0), np.ptp(points, axis=0)])
    raise DataError(f"{where}: expected 4 numbers or a polygon, found {values.size}")


def load_sequence(root: Path, name: str) -> Sequence:
    """One sequence of a VOT folder.

    Raises:
        DataError: files missing, or their numbers differ.
    """
    folder = root / name
    truth = read_regions(folder / "groundtruth.txt")
    images = folder / "color" if (folder / "color").is_dir() else folder
    numbered = frame_paths(images)
    if len(numbered) != len(truth):
        raise DataError(f"{folder}: {len(numbered)} images but {len(truth)} regions in groundtruth.txt")
    return Sequence(name, ImageFiles(tuple(numbered.values())), truth, (), min(numbered))


def is_vot_folder(root: Path) -> bool:
    """Whether a folder holds sequences in VOT layout."""
    return root.is_dir() and any(root.glob("*/groundtruth.txt"))


def sequence_names(root: Path) -> tuple[str, ...]:
    """Names of the sequences of a VOT folder, in the order of ``list.txt`` where there is one."""
    listing = root / "list.txt"
    if listing.is_file():
        return tuple(
            line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()
        )
    return tuple(sorted(p.parent.name for p in root.glob("*/groundtruth.txt")))

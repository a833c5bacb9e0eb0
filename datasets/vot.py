"""Sequences in VOT layout: ``<Seq>/color/00000001.jpg …`` (or images beside) and ``groundtruth.txt``.

Regions are rectangles (4 numbers), polygons (8 or more) or masks; VOT counts pixels from 0. A polygon or mask becomes
its axis-aligned bounding rectangle, as the VOT toolkit does for trackers that report boxes. VOTS has several targets
a video, a file each (``groundtruth_1.txt``), which become sequences of their own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import read_text, row_numbers
from rolo_bench.datasets.masks import parse
from rolo_bench.datasets.place import Truth, frame_paths, missing
from rolo_bench.errors import DataError


def read_regions(path: Path) -> Array:
    """Regions of a VOT annotation as boxes ``(N, 4)``, 0-based pixels.

    ``nan`` rows, VOT's codes (a lone 0, 1 or 2) and empty masks are "no box".

    Raises:
        MissingError: no such file.
        DataError: malformed, with file and row.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path}: holds no rows")
    return np.stack([_region(path, number, line.strip()) for number, line in enumerate(lines, 1)])


def read_truth(path: Path) -> Truth:
    """`read_regions` as an annotation; frames without a region do not show the target."""
    if not path.is_file():
        raise missing(path)
    boxes = read_regions(path)
    return Truth(boxes, path, absent=np.asarray(np.isnan(boxes[:, 0])))


def _region(path: Path, number: int, line: str) -> Array:
    where = f"{path}, row {number}"
    if line[:1] in "mM":
        return parse(line, where)
    cells = [c.strip() for c in line.split(",")] if "," in line else line.split()
    values = np.array(row_numbers(cells, where))
    if np.isnan(values).any() or (values.size == 1 and values[0] in (0, 1, 2)):
        return np.full(4, np.nan)
    if np.isinf(values).any():
        raise DataError(f"{where}: infinite value")
    return bounding_box(values, where)


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


def images(folder: Path) -> dict[int, Path]:
    """Images of a sequence by number: in ``color``, in ``img``, or beside the annotation."""
    found = next((folder / n for n in ("color", "img") if (folder / n).is_dir()), folder)
    return frame_paths(found)


def listed(root: Path) -> list[str]:
    """Names in ``list.txt``; none where there is no such file."""
    path = root / "list.txt"
    return [n.strip() for n in read_text(path).splitlines() if n.strip()] if path.is_file() else []


def sequence_files(root: Path) -> list[tuple[str, Path]]:
    """Names and annotation files of a VOT folder, in the order of ``list.txt`` where there is one."""
    if not root.is_dir():
        return []
    found = sorted(p for p in root.glob("*/groundtruth*.txt") if not p.stem.startswith("groundtruth_rect"))
    folders: dict[str, list[Path]] = {}
    for path in found:
        if not path.parent.name.startswith("."):
            folders.setdefault(path.parent.name, []).append(path)
    names = []
    for name in folders and (listed(root) or sorted(folders)):
        for path in folders.get(name, [root / name / "groundtruth.txt"]):
            target = path.stem.removeprefix("groundtruth").strip("_")
            names.append((f"{name}-{target}" if target else name, path))
    return names

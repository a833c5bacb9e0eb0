"""Trajectories of the VOT toolkit in its binary form (``.bin``).

Source: ``read_trajectory_binary`` of vot-toolkit 0.9: version and length, then a region each with its kind in front.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets import masks
from rolo_bench.errors import DataError
from rolo_bench.exchange.reading import read_bytes

CODE, RECTANGLE, POLYGON, MASK, POINT = range(5)


def read(path: Path) -> list[Array]:
    """Regions: a code ``(1,)``, a rectangle ``(4,)`` or the corners of a polygon, for a mask its bounding rectangle.

    Raises:
        DataError: not such a file, or it ends too early.
    """
    data = read_bytes(path)
    place = 0

    def take(form: str) -> tuple:
        nonlocal place
        values = struct.unpack_from(form, data, place)
        place += struct.calcsize(form)
        return values

    regions: list[Array] = []
    try:
        version, length = take("<hI")
        if version != 1:
            raise DataError(f"{path}: not a binary trajectory of the VOT toolkit")
        if not length:
            raise DataError(f"{path}: holds no regions")
        if length > len(data):
            raise DataError(
                f"{path}: says that it holds {length} regions in {len(data)} bytes; damaged or cut off"
            )
        for number in range(1, length + 1):
            (kind,) = take("<B")
            if kind == CODE:
                regions.append(np.array(take("<I"), dtype=np.float64))
            elif kind == RECTANGLE:
                regions.append(np.array(take("<ffff"), dtype=np.float64))
            elif kind == POLYGON:
                (corners,) = take("<H")
                if corners < 3:
                    raise DataError(f"{path}, row {number}: a polygon of {corners} corners; damaged")
                regions.append(np.array(take(f"<{2 * corners}f"), dtype=np.float64))
            elif kind == MASK:
                *corner, runs = take("<hhHHH")
                regions.append(masks.decode([*corner, *take(f"<{runs}H")], f"{path}, row {number}"))
            else:
                raise DataError(f"{path}, row {number}: a region of unknown kind {kind}")
    except struct.error:
        raise DataError(f"{path}: ends after {len(regions)} regions; damaged or cut off") from None
    if place != len(data):
        raise DataError(f"{path}: {len(data) - place} bytes are left over; damaged")
    return regions


def write(regions: list[Array]) -> bytes:
    """Codes ``(1,)``, rectangles ``(4,)`` and polygons as the toolkit writes them."""
    parts = [struct.pack("<hI", 1, len(regions))]
    for region in regions:
        if region.size == 1:
            parts.append(struct.pack("<BI", CODE, int(region[0])))
        elif region.size == 4:
            parts.append(struct.pack("<Bffff", RECTANGLE, *region))
        else:
            parts.append(struct.pack(f"<BH{region.size}f", POLYGON, region.size // 2, *region))
    return b"".join(parts)

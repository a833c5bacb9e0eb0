"""Result files of the Python OTB toolkit: ``<tracker>/<Seq>.json``, a list of starts for OPE, TRE or SRE.

JSON carries no checksum: a digit that was changed into another is the file's word. What is checked is its form,
that numbers are numbers, and that length, stated range, file name and sequence name agree.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.errors import DataError
from rolo_bench.exchange.geometry import to_boxes
from rolo_bench.exchange.otb_mat import SHIFTS
from rolo_bench.exchange.reading import Reading, drop_invalid, read_text, real_rows

KNOWN = {
    "tracker", "seqName", "startFrame", "endFrame", "evalType", "fps", "shiftType", "resType", "tmplsize", "res",
    "refresh",
}  # fmt: skip


def read(path: Path, sequence: str, tracker: str) -> list[Reading]:
    """All starts of a file.

    Args:
        path: the file.
        sequence, tracker: names from the path, used where the file gives none.

    Raises:
        DataError: not JSON of this kind, or it contradicts itself.
    """
    value = _parse(path)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise DataError(f"{path}: expected a list of results, each with seqName, resType and res")
    readings = []
    for number, fields in enumerate(value, 1):
        where = f"{path}" if len(value) == 1 else f"{path}, start {number}"
        readings.append(_reading(path, where, fields, number, sequence, tracker))
    if len({(r.sequence, r.tracker, r.protocol) for r in readings}) > 1:
        raise DataError(f"{path}: mixes sequences, trackers or protocols")
    if readings[0].protocol == "ope" and len(readings) > 1:
        raise DataError(f"{path}: {len(readings)} results in a file of one-pass evaluation")
    if len({r.number for r in readings}) != len(readings):
        raise DataError(f"{path}: an SRE shift stands there twice")
    return sorted(readings, key=lambda r: r.number)


def _parse(path: Path) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [k for k, _ in items]
        if len(set(names)) != len(names):
            raise ValueError("a key stands there twice")
        return dict(items)

    try:
        return json.loads(read_text(path), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({str(error)[:80]})") from None


def _reading(
    path: Path, where: str, fields: dict[str, Any], number: int, sequence: str, tracker: str
) -> Reading:
    missing = [
        k for k in ("seqName", "evalType", "resType", "res", "startFrame", "endFrame") if k not in fields
    ]
    if missing:
        raise DataError(f"{where}: has no {missing[0]}")
    notes: tuple[str, ...] = ()
    unknown = sorted(set(fields) - KNOWN)
    if unknown:
        notes += (f"unknown fields {', '.join(unknown)[:80]}: not used",)
    kind, protocol = _word(fields, "resType", where), _word(fields, "evalType", where).lower()
    if protocol not in ("ope", "tre", "sre"):
        raise DataError(f"{where}: unknown evalType {fields['evalType']!r}; known: OPE, TRE, SRE")
    if protocol == "sre":
        shift = _word(fields, "shiftType", where)
        if shift not in SHIFTS:
            raise DataError(f"{where}: unknown SRE shift {shift!r}; known: {', '.join(SHIFTS)}")
        number = SHIFTS.index(shift) + 1
    elif fields.get("shiftType"):
        raise DataError(f"{where}: names an SRE shift but says it is {protocol.upper()}")
    values, unreal = real_rows(_table(fields["res"], where), where)
    size = None if fields.get("tmplsize") is None else _table([fields["tmplsize"]], f"{where}, tmplsize")[0]
    boxes = to_boxes(kind, values, size, where) - np.array([1.0, 1.0, 0.0, 0.0])
    boxes, invalid = drop_invalid(boxes)
    first, last = _whole(fields, "startFrame", where), _whole(fields, "endFrame", where)
    fps = fields.get("fps")
    if fps is not None and not _is_number(fps):
        raise DataError(f"{where}: its fps is not a number")
    known = fps is not None and 0 < fps < 1e9
    return Reading(
        path,
        _word(fields, "seqName", where) or sequence,
        _word(fields, "tracker", where) if fields.get("tracker") else tracker,
        boxes,
        kind,
        protocol,
        number,
        first,
        last - first + 1,
        float(fps) if fps is not None and known else float("nan"),
        None,
        notes + unreal + invalid,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _table(rows: Any, where: str) -> Array:
    """Rows of numbers ``(N, K)``; null stands for NaN.

    Raises:
        DataError: not a list of equally long lists of numbers, with the row.
    """
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{where}: holds no rows")
    for i, row in enumerate(rows, 1):
        if not isinstance(row, list) or not row or len(row) != len(rows[0]):
            width = len(rows[0]) if isinstance(rows[0], list) and rows[0] else 4
            raise DataError(f"{where}, row {i}: expected a list of {width} numbers")
        wrong = next((v for v in row if v is not None and not _is_number(v)), None)
        if wrong is not None:
            raise DataError(f"{where}, row {i}: not a number: {str(wrong)[:40]!r}")
    try:
        return np.array(
            [[math.nan if v is None else float(v) for v in row] for row in rows], dtype=np.float64
        )
    except OverflowError:
        raise DataError(f"{where}: holds a number too large to be a coordinate") from None


def _word(fields: dict[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: its {name} is not a word")
    return value.strip()


def _whole(fields: dict[str, Any], name: str, where: str) -> int:
    value = fields[name]
    if not _is_number(value) or not 0 <= value < 10**9 or value != int(value):
        raise DataError(f"{where}: its {name} is not a whole number")
    return int(value)

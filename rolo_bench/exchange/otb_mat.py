"""Result files of the OTB MATLAB toolkits (``<Seq>_<tracker>.mat``).

Three generations are read: ``results`` as cells of structs (2013), the same with the renamed fields and types of
the 2015 archives (``seq_range_str``, ``seq_len``, ``shift_type``; ``affine_ivt`` …), and a bare matrix
``result``. Compressed files, the usual kind, carry an Adler-32 checksum of their contents, which is checked
in full first, so that damage to their numbers is always noticed; files saved without compression have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.errors import DataError
from rolo_bench.exchange.geometry import to_boxes
from rolo_bench.exchange.mat5 import LARGEST, read_variables
from rolo_bench.exchange.reading import Reading, drop_invalid, read_bytes, real_rows
from rolo_bench.protocols import SRE_SHIFTS

SHIFTS = (
    "left", "right", "up", "down", "topLeft", "topRight", "bottomLeft", "bottomRight",
    "scale_8", "scale_9", "scale_11", "scale_12",
)  # fmt: skip
"""SRE shifts in the toolkits' words, in the order of `rolo_bench.protocols.SRE_SHIFTS`."""
assert len(SHIFTS) == len(SRE_SHIFTS)


def read(path: Path, sequence: str, tracker: str) -> list[Reading]:
    """All starts that a file holds: one for OPE, several for TRE and SRE; or several runs of OPE.

    Several without a shift that begin at the same frame and are of one length are repetitions of OPE, others TRE.

    Args:
        path: the file.
        sequence, tracker: names from the file's name; a 2015 file's own fields are held against them by
            whoever matches names.

    Raises:
        DataError: not a MATLAB 5 file, damaged, or without a result in a known form.
    """
    variables = read_variables(read_bytes(path, LARGEST), path, ("results", "result"))
    if "results" in variables:
        starts = list(_structs(variables["results"], path))
    elif "result" in variables:
        starts = [{"type": "rect", "res": variables["result"]}]  # MDNet's own form
    else:
        listed = ", ".join(k for k in variables if k) or "nothing"
        raise DataError(f"{path}: holds no variable 'results' or 'result' (it holds {listed})")
    if not starts:
        raise DataError(f"{path}: its 'results' are empty")
    shifted = [_text(s, "shift_type", "shiftType") for s in starts]
    readings = []
    for number, (fields, shift) in enumerate(zip(starts, shifted), 1):
        where = f"{path}" if len(starts) == 1 else f"{path}, start {number}"
        protocol, place = "tre", number
        if shift:
            if shift not in SHIFTS:
                raise DataError(f"{where}: unknown SRE shift {shift!r}; known: {', '.join(SHIFTS)}")
            protocol, place = "sre", SHIFTS.index(shift) + 1
        elif any(shifted):
            raise DataError(f"{where}: has no SRE shift while others of the file do")
        readings.append(_reading(path, where, fields, sequence, tracker, protocol, place))
    if len({(r.protocol, r.number) for r in readings}) != len(readings):
        raise DataError(f"{path}: an SRE shift stands there twice")
    if not any(shifted) and len({(r.first, len(r.boxes)) for r in readings}) == 1:
        readings = [replace(r, protocol="ope") for r in readings]
    return sorted(readings, key=lambda r: r.number)


def _structs(value: Any, path: Path) -> Iterator[dict[str, Any]]:
    """The structs inside cells, cells of cells and struct arrays, in order; empty ones are refused."""
    if not isinstance(value, list):
        raise DataError(f"{path}: 'results' is not made of structs")
    for item in value:
        if isinstance(item, dict):
            yield item
        elif isinstance(item, np.ndarray) and not item.size:
            raise DataError(f"{path}: one of its {len(value)} starts is empty")
        else:
            yield from _structs(item, path)


def _reading(
    path: Path, where: str, fields: dict[str, Any], sequence: str, tracker: str, protocol: str, number: int
) -> Reading:
    kind = _text(fields, "type", "transformType", "resType")
    if "res" not in fields or not kind:
        raise DataError(f"{where}: has no {'type' if 'res' in fields else 'res'} field")
    table = fields["res"]
    if not isinstance(table, np.ndarray) or table.ndim != 2 or not table.size:
        raise DataError(f"{where}: its res field is not a table of numbers")
    if "type" not in fields and "transformType" in fields:
        table = table.T  # the one tracker that used this field name wrote its results across
    values, notes = real_rows(table, where)
    size = _numbers(fields, "tmplsize", where)
    boxes = to_boxes(kind, values, size, where) - np.array([1.0, 1.0, 0.0, 0.0])
    boxes, invalid = drop_invalid(boxes)
    first, stated = _range(fields, where)
    fps = _numbers(fields, "fps", where)
    speed = float(fps[0]) if fps is not None and fps.size == 1 and fps[0] > 0 else float("nan")
    return Reading(
        path,
        _text(fields, "seq_name") or sequence,
        _text(fields, "tracker") or tracker,
        boxes,
        kind,
        protocol,
        number,
        first,
        stated,
        speed,
        None,
        notes + invalid,
    )


def _range(fields: dict[str, Any], where: str) -> tuple[int | None, int | None]:
    """First frame and number of frames as the struct states them."""
    first, stated = _whole(fields, "startFrame", where), _whole(fields, "len", where)
    if stated is None:
        stated = _whole(fields, "seq_len", where)
    text = _text(fields, "seq_range_str")
    if text:
        match = re.fullmatch(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", text)
        if match is None:
            raise DataError(f"{where}: cannot read the range {text[:40]!r}")
        first = int(match[1])
        count = int(match[2]) - first + 1
        if stated is not None and stated != count:
            raise DataError(f"{where}: contradicts itself: range {text.strip()} but length {stated}")
        stated = count
    return first, stated


def _text(fields: dict[str, Any], *names: str) -> str:
    """A text field under one of its names; empty where there is none."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            return value.strip()
    return ""


def _numbers(fields: dict[str, Any], name: str, where: str) -> Array | None:
    """A numeric field, flattened; None where it is missing or empty."""
    value = fields.get(name)
    if value is None or (isinstance(value, np.ndarray) and not value.size):
        return None
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        raise DataError(f"{where}: its {name} field is not a number")
    return value.ravel()


def _whole(fields: dict[str, Any], name: str, where: str) -> int | None:
    value = _numbers(fields, name, where)
    if value is None:
        return None
    if value.size != 1 or not np.isfinite(value[0]) or value[0] != np.floor(value[0]) or value[0] < 0:
        raise DataError(f"{where}: its {name} field is not a whole number")
    return int(value[0])

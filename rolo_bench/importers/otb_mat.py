"""Result files of the OTB MATLAB toolkits (``<Seq>_<tracker>.mat``).

Three generations are read: ``results`` as cells of structs (2013), the same with the renamed fields and types of
the 2015 archives (``seq_range_str``, ``seq_len``, ``shift_type``; ``affine_ivt`` …), and a bare matrix
``result``. Compressed files, the usual kind, carry an Adler-32 checksum of their contents, which is checked
in full first, so that damage to their numbers is always noticed; files saved without compression have none.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.errors import DataError
from rolo_bench.importers.geometry import to_boxes
from rolo_bench.importers.reading import Reading, drop_invalid, read_bytes, real_rows
from rolo_bench.protocols import SRE_SHIFTS

LARGEST = 256 << 20
SHIFTS = (
    "left", "right", "up", "down", "topLeft", "topRight", "bottomLeft", "bottomRight",
    "scale_8", "scale_9", "scale_11", "scale_12",
)  # fmt: skip
"""SRE shifts in the toolkits' words, in the order of `rolo_bench.protocols.SRE_SHIFTS`."""
assert len(SHIFTS) == len(SRE_SHIFTS)


def read(path: Path, sequence: str, tracker: str) -> list[Reading]:
    """All starts that a file holds: one for OPE, several for TRE and SRE.

    Args:
        path: the file.
        sequence, tracker: names from the file's name; a 2015 file's own fields are held against them by
            whoever matches names.

    Raises:
        DataError: not a MATLAB 5 file, damaged, or without a result in a known form.
    """
    data = read_bytes(path, LARGEST)
    check_container(data, path)
    variables = _load(data, path)
    if "results" in variables:
        starts = list(_structs(variables["results"], path))
    elif "result" in variables:
        starts = [{"type": np.array(["rect"]), "res": variables["result"]}]  # MDNet's own form
    else:
        listed = ", ".join(k for k in variables if not k.startswith("__")) or "nothing"
        raise DataError(f"{path}: holds no variable 'results' or 'result' (it holds {listed})")
    if not starts:
        raise DataError(f"{path}: its 'results' are empty")
    shifted = [_text(s, "shift_type", "shiftType") for s in starts]
    readings = []
    for number, (fields, shift) in enumerate(zip(starts, shifted), 1):
        where = f"{path}" if len(starts) == 1 else f"{path}, start {number}"
        protocol, place = "ope" if len(starts) == 1 else "tre", number
        if shift:
            if shift not in SHIFTS:
                raise DataError(f"{where}: unknown SRE shift {shift!r}; known: {', '.join(SHIFTS)}")
            protocol, place = "sre", SHIFTS.index(shift) + 1
        elif any(shifted):
            raise DataError(f"{where}: has no SRE shift while others of the file do")
        readings.append(_reading(path, where, fields, sequence, tracker, protocol, place))
    if len({(r.protocol, r.number) for r in readings}) != len(readings):
        raise DataError(f"{path}: an SRE shift stands there twice")
    return sorted(readings, key=lambda r: r.number)


def check_container(data: bytes, path: Path) -> None:
    """Check the frame of a MATLAB 5 file: header, sizes of all parts, and the checksums of compressed ones.

    Raises:
        DataError: what is wrong, and where.
    """
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[512:520] == b"\x89HDF\r\n\x1a\n":
        raise DataError(f"{path}: a MATLAB 7.3 (HDF5) file; save it again with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if len(data) < 136 or order is None or 0 in data[:4]:
        raise DataError(f"{path}: not a MATLAB 5 file")
    if struct.unpack(order + "H", data[124:126])[0] != 0x0100:
        raise DataError(f"{path}: an unknown version of MATLAB file; save it again with -v7")
    position, total = 128, 0
    while position < len(data):
        if position + 8 > len(data):
            raise DataError(f"{path}: cut off or damaged at byte {position}")
        kind, size = struct.unpack(order + "II", data[position : position + 8])
        end = position + 8 + size
        if kind not in (14, 15) or end > len(data):
            raise DataError(f"{path}: cut off or damaged at byte {position}")
        if kind == 15:
            total += _inflate(data[position + 8 : end], path, LARGEST - total)
        position = end


def _inflate(data: bytes, path: Path, limit: int) -> int:
    """Size of a compressed part, all of it unpacked so that its checksum is compared."""
    engine = zlib.decompressobj()
    try:
        content = engine.decompress(data, limit + 1)
    except zlib.error:
        raise DataError(f"{path}: its compressed contents are damaged") from None
    if len(content) > limit:
        raise DataError(f"{path}: unpacks to more than {LARGEST >> 20} MiB, too large for a result file")
    if not engine.eof or engine.unused_data:
        raise DataError(f"{path}: its compressed contents are cut off or damaged")
    return len(content)


def _load(data: bytes, path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # scipy only warns of some damage
            return loadmat(io.BytesIO(data), appendmat=False)
    except Exception as error:  # whatever scipy's reader meets in a damaged file
        line = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise DataError(f"{path}: not a readable MATLAB file ({line[:80]})") from None


def _structs(value: Any, path: Path) -> Iterator[dict[str, Any]]:
    """The structs inside cells, cells of cells and struct arrays, in order; empty ones are refused."""
    if not isinstance(value, np.ndarray) or (value.dtype != object and not value.dtype.names):
        raise DataError(f"{path}: 'results' is not made of structs")
    for item in value.ravel():
        if value.dtype.names:
            yield dict(zip(value.dtype.names, item.tolist() if hasattr(item, "tolist") else item))
        elif isinstance(item, np.ndarray) and not item.size:
            raise DataError(f"{path}: one of its {value.size} starts is empty")
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
        if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
            return str(value.ravel()[0]).strip()
    return ""


def _numbers(fields: dict[str, Any], name: str, where: str) -> Array | None:
    """A numeric field, flattened; None where it is missing or empty."""
    value: NDArray | None = fields.get(name)
    if not isinstance(value, np.ndarray) or not value.size:
        return None
    if value.dtype.kind not in "iuf":
        raise DataError(f"{where}: its {name} field is not a number")
    return value.astype(np.float64).ravel()


def _whole(fields: dict[str, Any], name: str, where: str) -> int | None:
    value = _numbers(fields, name, where)
    if value is None:
        return None
    if value.size != 1 or not np.isfinite(value[0]) or value[0] != np.floor(value[0]) or value[0] < 0:
        raise DataError(f"{where}: its {name} field is not a whole number")
    return int(value[0])

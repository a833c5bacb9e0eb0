"""Text files of numbers: rows of boxes, scores or times, read strictly and fast."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array, as_boxes
from rolo_bench.errors import DataError, MissingError

NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)", re.ASCII | re.IGNORECASE)


def format_boxes(boxes: Array, offset: float = 1.0, scores: Array | None = None) -> str:
    """Rows ``x,y,w,h`` with six decimals, and ``scores`` ``(N,)`` as a fifth number.

    ``offset`` is added to x and y (1 for OTB's 1-based files).
    """
    shifted = as_boxes(boxes) + np.array([offset, offset, 0, 0])
    rows = [",".join(f"{v:.6f}" for v in row) for row in shifted]
    if scores is not None:
        rows = [f"{row},{score}" for row, score in zip(rows, format_scores(scores).split(), strict=True)]
    return "".join(f"{row}\n" for row in rows)


def format_scores(values: Array) -> str:
    """One score a row, with nine digits: a tracker's own scale, which may lie below any fixed decimal."""
    return "".join(f"{v:.9g}\n" for v in np.asarray(values, dtype=np.float64))


def format_times(seconds: Array) -> str:
    """One time a row, to the nanosecond: a tracker may take less than a microsecond."""
    return "".join(f"{v:.9f}\n" for v in np.asarray(seconds, dtype=np.float64))


def read_text(path: Path, data: bytes | None = None) -> str:
    """A text file, in UTF-8, or in UTF-16 where it begins with that encoding's mark, as Windows saves it.

    Where a carriage return alone ends every line, as of old on the Macintosh, it becomes a line feed.

    Args:
        path: the file.
        data: its content, where that was read before.

    Raises:
        MissingError: no such file.
        DataError: it cannot be read or decoded.
    """
    try:
        data = path.read_bytes() if data is None else data
        text = data.decode(
            "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        )
        return text if "\n" in text else text.replace("\r", "\n")
    except FileNotFoundError:
        raise MissingError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable text file ({type(error).__name__})") from None


def parse_table(path: Path, columns: int, data: bytes | None = None) -> Array:
    """A text table of numbers ``(N, columns)``: in each row commas, else semicolons, else tabs or blanks separate.

    Strict, since a value that is lost must not be made up for by its neighbours: an empty row in between, an
    empty cell, or a spelling that only Python reads (``1_0``) is an error. ``data`` is as of `read_text`.

    Raises:
        MissingError: no such file.
        DataError: no rows, a row with another number of columns or a value that is no number (the message
            names file and row).
    """
    text = read_text(path, data)
    if not text.strip():
        raise DataError(f"{path}: holds no rows")
    rows = []
    for number, line in enumerate(text.rstrip().split("\n"), 1):
        separator = next((s for s in (",", ";") if s in line), None)
        cells = [c.strip() for c in line.split(separator)] if separator else line.split()
        if len(cells) != columns:
            raise DataError(f"{path}, row {number}: expected {columns} numbers, found {len(cells)}")
        if not all(NUMBER.fullmatch(cell) for cell in cells):
            raise DataError(f"{path}, row {number}: not a number: {line.strip()[:60]!r}")
        rows.append([float(cell) for cell in cells])
    return np.asarray(rows, dtype=np.float64)


def row_numbers(cells: list[str], where: str) -> list[float]:
    """The numbers of a row.

    Raises:
        DataError: a cell is no number, or of a spelling that only Python reads; ``where`` says in which file and row.
    """
    wrong = next((c for c in cells if not NUMBER.fullmatch(c)), None)
    if wrong is not None:
        raise DataError(f"{where}: not a number: {wrong[:40]!r}")
    return [float(c) for c in cells]


def read_boxes(path: Path, offset: float = 1.0, data: bytes | None = None) -> Array:
    """Boxes ``(N, 4)`` of a text file, 0-based; ``offset`` is subtracted from x and y.

    ``nan`` rows are "no box"; infinite values are refused. ``data`` is as of `read_text`.

    Raises:
        DataError: as `parse_table`, and for infinite values.
    """
    boxes = parse_fast(path, 4, data)
    _check_finite(path, boxes)
    boxes[:, :2] -= offset
    return boxes


def read_scored_boxes(path: Path, data: bytes | None = None) -> tuple[Array, Array | None]:
    """`read_boxes` of a file that may hold a score in each row, and the scores ``(N,)`` or None.

    Raises:
        DataError: as `read_boxes`.
    """
    data = path.read_bytes() if data is None else data
    if re.split(rb"[\r\n]", data, maxsplit=1)[0].count(b",") != 4:
        return read_boxes(path, data=data), None
    table = parse_fast(path, 5, data)
    _check_finite(path, table)
    table[:, :2] -= 1
    return table[:, :4], table[:, 4]


def _check_finite(path: Path, table: Array) -> None:
    infinite = np.isinf(table)
    if infinite.any():
        raise DataError(f"{path}, row {int(infinite.any(axis=1).argmax()) + 1}: infinite value")


def parse_fast(path: Path, columns: int, data: bytes | None = None) -> Array:
    """`parse_table` for the common case, in one vectorised step; anything odd goes through the careful reader."""
    try:
        data = path.read_bytes() if data is None else data
    except OSError:
        return parse_table(path, columns)
    fixed = parse_fixed(data, columns)
    if fixed is not None:
        return fixed
    lines = data.rstrip(b"\n").split(b"\n")
    counts = {line.count(b",") for line in lines}
    ends = data.count(b"\r") == data.count(b"\r\n")  # else there may be rows that end otherwise
    if counts == {columns - 1} and ends and b"_" not in data and data.isascii():
        try:
            values = np.array(data.rstrip(b"\n").replace(b"\n", b",").split(b","), dtype=np.float64)
        except ValueError:
            return parse_table(path, columns, data)
        if values.size == len(lines) * columns:
            return values.reshape(-1, columns)
    return parse_table(path, columns, data)


def parse_fixed(data: bytes, columns: int) -> Array | None:
    """Rows of comma separated numbers ``(N, columns)`` that all have the same number of decimals, or None.

    The numbers are read as integers and divided by a power of ten, which is exact to the last bit below 2**53
    and seven times faster than reading decimals; whatever else a file holds is left to the other readers.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    marks = np.flatnonzero(raw < ord("0"))
    kinds = raw[marks]
    if b"-" in data:
        minus = kinds == ord("-")
        before = raw[marks[minus] - 1]  # before the first byte stands, so to say, the last, a line end
        if not ((before == ord(",")) | (before == ord("\n"))).all():
            return None
        marks, kinds = marks[~minus], kinds[~minus]
    rows, rest = divmod(len(marks), 2 * columns)
    if not rows or rest or kinds.tobytes() != rows * (b".," * (columns - 1) + b".\n"):
        return None
    decimals = marks[1::2] - marks[::2] - 1
    if (
        raw.max() > ord("9")
        or data[-1:] != b"\n"
        or not 0 < decimals[0] <= 15
        or (decimals != decimals[0]).any()
    ):
        return None
    whole = np.fromstring(data.translate(bytes.maketrans(b",\n", b"  "), b"."), dtype=np.int64, sep=" ")
    if len(whole) != rows * columns or np.abs(whole).max() >= 2**53:
        return None
    return whole.reshape(rows, columns) / 10.0 ** int(decimals[0])

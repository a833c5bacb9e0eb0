"""What a result file of another toolkit holds, before it is matched to a suite."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rolo_bench import boxfiles
from rolo_bench.boxes import Array
from rolo_bench.boxfiles import row_numbers
from rolo_bench.datasets.place import FARTHEST
from rolo_bench.errors import DataError


@dataclass(frozen=True)
class Reading:
    """One start of a tracker on one sequence, as a file states it.

    Attributes:
        source: the file.
        sequence: the sequence in the file's spelling.
        tracker: the tracker in the file's spelling; empty where the file does not say.
        boxes: ``(N, 4)`` x, y, w, h, 0-based pixels; a NaN row is "no box".
        kind: how the file parametrised its boxes, in the file's own word (``rect``, ``ivtAff`` …).
        protocol: ``ope``, ``tre`` or ``sre``.
        number: which start of TRE or SRE, from 1.
        first: number of the first frame as stated, or None.
        stated: number of frames as stated beside the rows, or None.
        fps: average speed as stated, or NaN.
        seconds: ``(N,)`` time per frame, or None.
        notes: what was found wrong and how it was handled, a line each.
        start_code: the first row is a code for "started here with the truth" in place of a box.
        scores: ``(N,)`` how sure the tracker was, NaN where the file does not say, or None.
    """

    source: Path
    sequence: str
    tracker: str
    boxes: Array
    kind: str = "rect"
    protocol: str = "ope"
    number: int = 1
    first: int | None = None
    stated: int | None = None
    fps: float = float("nan")
    seconds: Array | None = None
    notes: tuple[str, ...] = ()
    start_code: bool = False
    scores: Array | None = None


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a text file mean, where the file does not say.

    Attributes:
        zero_based: pixels count from 0.
        corners: rows are x1, y1, x2, y2 in place of x, y, w, h.
    """

    zero_based: bool = False
    corners: bool = False

    @property
    def offset(self) -> float:
        """What is subtracted from x and y."""
        return 0.0 if self.zero_based else 1.0


@dataclass(frozen=True)
class Found:
    """A file to import, and the names that its path gives.

    Attributes:
        number: of several runs of a tracker in the file, which one is wanted; 0 where it holds one.
        run: what tells a repetition from the others, at the end of the tracker's name: ``_000``, ``_001`` …
        notes: what is to be said of it.
    """

    path: Path
    sequence: str
    tracker: str
    number: int = 0
    run: str = ""
    notes: tuple[str, ...] = ()


def spans(rows: NDArray[np.int_]) -> str:
    """Row numbers (given from 0) as text from 1: ``3, 7-9``; at most eight groups, then a count."""
    if not len(rows):
        return "none"
    breaks = np.flatnonzero(np.diff(rows) != 1)
    starts, ends = np.append(rows[0], rows[breaks + 1]), np.append(rows[breaks], rows[-1])
    parts = [f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in zip(starts, ends)]
    return ", ".join(parts[:8]) + (f" and {len(parts) - 8} more places" if len(parts) > 8 else "")


def real_rows(values: NDArray, where: str) -> tuple[Array, tuple[str, ...]]:
    """Numbers of any type as float64 ``(N, K)``; rows with an imaginary part become NaN and are named.

    Raises:
        DataError: text, booleans or objects in place of numbers, or a value beyond `FARTHEST`.
    """
    if values.dtype.kind not in "iufc":
        raise DataError(f"{where}: holds {values.dtype} where numbers are expected")
    notes: tuple[str, ...] = ()
    if values.dtype.kind == "c":
        unreal = np.flatnonzero((values.imag != 0).any(axis=tuple(range(1, values.ndim))))
        values = values.real.astype(np.float64)
        if len(unreal):
            values[unreal] = np.nan
            notes = (f"complex numbers in rows {spans(unreal)}: taken as no box",)
    values = values.astype(np.float64)
    far = np.flatnonzero((np.abs(values) > FARTHEST).any(axis=tuple(range(1, values.ndim))))
    if len(far):
        raise DataError(
            f"{where}, rows {spans(far)}: values beyond {FARTHEST:.0f} pixels; the file is damaged"
        )
    return values, notes


def drop_invalid(boxes: Array) -> tuple[Array, tuple[str, ...]]:
    """Rows that are no box become NaN, and are named: NaN values, and sides that are zero or negative.

    The published scores of OAB count its zero-size rows as misses; so does this rule.
    """
    missing = np.isnan(boxes).any(axis=1)
    with np.errstate(invalid="ignore"):
        flat = ~missing & (boxes[:, 2:] <= 0).any(axis=1)
    notes = []
    if missing.any():
        notes.append(f"NaN in rows {spans(np.flatnonzero(missing))}: taken as no box")
    if flat.any():
        notes.append(f"zero or negative size in rows {spans(np.flatnonzero(flat))}: taken as no box")
    empty = int((missing | flat).sum())
    if 2 * empty > len(boxes):
        notes.append(f"{empty} of {len(boxes)} rows hold no box: is this the right run?")
    clean = boxes.copy()
    clean[missing | flat] = np.nan
    return clean, tuple(notes)


def read_bytes(path: Path, limit: int = 256 << 20) -> bytes:
    """Contents of a result file.

    Raises:
        DataError: no such file, unreadable, empty, or larger than any result file.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise DataError(f"{path}: {size} bytes is too large for a result file")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise DataError(f"{path}: is empty")
    return data


def read_text(path: Path) -> str:
    """A result file as text.

    Raises:
        DataError: as `read_bytes`; neither UTF-8 nor marked UTF-16, or with control characters.
    """
    text = boxfiles.read_text(path, read_bytes(path))
    odd = re.search(r"[^\S \t\r\n]|[\x00-\x08\x0e-\x1f\x7f]", text)
    if odd:
        raise DataError(f"{path}: not a plain text file (control character at {odd.start()})")
    return text


def text_rows(path: Path) -> tuple[list[list[str]], tuple[str, ...]]:
    """Cells of a text table, one separator throughout: comma, else semicolon, else blanks or tabs.

    Raises:
        DataError: as `read_text`; no rows; an empty row or cell in between.
    """
    text = read_text(path)
    notes = (
        () if text.endswith("\n") else ("the last row has no line end: the file may have been cut off there",)
    )
    lines = [line.removesuffix("\r") for line in text.rstrip("\r\n\t ").split("\n")]
    separator = next((s for s in (",", ";") if s in text), None)
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"{path}, row {number}: empty")
        cells = [c.strip() for c in line.split(separator)] if separator else line.split()
        if not all(cells):
            raise DataError(f"{path}, row {number}: a value is missing: {line[:60]!r}")
        rows.append(cells)
    return rows, notes


def text_numbers(path: Path, columns: tuple[int, ...]) -> tuple[Array, tuple[str, ...]]:
    """A text table of numbers and notes; all its rows are as long as the first, which has one of ``columns``.

    Raises:
        DataError: as `text_rows`; another number of columns, or a cell that is no number, with its row.
    """
    rows, notes = text_rows(path)
    values = []
    for number, cells in enumerate(rows, 1):
        if len(cells) not in columns or len(cells) != len(rows[0]):
            wanted = len(rows[0]) if len(rows[0]) in columns else columns[0]
            shown = " ".join(cells)[:40]
            raise DataError(f"{path}, row {number}: expected {wanted} numbers, found {len(cells)}: {shown!r}")
        values.append(row_numbers(cells, f"{path}, row {number}"))
    return np.array(values, dtype=np.float64), notes

"""Result folders of toolkits that write one text file a sequence: got10k, pysot, pytracking, VOT.

- got10k: ``<tracker>/<Seq>.txt`` and ``<tracker>/times/<Seq>_time.txt``, or ``<tracker>/<Seq>/<Seq>_001.txt``;
- pysot: ``<tracker>/<Seq>.txt``;
- pytracking: ``<tracker>/<parameters>_000/<Seq>.txt`` and ``<Seq>_time.txt``, tab separated, whole numbers;
- VOT: ``<tracker>/<experiment>/<Seq>/<Seq>_001.txt``, rectangles, polygons, masks or codes, with
  ``<Seq>_001_confidence.value``; ``.bin`` of its toolkit, and ``<Seq>_00000000.txt`` of its multi-start experiment,
  whose other starts are left out.

The first three hold the pixels of the annotation that they were run on: 1-based for OTB. VOT counts from 0.
Text carries no checksum: a digit that was changed into another is the file's word.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import NUMBER, row_numbers
from rolo_bench.datasets import masks
from rolo_bench.datasets.alignment import from_corners
from rolo_bench.datasets.place import FARTHEST, frame_numbers
from rolo_bench.datasets.vot import bounding_box
from rolo_bench.errors import DataError, RoloBenchError
from rolo_bench.exchange import vot_binary
from rolo_bench.exchange.reading import (
    Meaning,
    Reading,
    drop_invalid,
    read_text,
    real_rows,
    text_numbers,
    text_rows,
)

SUFFIXES = {"vot": (".txt", ".bin")}
SCORES = ("_confidence.value", "_object_presence_scores.txt", "_all_scores.txt")
"""Files of confidence beside boxes: of VOT and pysot, of pytracking, of those who took over its code."""
ASIDE = ("_time", "_object_presence_scores", "_all_scores", "_all_boxes")
MOT_COLUMNS = (7, 9, 10)
"""Numbers of a row of MOT results: frame, id, x, y, w, h, then confidence, then two or three that are not used."""


def read_rectangles(
    path: Path, sequence: str, tracker: str, meaning: Meaning = Meaning()  # noqa: B008 - frozen
) -> list[Reading]:  # fmt: skip
    """One file of got10k, pysot or pytracking: rows x, y, w, h.

    Rows of five numbers end with a confidence; eight are the corners of a polygon, of which the
    bounding box is taken; seven, nine or ten are rows of MOT, with the number of their frame.

    Args:
        path: the file.
        sequence, tracker: names from the path.

    Raises:
        DataError: not such a table, with its row, or one that begins with the frame's number.
    """
    values, notes = text_numbers(path, (4, 5, 8, *MOT_COLUMNS))
    first, kind, columns, given = None, "rect", values.shape[1], None
    real_rows(
        values[:, 2:6] if columns in MOT_COLUMNS else values[:, :4] if columns == 5 else values, str(path)
    )
    if columns in MOT_COLUMNS:
        values, given, first = _by_frame(values, path)
        kind = "MOT"
    elif columns == 5:
        if _counts_frames(values[:, 0]):
            raise DataError(
                f"{path}: its first column counts the frames, where x is expected; leave that column out"
            )
        values, given = values[:, :4], values[:, 4]
        kind = "rect and confidence"
    elif columns == 8:
        values = np.array([bounding_box(row, str(path)) for row in values])
        kind = "polygon"
    if meaning.corners:
        values = from_corners(values)
    boxes, invalid = drop_invalid(values - np.array([meaning.offset, meaning.offset, 0.0, 0.0]))
    seconds, note = _seconds(path, len(boxes))
    scores, score_note = _scores(path, len(boxes)) if given is None else (_known(given), ())
    notes += (*invalid, *note, *score_note)
    return [
        Reading(
            path, sequence, tracker, boxes, kind, first=first, seconds=seconds, notes=notes, scores=scores
        )
    ]


def _counts_frames(column: Array) -> bool:
    """Whether a first column ``(N,)`` is the frame's number, from 0 or 1, and no place in the image."""
    return (
        len(column) > 1 and column[0] in (0, 1) and np.array_equal(column, column[0] + np.arange(len(column)))
    )


def _by_frame(rows: Array, path: Path) -> tuple[Array, Array | None, int]:
    """Boxes ``(N, 4)`` of rows of MOT, a row per frame and NaN where there is none, scores, the first frame's number.

    A confidence that is the same in all rows, the 1 or -1 of MOT, says nothing.

    Raises:
        DataError: several targets, or frames that are not in order.
    """
    frames, ids = rows[:, 0], np.unique(rows[:, 1])
    if len(ids) > 1:
        raise DataError(f"{path}: holds {len(ids)} targets; one file per target can be imported")
    if ids[0] != np.floor(ids[0]):
        raise DataError(f"{path}: {ids[0]:g} in its second column is no number of a target")
    index = frame_numbers(frames, str(path))
    steps = np.diff(index)
    wrong = np.flatnonzero((steps <= 0) | (steps > FARTHEST))
    if len(wrong):
        k = wrong[0]
        raise DataError(
            f"{path}, row {k + 2}: frame {index[k + 1]} after {index[k]}; not in order, or damaged"
        )
    table = np.full((index[-1] - index[0] + 1, 5), np.nan)
    told = rows.shape[1] > 6 and bool((rows[:, 6] != rows[0, 6]).any())
    table[index - index[0], : 4 + told] = rows[:, 2 : 6 + told]
    return table[:, :4], table[:, 4] if told else None, int(index[0])


def read_vot(path: Path, sequence: str, tracker: str) -> list[Reading]:
    """One trajectory of a VOT experiment without re-initialisation, as text or binary, 0-based.

    Code 1 (start), code 0 (no target) and empty masks become NaN rows and are named; a polygon or mask becomes its
    bounding box.

    Raises:
        DataError: failure codes or a second start (a run with re-initialisation is no one-pass evaluation), or
            anything else that is no region, with its row.
    """
    regions, notes = (vot_binary.read(path), ()) if path.suffix == ".bin" else _regions(path)
    boxes = np.ones((len(regions), 4))  # rows of codes stay so, that `drop_invalid` names the others only
    codes: dict[int, float] = {}
    kind = "rect"
    for i, values in enumerate(regions):
        where = f"{path}, row {i + 1}"
        if values.size == 1:
            codes[i] = _code(values[0], i, where)
            continue
        if (np.abs(values) > FARTHEST).any():
            raise DataError(f"{where}: values beyond {FARTHEST:.0f} pixels; the file is damaged")
        boxes[i] = bounding_box(values, where)
        kind = kind if values.size == 4 else "polygon"
    boxes, invalid = drop_invalid(boxes)
    boxes[list(codes)] = np.nan
    start_code = codes.get(0) == 1
    if start_code:
        notes += ("row 1 is VOT's start code: its box is the truth, or none where the truth is not at hand",)
    empty = [i for i, code in codes.items() if code == 0]
    if empty:
        notes += (f"code 0 in {len(empty)} rows from row {empty[0] + 1} on: taken as no box",)
    seconds, note = _seconds(path, len(boxes))
    scores, score_note = _scores(path, len(boxes))
    notes += invalid + note + score_note
    return [
        Reading(
            path,
            sequence,
            tracker,
            boxes,
            kind,
            seconds=seconds,
            start_code=start_code,
            notes=notes,
            scores=scores,
        )
    ]


def _regions(path: Path) -> tuple[list[Array], tuple[str, ...]]:
    """The numbers of each row, of a mask those of its bounding box, and notes."""
    rows, notes = text_rows(path)
    regions = []
    for number, cells in enumerate(rows, 1):
        where = f"{path}, row {number}"
        mask = cells[0][:1] in "mM"
        regions.append(masks.parse(",".join(cells), where) if mask else np.array(row_numbers(cells, where)))
    return regions, notes


def _code(code: float, row: int, where: str) -> float:
    """A code that one-pass evaluation may hold: 1 in the first row, 0 anywhere."""
    if code == 0 or (code == 1 and row == 0):
        return code
    if code in (1, 2):
        raise DataError(f"{where}: code {code:g}: a run with re-initialisation is no one-pass evaluation")
    raise DataError(f"{where}: unknown code {code:g}")


def _seconds(path: Path, count: int) -> tuple[Array | None, tuple[str, ...]]:
    """Times beside a result file ``(N,)``, under any of the toolkits' names; None where there are none."""
    places = [
        path.parent / "times" / f"{path.stem}_time.txt",
        path.with_name(f"{path.stem}_time.txt"),
        path.with_name(f"{path.stem}_time.value"),
        path.with_name(re.sub(r"_(\d{3}|\d{8})$", "", path.stem) + "_time.txt"),
    ]
    found = next((p for p in places if p.is_file()), None)
    if found is None:
        return None, ()
    column = int(repetition(path) or 1) - 1  # got10k writes the times of all repetitions side by side
    try:
        values = _column(found, column)
    except RoloBenchError as error:
        return None, (f"times not used: {error}",)
    if len(values) != count:
        return None, (f"times not used: {found.name} has {len(values)} rows for {count} boxes",)
    with np.errstate(invalid="ignore"):
        return np.where((values >= 0) & (values < 1e6), values, np.nan), ()


def _scores(path: Path, count: int) -> tuple[Array | None, tuple[str, ...]]:
    """Confidence beside a result file ``(N,)``, NaN where it does not say; None where there is none.

    VOT lets a tracker name its values as it likes: without a ``_confidence.value`` a single other one is taken, and
    named. A file may leave out the first frame, in which the tracker was told the box.
    """
    found = next((p for end in SCORES if (p := path.with_name(path.stem + end)).is_file()), None)
    notes: tuple[str, ...] = ()
    if found is None:
        start = f"{path.stem}_"
        others = sorted(
            p for p in path.parent.glob("*.value") if p.name.startswith(start) and p.stem != f"{start}time"
        )
        if len(others) > 1:
            return None, (f"confidence not used: it may be {' or '.join(p.name for p in others)}",)
        if not others:
            return None, ()
        found = others[0]
        notes = (f"confidence taken from {found.name}",)
    try:
        values = _column(found)
    except RoloBenchError as error:
        return None, (f"confidence not used: {error}",)
    if len(values) == count - 1:
        values = np.append(np.nan, values)
    if len(values) != count:
        return None, (f"confidence not used: {found.name} has {len(values)} rows for {count} boxes",)
    return _known(values), notes


def _known(scores: Array) -> Array | None:
    """Scores with NaN for what is infinite; None where none is left."""
    finite = np.isfinite(scores)
    return np.where(finite, scores, np.nan) if finite.any() else None


def _column(path: Path, column: int = 0) -> Array:
    """Numbers of a column of a file beside results, of the first where there is none; NaN for what is no number.

    An empty row, as VOT writes for the first frame, is NaN, too.

    Raises:
        DataError: as `read_text`.
    """
    rows = [re.split(r"[,;\s]+", line.strip()) for line in read_text(path).removesuffix("\n").split("\n")]
    cells = [row[column if 0 <= column < len(row) else 0] for row in rows]
    return np.array([float(c) if NUMBER.fullmatch(c) else np.nan for c in cells])


def find_tables(root: Path, format_: str) -> list[tuple[Path, str, str]]:
    """Result files under a folder (or one file), with the sequence and tracker that their paths name.

    Starts of the multi-start experiment other than the first frame's, and files of times and confidence are left out.
    """
    if root.is_file():
        return [_names(root, format_)]
    found = []
    endings = SUFFIXES.get(format_, (".txt",))
    for path in sorted(p for p in root.rglob("*") if p.suffix in endings and p.is_file()):
        inside = path.relative_to(root).parts
        if path.stem.endswith(ASIDE) or "times" in inside[:-1] or any(p.startswith(".") for p in inside):
            continue
        number = repetition(path)
        if (len(number) == 8 and int(number)) or (format_ == "vot" and not number):
            continue
        found.append(_names(path, format_))
    return found


def repetition(path: Path) -> str:
    """The number at the end of a name as in ``<Seq>/<Seq>_002.txt``: of a repetition, with eight digits of a start."""
    match = re.fullmatch(re.escape(path.resolve().parent.name) + r"_(\d{3}|\d{8})", path.stem)
    return match[1] if match else ""


def _names(path: Path, format_: str) -> tuple[Path, str, str]:
    place = path.resolve()
    folder = place.parent
    if repetition(path):
        tracker = folder.parent.parent.name if format_ == "vot" else folder.parent.name
        return path, folder.name, tracker
    tracker = folder.name
    if format_ == "pytracking" and re.search(r"_\d{3}$", tracker):
        tracker = f"{folder.parent.name}_{tracker}"
    return path, path.stem, tracker

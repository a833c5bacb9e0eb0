"""Matching what a file holds to the sequences of a suite: names, frame ranges, lengths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rolo_bench.boxes import Array, iou
from rolo_bench.datasets.alignment import find_misfit
from rolo_bench.datasets.suites import Entry
from rolo_bench.errors import DataError
from rolo_bench.exchange.reading import Reading, spans

SAME = 0.98
"""Overlap from which on a first box is the true one, and another that merely overlaps is not."""


@dataclass(frozen=True)
class Repairs:
    """Repairs of a file that is otherwise refused; each is off unless the user names it.

    Attributes:
        pad: for results that are short: ``none`` fills the missing rows at the end with "no box", ``hold``
            repeats the last box; None refuses.
        cut: leave out rows outside the benchmark's range: ``auto`` decides by counts and the first box where they
            lie, ``before`` and ``after`` say it; None refuses.
        hold: in rows without a box repeat the last box before them, as the MATLAB toolkit of 2013 does.
    """

    pad: str | None = None
    cut: str | None = None
    hold: bool = False


def spelling(name: str) -> str:
    """A name without what toolkits spell differently: case, and ``.``, ``_`` or ``-`` before a target's number."""
    return re.sub(r"[-_. ]+", "-", name).casefold()


def index_names(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Every known spelling of a suite's sequences, simplified by `spelling`."""
    table: dict[str, Entry] = {}
    for entry in entries:
        for name in (entry.name, *entry.aliases):
            if table.setdefault(spelling(name), entry).name != entry.name:
                raise DataError(f"the suite's table gives the name {name} to two sequences")
    return table


def find_entry(name: str, names: dict[str, Entry]) -> Entry | None:
    """The sequence of a name, which may carry the data set in front as pytracking writes it: ``uav_bird1_1``."""
    key = spelling(name)
    return names.get(key) or names.get(re.sub(r"^(uav|nfs)-", "", key))


def split_stem(stem: str, names: dict[str, Entry]) -> tuple[str, str]:
    """``carScale_KCF_GaussHog`` into sequence and tracker: the longest beginning that is a sequence's name.

    A stem without any known name is split at its first underscore.
    """
    parts = stem.split("_")
    for count in range(len(parts), 0, -1):
        if spelling("_".join(parts[:count])) in names:
            return "_".join(parts[:count]), "_".join(parts[count:])
    return parts[0], "_".join(parts[1:])


@dataclass(frozen=True)
class Fitted:
    """A reading that fits its sequence: boxes ``(N, 4)`` of exactly the benchmark's frames, and where they start.

    ``seconds`` and ``scores`` are ``(N,)``; scores are None where the file holds none.
    """

    boxes: Array
    seconds: Array
    start: int
    notes: tuple[str, ...]
    scores: Array | None = None


def fit_reading(reading: Reading, entry: Entry, repairs: Repairs, truth: Array | None = None) -> Fitted:
    """Fit a reading to the frames of its sequence.

    Frame numbers in files count either in the video or from 1 within the benchmark's range; both are
    understood, since every start runs to the end of the range. A length that does not fit is refused unless
    a repair was named. With ``truth`` the first box is held against it.

    Raises:
        DataError: length or range does not fit.
    """
    where = str(reading.source) if reading.protocol == "ope" else f"{reading.source}, start {reading.number}"
    if entry.first is None or entry.frames is None:
        raise DataError(f"{entry.name}: the suite does not say how many frames it has")
    start = _start(reading, entry, where)
    wanted = entry.frames - start
    rows, skipped = len(reading.boxes), 0
    boxes, notes = reading.boxes, reading.notes
    if reading.stated is not None and reading.stated != rows and not (rows < wanted and repairs.pad):
        raise DataError(
            f"{where}: {rows} rows, but it says itself that there are {reading.stated}"
            + (f" and {entry.name} has {wanted}" if wanted != reading.stated else "")
            + ("; fill the missing rows with --pad none or --pad hold" if rows < wanted else "")
        )
    if rows < wanted:
        if not repairs.pad:
            raise DataError(
                f"{where}: {rows} rows for the {wanted} frames of {entry.name}; "
                "fill the missing rows with --pad none or --pad hold"
            )
        filler = boxes[-1] if repairs.pad == "hold" else np.full(4, np.nan)
        boxes = np.vstack([boxes, np.tile(filler, (wanted - rows, 1))])
        what = "the last box repeated" if repairs.pad == "hold" else "no box"
        notes += (f"{wanted - rows} rows missing at the end (rows {rows + 1}-{wanted}): {what}",)
    elif rows > wanted:
        if not repairs.cut:
            raise DataError(
                f"{where}: {rows} rows for the {wanted} frames of {entry.name} (frames {entry.first} to "
                f"{entry.last}); leave out those outside with --cut"
            )
        skipped = 0 if start else _skipped(boxes, entry, repairs.cut, truth, where)
        boxes = boxes[skipped : skipped + wanted]
        outside = [("before", 0, skipped), ("after", skipped + wanted, rows)]
        notes += tuple(
            f"rows {a + 1}-{b} lie {side} the benchmark's range: left out" for side, a, b in outside if a < b
        )
    boxes, first_note = _first_box(boxes, reading, start, truth)
    notes += first_note
    if repairs.hold:
        boxes, held = _hold(boxes)
        notes += held
    scores = _cut_out(reading.scores, skipped, len(boxes))
    return Fitted(boxes, _seconds(reading, skipped, len(boxes)), start, notes, scores)


def _skipped(boxes: Array, entry: Entry, cut: str, truth: Array | None, where: str) -> int:
    """How many of a file's rows lie before the benchmark's range.

    A file with more rows than the range has frames begins with the range, or with the video: then it has as many
    rows as the last frame's number says, or as there are images. Where the truth is at hand, its first box must
    agree.

    Raises:
        DataError: counts and first box do not settle it.
    """
    assert entry.first is not None and entry.last is not None and entry.frames is not None
    rows, surplus, lead = len(boxes), len(boxes) - entry.frames, max(entry.first - 1, 0)
    counted = entry.images.index(entry.first) if entry.images and rows == len(entry.images) else None
    if counted is None and rows == entry.last:
        counted = lead
    before = counted or (lead if rows >= entry.last else 0) or surplus
    if cut != "auto":
        return before if cut == "before" else 0
    choices = {0, before} if counted is None else {counted}
    if truth is not None:
        choices &= _fitting(boxes, (0, before), truth[0]) or choices
    if (
        entry.first == 1 and 0 in choices
    ):  # a range that begins with the video, and a target that stands still
        choices = {0}
    if len(choices) != 1:
        raise DataError(
            f"{where}: {rows} rows for the {entry.frames} frames of {entry.name} (frames {entry.first} to "
            f"{entry.last}), and it is not clear whether the first {before} or the last {surplus} are too many; "
            "say which with --cut before or --cut after"
        )
    return choices.pop()


def _fitting(boxes: Array, places: tuple[int, int], first: Array) -> set[int]:
    """At which of two places a file's box is the first true one; at which it overlaps where neither is."""
    overlaps = {k: float(np.nan_to_num(iou(boxes[k], first)[0])) for k in places}
    least = SAME if max(overlaps.values()) >= SAME else 0.5
    return {k for k, overlap in overlaps.items() if overlap >= least}


def _start(reading: Reading, entry: Entry, where: str) -> int:
    """Index in the sequence of a reading's first frame."""
    assert entry.first is not None and entry.frames is not None
    if reading.protocol != "tre":
        if reading.first is not None and reading.first not in (1, entry.first):
            raise DataError(
                f"{where}: starts at frame {reading.first}, the benchmark's {entry.name} at {entry.first}"
            )
        return 0
    if reading.first is None:
        raise DataError(f"{where}: a start of TRE that does not say at which frame")
    count = len(reading.boxes) if reading.stated is None else reading.stated
    for base in (1, entry.first):
        start = reading.first - base
        if start >= 0 and start + count == entry.frames:
            return start
    raise DataError(
        f"{where}: {count} frames from frame {reading.first} on do not end where {entry.name} does "
        f"(frames {entry.first} to {entry.last})"
    )


def _first_box(
    boxes: Array, reading: Reading, start: int, truth: Array | None
) -> tuple[Array, tuple[str, ...]]:
    if truth is None or reading.protocol == "sre":
        return boxes, ()
    if reading.start_code:
        return np.vstack([truth[start], boxes[1:]]), ()
    found = find_misfit(boxes, truth[start : start + len(boxes)])
    return boxes, (str(found),) if found else ()


def _hold(boxes: Array) -> tuple[Array, tuple[str, ...]]:
    """Rows without a box filled with the last box before them; rows before the first box stay."""
    missing = np.isnan(boxes).any(axis=1)
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(boxes))))
    fill = missing & (last >= 0)
    held = np.where(fill[:, None], boxes[np.maximum(last, 0)], boxes)
    return held, (f"rows {spans(np.flatnonzero(fill))}: the last box repeated",) if fill.any() else ()


def _seconds(reading: Reading, skipped: int, count: int) -> Array:
    """Times ``(N,)``: as in the file, else the stated average speed spread evenly, else NaN."""
    stated = _cut_out(reading.seconds, skipped, count)
    if stated is not None:
        return stated
    return np.full(count, 1.0 / reading.fps if reading.fps > 0 else np.nan)


def _cut_out(values: Array | None, skipped: int, count: int) -> Array | None:
    """``count`` values after the first ``skipped``, NaN where there are no more; None of None."""
    if values is None:
        return None
    there = values[skipped : skipped + count]
    return np.pad(there, (0, count - len(there)), constant_values=np.nan)

"""Results of trackers: the value, and its files on disk.

Layout: ``<root>/<suite>/<protocol>/<tracker>/<Sequence>.txt`` (comma separated x, y, w, h in OTB's 1-based
pixels, ``nan`` for "no box"), ``<Sequence>_time.txt`` (seconds of tracker time per frame) and ``run.json``.
Segments of TRE and SRE carry their label: ``<Sequence>_tre03.txt``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.boxes import Array, as_boxes
from rolo_bench.boxfiles import format_boxes, format_numbers, parse_fast, read_boxes
from rolo_bench.errors import DataError, UsageError
from rolo_bench.files import write_atomic
from rolo_bench.protocols import PROTOCOLS

SEGMENT = re.compile(rf"^(?P<sequence>.+)_(?P<segment>(?:{'|'.join(PROTOCOLS)})\d\d)$")
NAME = re.compile(r"^\w[\w.+\-() ]*$")


@dataclass(frozen=True)
class RunResult:
    """What one tracker did on one sequence, or on one segment of it.

    Attributes:
        boxes: ``(N, 4)`` x, y, w, h, 0-based pixels; row 0 is the box it was started with.
        seconds: ``(N,)`` time inside the tracker per frame; NaN where unknown.
        status: ``complete`` or ``failed``; a failed result ends where the tracker failed.
        error: why it failed, one line.
        segment: ``tre03``, ``sre11`` … or None for one-pass evaluation.
        start: index, in the sequence, of the segment's first frame.
    """

    tracker: str
    sequence: str
    protocol: str
    boxes: Array
    seconds: Array
    status: str = "complete"
    error: str | None = None
    segment: str | None = None
    start: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", as_boxes(self.boxes))
        object.__setattr__(self, "seconds", np.asarray(self.seconds, dtype=np.float64))
        if len(self.boxes) != len(self.seconds):
            raise DataError(f"{self.label}: {len(self.boxes)} boxes but {len(self.seconds)} times")

    @property
    def label(self) -> str:
        """``tracker on sequence segment``, for messages."""
        return f"{self.tracker} on {self.sequence}" + (f" {self.segment}" if self.segment else "")

    @property
    def stem(self) -> str:
        """File name without ending."""
        return self.sequence + (f"_{self.segment}" if self.segment else "")


def check_name(kind: str, name: str) -> str:
    """A tracker, suite or sequence name that is safe as a file name.

    Raises:
        UsageError: it is empty, starts with a dot or holds a path separator.
    """
    if not NAME.match(name):
        raise UsageError(
            f"{kind} name {name!r}: use letters, digits, blanks, - _ . + ( ) and start with a letter, digit or _"
        )
    return name


@dataclass(frozen=True, repr=False)
class Store:
    """A folder of results. It holds no state of its own: what is on disk is what there is."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def __repr__(self) -> str:
        counts = Counter(f"{suite} {protocol}" for suite, protocol, _, _ in self.contents())
        words = (f"{where} {n} tracker{'s' * (n > 1)}" for where, n in counts.items())
        return f"Store {self.root}: {', '.join(words) or 'no results'}"

    def _repr_html_(self) -> str:
        rows = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in self.contents())
        head = "<tr><th>suite</th><th>protocol</th><th>tracker</th><th>sequences</th></tr>"
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<p>Store {escape(str(self.root))}</p><table>{head}{body}</table>"

    def contents(self) -> list[tuple[str, str, str, int]]:
        """Suite, protocol, tracker and number of sequences of all results, by the names on disk alone."""
        return [
            (suite, protocol, tracker, len(self.sequences(suite, protocol, tracker)))
            for suite in self.suites()
            for protocol in PROTOCOLS
            for tracker in self.trackers(suite, protocol)
        ]

    def folder(self, suite: str, protocol: str, tracker: str) -> Path:
        """Where the files of one tracker lie."""
        named = {"suite": suite, "protocol": protocol, "tracker": tracker}
        return self.root.joinpath(*(check_name(kind, name) for kind, name in named.items()))

    def suites(self) -> tuple[str, ...]:
        """Suites with results, by name."""
        return _folders(self.root)

    def trackers(self, suite: str, protocol: str = "ope") -> tuple[str, ...]:
        """Trackers with results on a suite, by name."""
        return _folders(self.root / suite / protocol)

    def sequences(self, suite: str, protocol: str, tracker: str) -> tuple[str, ...]:
        """Sequences for which a tracker has at least one result file, by name."""
        names = set()
        for path in self.folder(suite, protocol, tracker).glob("*.txt"):
            if path.name.startswith(".") or path.name.endswith("_time.txt"):
                continue
            match = SEGMENT.match(path.stem) if protocol != "ope" else None
            names.add(match["sequence"] if match else path.stem)
        return tuple(sorted(names))

    def save(self, suite: str, result: RunResult) -> None:
        """Write boxes and times; the boxes' file appears last, so its presence means both are there."""
        folder = self.folder(suite, result.protocol, result.tracker)
        check_name("sequence", result.sequence)
        write_atomic(folder / f"{result.stem}_time.txt", format_numbers(result.seconds))
        write_atomic(folder / f"{result.stem}.txt", format_boxes(result.boxes))

    def remove(self, suite: str, protocol: str, tracker: str, stem: str) -> None:
        """Delete the files of one sequence or segment, where they exist."""
        folder = self.folder(suite, protocol, tracker)
        (folder / f"{stem}.txt").unlink(missing_ok=True)
        (folder / f"{stem}_time.txt").unlink(missing_ok=True)

    def clear(self, suite: str, protocol: str, tracker: str) -> None:
        """Delete the result files of a tracker; ``run.json`` stays."""
        for path in self.folder(suite, protocol, tracker).glob("*.txt"):
            path.unlink()

    def load(
        self, suite: str, protocol: str, tracker: str, sequence: str, meta: dict[str, Any] | None = None
    ) -> list[RunResult]:
        """Results of one tracker on one sequence: one for OPE, one a segment for TRE and SRE.

        ``meta`` spares reading ``run.json`` again where many sequences are loaded.

        Raises:
            DataError: nothing there, or a file is malformed.
        """
        folder = self.folder(suite, protocol, tracker)
        if protocol == "ope":
            paths = [folder / f"{sequence}.txt"]
        else:
            paths = sorted(p for p in folder.glob(f"{sequence}_{protocol}[0-9][0-9].txt"))
        if not paths or not paths[0].is_file():
            raise DataError(
                f"no result of {tracker} on {sequence} ({suite}, {protocol}) in {self.root}; run or import it"
            )
        meta = self.meta(suite, protocol, tracker) if meta is None else meta
        entries = meta.get("sequences", {})
        return [_load_one(path, tracker, sequence, protocol, entries.get(path.stem, {})) for path in paths]

    def meta(self, suite: str, protocol: str, tracker: str) -> dict[str, Any]:
        """The contents of ``run.json``; empty where there is none.

        Raises:
            DataError: the file is damaged.
        """
        path = self.folder(suite, protocol, tracker) / "run.json"
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: not valid JSON ({error}); delete its folder and run again") from None
        if not _describes_a_run(value):
            raise DataError(f"{path}: not a run description; delete its folder and run again")
        return value

    def write_meta(self, suite: str, protocol: str, tracker: str, meta: dict[str, Any]) -> None:
        """Replace ``run.json``."""
        path = self.folder(suite, protocol, tracker) / "run.json"
        write_atomic(path, json.dumps(meta, indent=1, sort_keys=True) + "\n")


def _describes_a_run(value: Any) -> bool:
    """Whether tables are where ``run.json`` has tables, and starts are whole numbers."""
    tables = ("sequences", "fingerprint", "options", "versions", "machine")
    if not isinstance(value, dict) or not all(isinstance(value.get(k) or {}, dict) for k in tables):
        return False
    entries = value.get("sequences")
    return isinstance(entries, dict) and all(
        isinstance(e, dict) and isinstance(e.get("start", 0), int) for e in entries.values()
    )


def _folders(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        return ()
    return tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and NAME.match(p.name)))


def _load_one(path: Path, tracker: str, sequence: str, protocol: str, entry: dict[str, Any]) -> RunResult:
    boxes = read_boxes(path)
    times = path.with_name(f"{path.stem}_time.txt")
    seconds = parse_fast(times, 1)[:, 0] if times.is_file() else np.full(len(boxes), np.nan)
    if len(seconds) != len(boxes):
        raise DataError(
            f"{times}: {len(seconds)} times for {len(boxes)} boxes; delete both files and run again"
        )
    match = SEGMENT.match(path.stem) if protocol != "ope" else None
    segment, start = match["segment"] if match else None, int(entry.get("start", 0))
    status, error = entry.get("status", "complete"), entry.get("error")
    return RunResult(tracker, sequence, protocol, boxes, seconds, status, error, segment, start)

"""Results of trackers: the value, and its files on disk.

Layout: ``<root>/<suite>/<protocol>/<tracker>/<Sequence>.txt`` (comma separated x, y, w, h in OTB's 1-based
pixels, ``nan`` for "no box", and a fifth number where the tracker gives scores), ``<Sequence>_time.txt`` (seconds of
tracker time per frame) and ``run.json``.
Segments of TRE and SRE carry their label: ``<Sequence>_tre03.txt``.

``run.json`` holds a record of each result: what it depends on (`rolo_bench.run.stamp`), the run that made it, and
the SHA-256 of its files. While a run is at work, ``.run`` beside it holds a lock, who holds it, and working folders;
``<root>/.run`` holds what the trackers of one command share.
What is not to be trusted is set aside into ``<root>/<suite>/<protocol>/.aside/<tracker>``, never deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from html import escape
from pathlib import Path
from types import NoneType
from typing import Any, Protocol

import numpy as np
from filelock import FileLock, Timeout

from rolo_bench.boxes import Array, as_boxes
from rolo_bench.boxfiles import format_boxes, format_times, parse_fast, read_scored_boxes
from rolo_bench.errors import DataError, UsageError, did_you_mean, find_name, same_name
from rolo_bench.files import NAME, check_name, write_atomic
from rolo_bench.protocols import PROTOCOLS

SEGMENT = re.compile(rf"^(?P<sequence>.+)_(?P<segment>(?:{'|'.join(PROTOCOLS)})\d\d)$")
MEND = "set it aside with `rolo-bench verify --prune` and run again"


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
        scores: ``(N,)`` how sure the tracker was, NaN where it did not say; None of a tracker that gives none.
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
    scores: Array | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", as_boxes(self.boxes))
        object.__setattr__(self, "seconds", np.asarray(self.seconds, dtype=np.float64))
        if len(self.boxes) != len(self.seconds):
            raise DataError(f"{self.label}: {len(self.boxes)} boxes but {len(self.seconds)} times")

    @property
    def label(self) -> str:
        """``tracker on sequence segment``, for messages."""
        return _label(self.tracker, self.sequence, self.segment)

    @property
    def stem(self) -> str:
        """File name without ending."""
        return self.sequence + (f"_{self.segment}" if self.segment else "")


@dataclass(frozen=True)
class Files:
    """The files of one result as they were read, and its record; nothing of them is looked at yet.

    Attributes:
        folder, stem: where they lie, and their name without ending.
        boxes, times: contents; None where there is no such file.
        entry: the result's record in ``run.json``, empty where there is none.
    """

    tracker: str
    sequence: str
    protocol: str
    folder: Path
    stem: str
    boxes: bytes | None
    times: bytes | None
    entry: dict[str, Any]

    @property
    def segment(self) -> str | None:
        """As of `RunResult`."""
        match = SEGMENT.match(self.stem) if self.protocol != "ope" else None
        return match["segment"] if match else None

    @property
    def label(self) -> str:
        """As of `RunResult`."""
        return _label(self.tracker, self.sequence, self.segment)

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the contents, of those that are there."""
        contents = {"boxes": self.boxes, "times": self.times}
        return {kind: _sha256(data) for kind, data in contents.items() if data is not None}

    def damage(self) -> str:
        """What the record says otherwise than the files: one is missing, or was changed; empty where nothing."""
        kept = self.entry.get("files") or {}
        if self.boxes is None:
            return f"{self.stem}.txt is missing"
        for kind, ending in (("boxes", ".txt"), ("times", "_time.txt")):
            if kind in kept and kind not in self.digests:
                return f"{self.stem}{ending} is missing"
            if kind in kept and self.digests[kind] != kept[kind]:
                return f"{self.stem}{ending} was changed after it was made"
        return ""

    def result(self) -> RunResult:
        """What the files hold; parsed once.

        Raises:
            DataError: one is malformed, or they are of different lengths.
        """
        return self._result

    @cached_property
    def _result(self) -> RunResult:
        boxes, scores = read_scored_boxes(self.folder / f"{self.stem}.txt", self.boxes)
        times = self.folder / f"{self.stem}_time.txt"
        seconds = np.full(len(boxes), np.nan)
        if self.times is not None:
            seconds = parse_fast(times, 1, self.times)[:, 0]
        if len(seconds) != len(boxes):
            raise DataError(
                f"{times}: {len(seconds)} times for {len(boxes)} boxes; delete both files and run again"
            )
        status, error = self.entry.get("status", "complete"), self.entry.get("error")
        start = int(self.entry.get("start", 0))
        return RunResult(
            self.tracker,
            self.sequence,
            self.protocol,
            boxes,
            seconds,
            status,
            error,
            self.segment,
            start,
            scores,
        )


def _label(tracker: str, sequence: str, segment: str | None) -> str:
    return f"{tracker} on {sequence}" + (f" {segment}" if segment else "")


class Results(Protocol):
    """What scoring and reports ask of a `Store`; each method is as there."""

    @property
    def root(self) -> Path:
        """The folder."""

    def contents(self) -> list[tuple[str, str, str, int]]:
        """Suite, protocol, tracker and number of sequences of all results."""

    def trackers(self, suite: str, protocol: str = "ope") -> tuple[str, ...]:
        """Trackers that have results."""

    def sequences(self, suite: str, protocol: str, tracker: str) -> tuple[str, ...]:
        """Sequences that a tracker has results on."""

    def find_tracker(self, suite: str, protocol: str, tracker: str) -> str:
        """A tracker that has results, by its name."""

    def meta(self, suite: str, protocol: str, tracker: str) -> dict[str, Any]:
        """The contents of ``run.json``."""

    def read(
        self, suite: str, protocol: str, tracker: str, sequences: Iterable[str], meta: dict[str, Any] | None = None
    ) -> Iterator[list[Files]]:  # fmt: skip
        """The files of one tracker."""

    def load(
        self, suite: str, protocol: str, tracker: str, sequence: str, meta: dict[str, Any] | None = None
    ) -> list[RunResult]:
        """Results of one tracker on one sequence."""


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
        """Trackers with results on a suite, or with failures recorded, by name."""
        place = self.root / suite / protocol
        return tuple(
            n for n in _folders(place) if any(p.suffix in (".txt", ".json") for p in (place / n).iterdir())
        )

    def sequences(self, suite: str, protocol: str, tracker: str) -> tuple[str, ...]:
        """Sequences for which a tracker has at least one result file, by name."""
        names = {sequence_of(stem, protocol) for stem in self.stems(suite, protocol, tracker)}
        return tuple(sorted(names))

    def save(self, suite: str, result: RunResult) -> dict[str, str]:
        """Write boxes and times; the boxes' file appears last, so its presence means both are there.

        Returns the SHA-256 of both, which belongs into the result's record as ``files``.
        """
        folder = self.folder(suite, result.protocol, result.tracker)
        check_name("sequence", result.sequence)
        times, boxes = format_times(result.seconds), format_boxes(result.boxes, scores=result.scores)
        write_atomic(folder / f"{result.stem}_time.txt", times)
        write_atomic(folder / f"{result.stem}.txt", boxes)
        return {"boxes": _sha256(boxes.encode()), "times": _sha256(times.encode())}

    def digests(self, result: RunResult) -> dict[str, str]:
        """The SHA-256 of both files as `save` will write them."""
        boxes, times = format_boxes(result.boxes, scores=result.scores), format_times(result.seconds)
        texts = {"boxes": boxes, "times": times}
        return {kind: _sha256(text.encode()) for kind, text in texts.items()}

    def make_room(self, suite: str, protocol: str, tracker: str, stem: str, entry: dict[str, Any]) -> None:
        """Take away files of a result that is made anew: those of a run that was killed are deleted, which are as the
        record says; whatever else lies there is set aside.
        """
        kept = entry.get("files") or {}
        for path, kind in zip(self.files(suite, protocol, tracker, stem), ("boxes", "times")):
            if path.is_file() and kept.get(kind) == _sha256(path.read_bytes()):
                path.unlink()
        names = (path.name for path in self.files(suite, protocol, tracker, stem))
        self.set_aside(suite, protocol, tracker, *names)

    def remove(self, suite: str, protocol: str, tracker: str, stem: str) -> None:
        """Delete the files of one sequence or segment, where they exist; raises what `check_name` raises."""
        check_name("sequence", stem)
        for path in self.files(suite, protocol, tracker, stem):
            path.unlink(missing_ok=True)

    def clear(self, suite: str, protocol: str, tracker: str) -> None:
        """Delete the result files of a tracker; ``run.json`` stays."""
        for path in self.folder(suite, protocol, tracker).glob("*.txt"):
            path.unlink()

    def files(self, suite: str, protocol: str, tracker: str, stem: str) -> tuple[Path, Path]:
        """Where boxes and times of one sequence or segment lie."""
        folder = self.folder(suite, protocol, tracker)
        return folder / f"{stem}.txt", folder / f"{stem}_time.txt"

    def damage(self, suite: str, protocol: str, tracker: str, stem: str, record: dict[str, Any]) -> str:
        """What is wrong with the files of a recorded result: one is missing, or was changed; empty where nothing is."""
        return _contents(
            self.folder(suite, protocol, tracker), tracker, stem, protocol, stem, record
        ).damage()

    def set_aside(self, suite: str, protocol: str, tracker: str, *names: str) -> list[Path]:
        """Move files of a tracker's folder to where nothing looks for results; gives where they lie now."""
        folder, moved = self.folder(suite, protocol, tracker), []
        aside = folder.parent / ".aside" / tracker
        for name in names:
            if Path(name).name != name or not (folder / name).exists():  # a record may say anything
                continue
            aside.mkdir(parents=True, exist_ok=True)
            target = aside / name.lstrip(".")
            number = 1
            while target.exists():
                number += 1
                target = aside / f"{name.lstrip('.')}.{number}"
            (folder / name).rename(target)
            moved.append(target)
        return moved

    @contextmanager
    def held(self, suite: str, protocol: str, tracker: str) -> Iterator[Path]:
        """Hold a tracker's folder against other runs, also of other machines on a shared disk that locks.

        Gives a folder ``.run`` for whatever lasts as long as the run; what a killed run left there is removed.

        Raises:
            UsageError: another run holds it; the message says which.
        """
        folder = self.folder(suite, protocol, tracker)
        work = folder / ".run"
        try:
            lock = _locked(work)
        except Timeout:
            raise UsageError(
                f"{folder}: {_holder(work / 'holder.json')} is at work there; wait for it, or choose --name OTHER"
            ) from None
        try:
            for path in [*work.iterdir(), *folder.glob(".*.txt.*"), *folder.glob(".run.json.*")]:
                if path.name != "lock":
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            holder = {"process": os.getpid(), "machine": platform.node(), "since": now}
            (work / "holder.json").write_text(json.dumps(holder), encoding="utf-8")
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
            lock.release()
            for empty in (work, folder, folder.parent, folder.parent.parent):  # of a run that made nothing
                with suppress(OSError):
                    empty.rmdir()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what the runs of one command share; those that killed commands have left are removed first."""
        home = self.root / ".run"
        own = home / uuid.uuid4().hex
        for left in home.glob("*/"):
            with suppress(Timeout):
                lock = _locked(left)
                shutil.rmtree(left, ignore_errors=True)
                lock.release()
        lock = _locked(own, wait=-1)  # another command may just be looking whether it is left over
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
            lock.release()
            with suppress(OSError):
                home.rmdir()

    def rename(self, suite: str, protocol: str, old: str, new: str) -> None:
        """File a tracker's results under another name.

        Raises:
            UsageError: there are none, or some under the new name already.
        """
        old = self.find_tracker(suite, protocol, old)
        source, target = self.folder(suite, protocol, old), self.folder(suite, protocol, new)
        if target.exists():
            raise UsageError(f"{target}: is there already; choose another name, or remove it first")
        meta = self.meta(suite, protocol, old)
        with self.held(suite, protocol, old):
            if meta:
                self.write_meta(suite, protocol, old, meta | {"tracker": new})
        source.rename(target)

    def delete(self, suite: str, protocol: str, tracker: str, names: tuple[str, ...] = ()) -> int:
        """Delete a tracker's results, or those on some sequences; gives on how many sequences.

        Raises:
            UsageError: there are none.
        """
        tracker = self.find_tracker(suite, protocol, tracker)
        known = self.sequences(suite, protocol, tracker)
        names = tuple(find_name("sequence", n, known, where=f"among those of {tracker}") for n in names)
        with self.held(suite, protocol, tracker):
            if names:
                meta = self.meta(suite, protocol, tracker)
                for stem in self.stems(suite, protocol, tracker):
                    if sequence_of(stem, protocol) in names:
                        self.remove(suite, protocol, tracker, stem)
                        meta.get("sequences", {}).pop(stem, None)
                if meta:
                    self.write_meta(suite, protocol, tracker, meta)
        if not names or set(names) == set(known):
            shutil.rmtree(self.folder(suite, protocol, tracker))
        return len(names or known)

    def find_tracker(self, suite: str, protocol: str, tracker: str) -> str:
        """A tracker that has results, by the rule of `rolo_bench.errors.find_name`.

        Raises:
            UsageError: it has none.
        """
        known = self.trackers(suite, protocol)
        found = same_name(tracker, known)
        if found is None:
            # not here, where several may differ in case alone
            others = [c for c in self.contents() if c[:2] != (suite, protocol)]
            places = dict.fromkeys(f"{s} ({p})" for s, p, t, _ in others if same_name(tracker, [t]))
            near = did_you_mean(tracker, known, "run or import others")
            there = f"; there are some on {', '.join(places)}" if places else near
            raise UsageError(f"no results of {tracker} on {suite} ({protocol}) in {self.root}{there}")
        return found

    def stems(self, suite: str, protocol: str, tracker: str) -> tuple[str, ...]:
        """Names, without ending, of all files of boxes."""
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(self.folder(suite, protocol, tracker))
        boxes = (
            n for n in names if n.endswith(".txt") and not n.startswith(".") and not n.endswith("_time.txt")
        )
        return tuple(sorted(n[:-4] for n in boxes))

    def read(
        self,
        suite: str,
        protocol: str,
        tracker: str,
        sequences: Iterable[str],
        meta: dict[str, Any] | None = None,
    ) -> Iterator[list[Files]]:
        """The files of one tracker as they lie there: for OPE one result a sequence, for TRE and SRE one a segment.

        ``meta`` spares reading ``run.json`` again.

        Raises:
            DataError: nothing there, or a file was changed after it was made.
        """
        folder = self.folder(suite, protocol, tracker)
        meta = self.meta(suite, protocol, tracker) if meta is None else meta
        entries = meta.get("sequences", {})
        for sequence in sequences:
            stems = [sequence]
            if protocol != "ope":
                stems = sorted(p.stem for p in folder.glob(f"{sequence}_{protocol}[0-9][0-9].txt"))
            found = [_contents(folder, tracker, sequence, protocol, n, entries.get(n, {})) for n in stems]
            if not found or found[0].boxes is None:
                raise DataError(
                    f"no result of {tracker} on {sequence} ({suite}, {protocol}) in {self.root}; run or import it"
                )
            damage = next(filter(None, (files.damage() for files in found)), "")
            if damage:
                raise DataError(
                    f"{tracker} on {sequence}: {damage}; set it aside with `rolo-bench verify --prune` and run again"
                )
            yield found

    def load(
        self, suite: str, protocol: str, tracker: str, sequence: str, meta: dict[str, Any] | None = None
    ) -> list[RunResult]:
        """Results of one tracker on one sequence, as `read` finds them.

        Raises:
            DataError: as `read`, or a file is malformed.
        """
        return [files.result() for files in next(self.read(suite, protocol, tracker, [sequence], meta))]

    def meta(self, suite: str, protocol: str, tracker: str) -> dict[str, Any]:
        """The contents of ``run.json``; empty where there is none.

        Raises:
            DataError: the file is damaged.
        """
        path = self.folder(suite, protocol, tracker) / "run.json"
        try:
            with open(path, encoding="utf-8", opener=_at_once) as file:
                value = json.load(file)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: not valid JSON ({error}); {MEND}") from None
        if not _describes_a_run(value):
            raise DataError(f"{path}: not a run description; {MEND}")
        return value

    def write_meta(self, suite: str, protocol: str, tracker: str, meta: dict[str, Any]) -> None:
        """Replace ``run.json``."""
        path = self.folder(suite, protocol, tracker) / "run.json"
        write_atomic(path, json.dumps(meta, indent=1, sort_keys=True) + "\n")


def _describes_a_run(value: Any) -> bool:
    """Whether everything in ``run.json`` that is looked at is of its kind."""
    if not _of_kind(value, _RUN | _META) or not isinstance(value.get("sequences"), dict):
        return False
    if not all(
        _of_kind(part, kinds) for name, kinds in _PARTS.items() for part in value.get(name, {}).values()
    ):
        return False
    words = [*value.get("expected", ()), *value.get("trained_on", ())]
    machines = [run.get("machine", {}) for run in (value, *value.get("runs", {}).values())]
    return all(isinstance(w, str) for w in words) and all(_of_kind(m, _MACHINE) for m in machines)


def _of_kind(value: Any, kinds: dict[str, Any]) -> bool:
    """Whether a value is a table whose entries, where there are any, are of some types."""
    return isinstance(value, dict) and all(
        name not in value or isinstance(value[name], kind) for name, kind in kinds.items()
    )


_MACHINE = {"cores": (int, NoneType), "load_at_start": (int, float)}
_RUN = {"versions": dict, "machine": dict, "jobs": int}
_META = {
    "sequences": dict, "makings": dict, "runs": dict, "fingerprint": dict, "options": dict, "imported": dict,
    "expected": list, "trained_on": list, "tracker": str, "plugin": str, "origin": str,
}  # fmt: skip
_PARTS: dict[str, dict[str, Any]] = {
    "sequences": {
        "start": int, "files": dict, "making": str, "run": (str, int), "status": str, "frames": int,
        "error": (str, NoneType),
    },
    "makings": {"options": dict, "weights": dict, "versions": dict},
    "runs": _RUN,
}  # fmt: skip


def sequence_of(stem: str, protocol: str) -> str:
    """The sequence whose result, or segment of one, a file's name without ending is of."""
    match = SEGMENT.match(stem) if protocol != "ope" else None
    return match["sequence"] if match else stem


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _locked(work: Path, wait: float = 0) -> FileLock:
    """The lock of a working folder, which is made where it is missing.

    Raises:
        Timeout: another process holds it.
    """
    lock = FileLock(work / "lock", timeout=wait)
    while True:
        work.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if (work / "lock").exists():
            return lock
        lock.release()  # the last holder took the file with it


def _holder(path: Path) -> str:
    """Who holds a folder, in words."""
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return f"process {who['process']} on {who['machine']}, since {who['since']},"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"


def _folders(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        return ()
    return tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and NAME.fullmatch(p.name)))


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting, as one would for what may be written into a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _contents(
    folder: Path, tracker: str, sequence: str, protocol: str, stem: str, entry: dict[str, Any]
) -> Files:
    data: list[bytes | None] = []
    for name in (f"{folder}{os.sep}{stem}.txt", f"{folder}{os.sep}{stem}_time.txt"):
        try:
            with open(name, "rb", buffering=0, opener=_at_once) as file:  # half the time of `Path.read_bytes`
                data.append(file.read())
        except (FileNotFoundError, IsADirectoryError):
            data.append(None)
    return Files(tracker, sequence, protocol, folder, stem, data[0], data[1], entry)

"""Taking in results of other toolkits.

Each format has a reader that says what a file holds (`reading.Reading`); `fit.fit_reading` fits that to a sequence
of a suite; `import_results` writes it into a store of results with its origin. A file that is wrong is refused
with one line and the others go on; what was found and handled inside a file is listed in ``run.json``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rolo_bench.boxes import Array
from rolo_bench.datasets.suites import TABLES, Entry, entries, load_suite, tb100
from rolo_bench.errors import DataError, RoloBenchError, UsageError
from rolo_bench.exchange import otb_json, otb_mat, text
from rolo_bench.exchange.fit import (
    Fitted,
    Repairs,
    find_entry,
    fit_reading,
    index_names,
    spelling,
    split_stem,
)
from rolo_bench.exchange.reading import Found, Meaning, Reading
from rolo_bench.exchange.repetitions import choose, find_runs
from rolo_bench.protocols import PROTOCOLS
from rolo_bench.run.store import RunResult, Store, check_name


@dataclass(frozen=True)
class Format:
    """A format of result files: its layout in words, how its files are found, and how one is read.

    Attributes:
        find: of a folder or file and the known spellings of sequences.
        read: of a file that was found, and what its numbers mean.
        open: it leaves open what they mean.
    """

    words: str
    find: Callable[[Path, dict[str, Entry]], list[Found]]
    read: Callable[[Found, Meaning], list[Reading]]
    open: bool = False


def _files(root: Path, ending: str) -> list[Path]:
    return [root] if root.is_file() else sorted(p for p in root.rglob(f"*{ending}") if p.is_file())


def _tables(format_: str, words: str) -> Format:
    return Format(
        words,
        lambda root, names: [Found(*row) for row in text.find_tables(root, format_)],
        lambda f, meaning: text.read_rectangles(f.path, f.sequence, f.tracker, meaning),
        open=True,
    )


FORMATS = {
    "otb-mat": Format(
        "OTB MATLAB toolkits: <Seq>_<tracker>.mat",
        lambda root, names: [Found(p, *split_stem(p.stem, names)) for p in _files(root, ".mat")],
        lambda f, meaning: otb_mat.read(f.path, f.sequence, f.tracker),
    ),
    "otb-json": Format(
        "Python OTB toolkit: <tracker>/<Seq>.json",
        lambda root, names: [Found(p, p.stem, p.resolve().parent.name) for p in _files(root, ".json")],
        lambda f, meaning: otb_json.read(f.path, f.sequence, f.tracker),
    ),
    "got10k": _tables("got10k", "got10k: <tracker>/<Seq>.txt and times/<Seq>_time.txt"),
    "pysot": _tables("pysot", "pysot: <tracker>/<Seq>.txt"),
    "pytracking": _tables("pytracking", "pytracking: <tracker>/<parameters>_000/<Seq>.txt"),
    "vot": replace(
        _tables("vot", "VOT: <tracker>/<experiment>/<Seq>/<Seq>_001.txt"),
        read=lambda f, meaning: text.read_vot(f.path, f.sequence, f.tracker),
        open=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """What became of a file: ``imported``, ``unchanged``, ``outside`` (not in the suite) or ``refused``."""

    source: Path
    what: str
    sequence: str = ""
    tracker: str = ""
    protocol: str = ""
    error: str | None = None
    notes: tuple[str, ...] = ()


def find_files(format_: str, root: Path, entries: tuple[Entry, ...]) -> list[Found]:
    """Result files under a folder (or one file), in order of their paths.

    Raises:
        UsageError: unknown format, or no such path.
        DataError: no file of the format there.
    """
    if format_ not in FORMATS:
        raise UsageError(f"unknown format {format_!r}; known: {', '.join(FORMATS)}")
    if not root.exists():
        raise UsageError(f"{root}: no such file or folder")
    found = FORMATS[format_].find(root, index_names(tb100()) | index_names(entries))
    if not found:
        raise DataError(f"{root}: holds no result files of {format_} ({FORMATS[format_].words})")
    return found


def read(format_: str, found: Found, meaning: Meaning = Meaning()) -> list[Reading]:  # noqa: B008 - frozen
    """All starts that a file holds.

    Raises:
        DataError: the file is damaged or of another kind.
    """
    return FORMATS[format_].read(found, meaning)


def import_results(
    format_: str,
    root: Path,
    suite: str,
    entries: tuple[Entry, ...],
    store: Store,
    tracker: str | None = None,
    protocol: str | None = None,
    repairs: Repairs = Repairs(),  # noqa: B008 - frozen
    truths: dict[str, Array] | None = None,
    meaning: Meaning = Meaning(),  # noqa: B008 - frozen
    force: bool = False,
) -> Iterator[Imported]:
    """Import a file or folder into a store; yields what became of each file.

    Args:
        suite, entries: name under which results are filed, and its sequences.
        tracker: file the results under this name; in a folder of several trackers, take only this one.
        protocol: ``ope``, ``tre``, ``sre``, or None for what the files hold.
        truths: annotations by sequence name, where at hand, to hold first boxes against.
        force: replace results that are there already and were made otherwise.

    Raises:
        UsageError: the path or format is wrong, ``tracker`` is none of several in the folder, or results of a run
            stand under that name and ``force`` is not given.
    """
    found, name = select(find_files(format_, root, entries), tracker)
    found = find_runs(found, lambda item: choose(read(format_, item, meaning), protocol))
    names, known = index_names(entries), index_names(tb100())
    for key, entry in known.items():  # a suite of one's own may hold benchmark videos without their spellings
        if spelling(entry.name) in names:
            names.setdefault(key, names[spelling(entry.name)])
    order = _Order(format_, suite, names, known, store, name, repairs, truths or {}, meaning, force)
    for item in found:
        try:
            yield _import_file(order, item, protocol)
        except UsageError:
            raise
        except RoloBenchError as error:
            label = (name or item.tracker) + item.run
            yield Imported(item.path, "refused", item.sequence, label, error=str(error))


def targets(
    suite: str, data: str | os.PathLike[str] | None = None
) -> tuple[tuple[Entry, ...], dict[str, Array]]:
    """Sequences of a suite with their frame ranges, and the annotations that are at hand.

    Raises:
        DataError: a suite that is no table needs its data, and it is not there.
    """
    if suite in TABLES:
        try:
            loaded = load_suite(suite, data, partial=True, images=False).sequences
        except RoloBenchError:
            if data:
                raise
            loaded = ()
        table = entries(suite)
    else:
        loaded = load_suite(suite, data, partial=True, images=False).sequences
        table = tuple(Entry(s.name, s.first_frame, s.first_frame + len(s) - 1) for s in loaded)
    numbers = {s.name: getattr(s.frames, "numbers", ()) for s in loaded}
    return tuple(replace(e, images=numbers.get(e.name, ())) for e in table), {s.name: s.truth for s in loaded}


def select(found: list[Found], tracker: str | None) -> tuple[list[Found], str | None]:
    """Files to import, and the name to file them under (None: each under its own)."""
    if tracker is None:
        return found, None
    check_name("tracker", tracker)
    several = sorted({f.tracker for f in found})
    if len(several) == 1:
        return found, tracker
    chosen = [f for f in found if spelling(f.tracker) == spelling(tracker)]
    if not chosen:
        shown = ", ".join(several[:12]) + (" …" if len(several) > 12 else "")
        raise UsageError(f"{tracker}: not among the trackers of the folder: {shown}")
    return chosen, tracker


@dataclass(frozen=True)
class _Order:
    """What one import asks for, the same for every file."""

    format: str
    suite: str
    names: dict[str, Entry]
    known: dict[str, Entry]
    store: Store
    tracker: str | None
    repairs: Repairs
    truths: dict[str, Array]
    meaning: Meaning
    force: bool

    def mark(self, content: bytes) -> dict[str, Any]:
        """What an imported result depends on: the file, and how it was read."""
        rules = asdict(self.repairs) | asdict(self.meaning)
        return {"sha256": hashlib.sha256(content).hexdigest(), "format": self.format, "rules": rules}


def _import_file(order: _Order, found: Found, protocol: str | None) -> Imported:
    if find_entry(found.sequence, order.names) is None and spelling(found.sequence) in order.known:
        return Imported(found.path, "outside", found.sequence, order.tracker or found.tracker)
    readings = _wanted(order, found, protocol)
    entry = _entry(found, readings[0], order.names)
    label = order.tracker or _safe_name(found, readings[0].tracker or found.tracker or "imported")
    label += found.run
    kind = readings[0].protocol
    meta = _meta(order, kind, label)
    fitted = [fit_reading(r, entry, order.repairs, order.truths.get(entry.name)) for r in readings]
    results = [_result(label, entry.name, r, f) for r, f in zip(readings, fitted)]
    mark = order.mark(found.path.read_bytes())
    marks = {r.stem: mark | {"start": r.start} | _scores_mark(r.scores) for r in results}
    if _same(meta, marks, order.store.folder(order.suite, kind, label)):
        return Imported(found.path, "unchanged", entry.name, label, kind)
    if not order.force:
        _refuse_other(meta, marks, f"{found.path}: {label} has results on {entry.name}")
    extra = found.notes
    if len(readings) != PROTOCOLS[kind].usual:
        extra += (f"{len(readings)} of {PROTOCOLS[kind].usual} starts of {kind.upper()}",)
    if not meta["sequences"]:  # never files of two makings side by side
        order.store.clear(order.suite, kind, label)
    for reading, spot, result in zip(readings, fitted, results):
        meta["sequences"][result.stem] = marks[result.stem] | {
            "files": order.store.save(order.suite, result),
            "status": "complete",
            "frames": len(spot.boxes),
            "source": found.path.name,
            "kind": reading.kind,
            "speed": _speed(reading),
            "notes": [*spot.notes, *extra],
        }
    order.store.write_meta(order.suite, kind, label, meta)
    notes = tuple(f"{s}: {n}" if len(marks) > 1 else n for s, f in zip(marks, fitted) for n in f.notes)
    return Imported(found.path, "imported", entry.name, label, kind, notes=notes + extra)


def _wanted(order: _Order, found: Found, protocol: str | None) -> list[Reading]:
    """The starts of the wanted protocol, of several repetitions the one that is wanted."""
    readings = choose(read(order.format, found, order.meaning), protocol)
    if readings[0].protocol != "ope":
        return readings
    return [r for r in readings if r.number == (found.number or r.number)][:1]


def _result(label: str, sequence: str, reading: Reading, fitted: Fitted) -> RunResult:
    kind = reading.protocol
    segment = None if kind == "ope" else f"{kind}{reading.number:02d}"
    return RunResult(
        label,
        sequence,
        kind,
        fitted.boxes,
        fitted.seconds,
        segment=segment,
        start=fitted.start,
        scores=fitted.scores,
    )


def _scores_mark(scores: Array | None) -> dict[str, str]:
    """Confidence may lie in a file of its own, so its content is a part of what a result depends on."""
    return {} if scores is None else {"scores": hashlib.sha256(scores.tobytes()).hexdigest()}


def _meta(order: _Order, kind: str, label: str) -> dict[str, Any]:
    """``run.json`` of the results that the file joins, or a new one; those of a run are kept from it."""
    meta = order.store.meta(order.suite, kind, label)
    if "imported" in meta:
        return meta
    if meta and not order.force:
        raise UsageError(
            f"{order.store.folder(order.suite, kind, label)}: holds results of a run; choose another name with "
            "--tracker NAME, or replace them with --force"
        )
    return {
        "tracker": label,
        "protocol": kind,
        "suite": order.suite,
        "expected": list(dict.fromkeys(e.name for e in order.names.values())),
        "imported": {"format": order.format, "made": datetime.now(UTC).isoformat(timespec="seconds")},
        "oracle": False,
        "machine": {"device": "unknown (imported)"},
        "sequences": {},
    }


def _safe_name(found: Found, name: str) -> str:
    try:
        return check_name("tracker", name)
    except UsageError as error:
        raise DataError(f"{found.path}: {error}; give it a name with --tracker NAME") from None


def _entry(found: Found, reading: Reading, names: dict[str, Entry]) -> Entry:
    """The sequence that a file is of; its path and its contents must not disagree."""
    entry = find_entry(reading.sequence, names)
    if entry is None:
        targets = [n for k in (1, 2) if (n := f"{reading.sequence}-{k}") and spelling(n) in names]
        raise DataError(
            f"{found.path}: unknown sequence {reading.sequence!r}; not in this suite under any spelling"
            + (f"; it has {' and '.join(targets)}, one file a target: rename it" if targets else "")
        )
    by_path = find_entry(found.sequence, names)
    if by_path is not None and by_path.name != entry.name:
        raise DataError(f"{found.path}: named after {by_path.name}, but it says that it is of {entry.name}")
    return entry


def _same(meta: dict[str, Any], marks: dict[str, dict[str, Any]], folder: Path) -> bool:
    """Whether exactly these results are there already."""
    entries = meta["sequences"]
    return all(
        (folder / f"{stem}.txt").is_file() and all(entries.get(stem, {}).get(k) == v for k, v in mark.items())
        for stem, mark in marks.items()
    )


def _refuse_other(meta: dict[str, Any], marks: dict[str, dict[str, Any]], where: str) -> None:
    """Results that another file gave are not replaced unasked."""
    for stem, mark in marks.items():
        there = meta["sequences"].get(stem)
        if there and there.get("sha256") != mark["sha256"]:
            raise DataError(f"{where} from another file ({there.get('source')}); replace them with --force")


def _speed(reading: Reading) -> str:
    if reading.seconds is not None:
        return "times of the file, frame by frame"
    stated = f"{reading.fps:.6g} fps as the file states, the same for every frame"
    return stated if reading.fps > 0 else "unknown"

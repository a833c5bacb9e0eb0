"""What in a folder of results is not to be trusted, and setting it aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rolo_bench.boxfiles import parse_fast, read_scored_boxes
from rolo_bench.datasets.suites import Suite
from rolo_bench.errors import DataError
from rolo_bench.protocols import PROTOCOLS
from rolo_bench.run.stamp import changed_since, key_of, mixed, video
from rolo_bench.run.store import Store, sequence_of
from rolo_bench.sequence import Sequence


class Fault(Enum):
    """Kinds of what can be wrong with a result; the value is its word on the terminal."""

    RECORD = "damaged record"
    FOREIGN = "foreign"
    EDITED = "edited"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    MIXED = "mixed"
    STALE = "stale"
    LEFT = "left over"
    UNSTAMPED = "made before stamps"


HARMLESS = (Fault.UNSTAMPED,)
"""Marked, but not set aside: nothing shows that such results are wrong."""


@dataclass(frozen=True)
class Finding:
    """One fault: where, of what kind, in words, and the names of the files that it is about."""

    suite: str
    protocol: str
    tracker: str
    fault: Fault
    words: str
    files: tuple[str, ...] = ()
    stem: str = ""


def find_faults(
    store: Store, suites: Mapping[str, Suite] | None = None, tick: Callable[[str], None] | None = None
) -> Iterator[Finding]:
    """Every edited, truncated, foreign, stale or left-over file of a folder of results, and what is missing.

    With a suite as loaded, by its name, truth and images of its sequences are compared as well; ``tick`` is told the
    name of each tracker.
    """
    loaded = suites or {}
    for suite in store.suites():
        videos: dict[str, dict[str, str]] = {}
        for protocol in PROTOCOLS:
            for tracker in store.trackers(suite, protocol):
                if tick is not None:
                    tick(tracker)
                yield from _of_tracker(store, (suite, protocol, tracker), loaded.get(suite), videos)


def _of_tracker(
    store: Store, where: tuple[str, str, str], suite: Suite | None, videos: dict[str, dict[str, str]]
) -> Iterator[Finding]:
    folder = store.folder(*where)
    left = sorted(p.name for pattern in (".*.txt.*", ".run.json.*") for p in folder.glob(pattern))
    for name in left:
        yield Finding(*where, Fault.LEFT, f"{name}: left by a run that was killed", (name,))
    stems = store.stems(*where)
    try:
        meta = store.meta(*where)
    except DataError as error:
        files = _files(stems)
        yield Finding(*where, Fault.RECORD, str(error), ("run.json", *files))
        return
    entries, sound = meta.get("sequences", {}), _sound(meta)
    known = set(_files(stems))
    for name in sorted(p.name for p in folder.glob("*_time.txt") if p.name not in known):
        yield Finding(*where, Fault.FOREIGN, f"{name}: times without boxes", (name,))
    for stem in dict.fromkeys((*stems, *entries)):
        files = (f"{stem}.txt", f"{stem}_time.txt")
        fault = _of_result(store, where, stem, entries.get(stem), sound)
        if fault:
            yield Finding(*where, *fault, files, stem)
            continue
        if suite is not None and stem in entries and entries[stem].get("status") != "failed":
            words = _of_video(suite, sequence_of(stem, where[1]), entries[stem], videos)
            if words:
                yield Finding(*where, Fault.STALE, f"{stem}: {words}", files, stem)
    yield from _of_makings(where, meta)


def _of_result(
    store: Store, where: tuple[str, str, str], stem: str, entry: dict[str, Any] | None, sound: set[str] | None
) -> tuple[Fault, str] | None:
    boxes, times = store.files(*where, stem)
    if entry is None:
        return Fault.FOREIGN, f"{boxes.name}: no record of it in run.json"
    if entry.get("status") == "failed":
        return (Fault.FOREIGN, f"{boxes.name}: recorded as failed") if boxes.is_file() else None
    damage = store.damage(*where, stem, entry)
    if damage:
        return (Fault.EDITED if boxes.is_file() and "files" in entry else Fault.MISSING), damage
    try:
        rows = len(read_scored_boxes(boxes)[0])
        if times.is_file() and len(parse_fast(times, 1)) != rows:
            return Fault.UNREADABLE, f"{times.name}: not as many times as boxes"
    except DataError as error:
        return Fault.UNREADABLE, str(error)
    if sound is not None and not (
        entry.get("making") in sound and {"boxes", "times"} <= {*entry.get("files", ())}
    ):
        return Fault.EDITED, f"{stem}: its record in run.json is not as it was written"
    if entry.get("frames", rows) != rows:
        return Fault.EDITED, f"{boxes.name}: {rows} boxes, {entry['frames']} were made"
    return None


def _sound(meta: dict[str, Any]) -> set[str] | None:
    """The makings of a record that are as their names say; None of a record that holds no stamps."""
    if "imported" in meta or "makings" not in meta:
        return None
    return {key for key, made in meta["makings"].items() if key_of(made) == key}


def _of_video(suite: Suite, name: str, entry: dict[str, Any], videos: dict[str, dict[str, str]]) -> str:
    """What of a sequence is another now than when a result was made."""
    found: Sequence | None = next((s for s in suite.sequences if s.name == name), None)
    if found is None:
        return "" if name in suite.missing else "not in the suite"
    if name not in videos:
        try:
            videos[name] = video(found)
        except DataError as error:
            return str(error)
    changed = [k for k, v in videos[name].items() if entry.get(k, v) != v]
    return f"{' and '.join(changed)} of the sequence changed since" if changed else ""


def _of_makings(where: tuple[str, str, str], meta: dict[str, Any]) -> Iterator[Finding]:
    """Results of one tracker that were made in several ways, or by code that has changed."""
    entries = meta.get("sequences", {})
    if "imported" in meta or not entries:
        return
    if "makings" not in meta:
        yield Finding(*where, Fault.UNSTAMPED, f"{where[2]}: what these results depend on was not recorded")
        return
    words = mixed(meta)
    if words:
        yield Finding(*where, Fault.MIXED, f"{where[2]}: {words}", _files(entries))
    changed = changed_since(meta)
    if changed:
        yield Finding(*where, Fault.STALE, f"{where[2]}: {changed} changed since", _files(entries))


def _files(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(n for s in entries for n in (f"{s}.txt", f"{s}_time.txt"))


def prune(store: Store, findings: list[Finding]) -> int:
    """Set aside what findings are about, and forget its records; gives the number of files that were moved."""
    moved = 0
    for finding in findings:
        if finding.fault in HARMLESS:
            continue
        where = (finding.suite, finding.protocol, finding.tracker)
        with store.held(*where):
            moved += len(store.set_aside(*where, *finding.files))
            meta = store.meta(*where)
            gone = {name[:-4] for name in finding.files if name.endswith(".txt")}
            kept = {s: e for s, e in meta.get("sequences", {}).items() if s not in gone}
            if meta and len(kept) != len(meta["sequences"]):
                store.write_meta(*where, meta | {"sequences": kept})
    return moved

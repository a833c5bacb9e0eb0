"""Running trackers on suites, with results that survive an interruption.

The runner owns images, clocks and files; a tracker owns its state. A sequence that is complete and was made
with the same tracker, options, weights and truth is skipped; one made otherwise is refused with a hint.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.suites import Suite, load_suite, tre_omit
from rolo_bench.errors import DataError, RoloBenchError, TrackerError, UsageError
from rolo_bench.protocols import Segment, check_protocol, segments
from rolo_bench.run.plugins import Plugin, find_plugin
from rolo_bench.run.stamp import differences, fingerprint, provenance
from rolo_bench.run.store import RunResult, Store, check_name
from rolo_bench.run.worker import guarded, track_frames
from rolo_bench.sequence import Sequence, prefetch
from rolo_bench.tracker import is_oracle

Progress = Callable[[str, int, int], None]


def run_sequence(
    tracker: Any, sequence: Sequence, segment: Segment | None = None, progress: Progress | None = None
) -> tuple[Array, Array]:
    """Run a fresh tracker over one sequence, or one segment of it.

    Images are decoded ahead in a background thread; only the time inside the tracker is counted.

    Returns:
        boxes ``(N, 4)`` with the given box as row 0, and seconds ``(N,)``.

    Raises:
        TrackerError: the tracker raised, or returned something that is not a box; the message names the frame.
    """
    segment = segment or segments("ope", sequence.truth)[0]
    part = sequence.slice(segment.start, len(sequence))
    boxes, seconds = np.full((len(part), 4), np.nan), np.zeros(len(part))
    images = prefetch(part.frames)
    tracked = track_frames(tracker, images, segment.box, part.name, part.first_frame, part.truth)
    for i, (_, boxes[i], seconds[i]) in enumerate(tracked):
        if progress is not None:
            progress(part.name, i + 1, len(part))
    return boxes, seconds


@dataclass(frozen=True)
class Outcome:
    """What happened to one sequence or segment: ``done``, ``skipped`` or ``failed``, and why."""

    stem: str
    what: str
    error: str | None = None
    fps: float = float("nan")


def run(
    tracker: str | Path | type,
    suite: str | Suite = "demo",
    *,
    data: str | None = None,
    partial: bool = False,
    protocol: str = "ope",
    results: str | Path = "results",
    options: dict[str, Any] | None = None,
    name: str | None = None,
    force: bool = False,
    seed: int = 0,
    only: Iterable[str] = (),
    progress: Progress | None = None,
) -> list[Outcome]:
    """Run one tracker on a suite and file the results; what is complete is skipped. All of `run_suite` in one call.

    Args:
        tracker: its name, the path of its file, or its class.
        suite: a name or path, read with ``data``, ``partial`` and ``only``; or a suite as loaded.
        options, seed: keywords of the constructor; seed of the global random numbers, set before each sequence.
        name, force: file the results under another name; make them anew, also those that were made otherwise.
        progress: called with a sequence's name, frames done and frames in all.

    Raises:
        RoloBenchError: there is no such tracker or suite, or one of the errors of `run_suite`.
    """
    if not isinstance(suite, Suite):
        suite = load_suite(suite, data, partial, only=(only,) if isinstance(only, str) else tuple(only))
    elif data or partial or only:
        raise UsageError("data, partial and only go with the name of a suite, not with a suite as loaded")
    plugin, store = find_plugin(tracker), Store(Path(results))
    return list(run_suite(plugin, suite, store, protocol, options, name, force, seed, progress))


def run_suite(
    plugin: Plugin,
    suite: Suite,
    store: Store,
    protocol: str = "ope",
    options: dict[str, Any] | None = None,
    name: str | None = None,
    force: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Run a tracker on a suite, writing each result as soon as it is there; yields an outcome each.

    A sequence on which the tracker fails, or whose images cannot be read, is recorded as failed, with the error,
    and the run goes on; the next run tries it again. Results are filed under ``name``, else under the tracker's
    own; ``force`` makes them anew, and removes first what was made otherwise.

    Raises:
        UsageError: results under that name were made with other options, and ``force`` is not given.
        TrackerError: the tracker cannot even be made.
    """
    check_protocol(protocol)
    options = plugin.defaults(suite.name) | (options or {})
    label = check_name("tracker", name or plugin.name)
    store = Store(store.root.absolute())  # a tracker may change the working folder
    meta = _begin(plugin, suite, store, protocol, options, label, force, seed)
    folder = store.folder(suite.name, protocol, label)
    for sequence in suite.sequences:
        digest = sequence.truth_digest()
        try:
            starts = segments(protocol, sequence.truth, sequence.size, tre_omit(sequence))
        except DataError as error:
            meta["sequences"][sequence.name] = {"truth": digest, "status": "failed", "error": str(error)}
            store.write_meta(suite.name, protocol, label, meta)
            yield Outcome(sequence.name, "failed", str(error))
            continue
        for segment in starts:
            stem = sequence.name + (f"_{segment.label}" if segment.label else "")
            if not force and _is_complete(folder, stem, meta["sequences"].get(stem, {}), digest):
                yield Outcome(stem, "skipped")
                continue
            entry: dict[str, Any] = {"truth": digest, "start": segment.start}
            try:
                boxes, seconds = run_sequence(_make(plugin, options, seed), sequence, segment, progress)
            except (TrackerError, DataError) as error:
                store.remove(suite.name, protocol, label, stem)
                outcome = Outcome(stem, "failed", str(error))
                entry |= {"status": "failed", "error": str(error)}
            else:
                result = RunResult(
                    label, sequence.name, protocol, boxes, seconds, segment=segment.label, start=segment.start
                )
                store.save(suite.name, result)
                spent = seconds[1:].sum()
                outcome = Outcome(stem, "done", fps=(len(seconds) - 1) / spent if spent > 0 else float("nan"))
                entry |= {"status": "complete", "frames": len(boxes)}
            meta["sequences"][stem] = entry
            store.write_meta(suite.name, protocol, label, meta)
            yield outcome


def _begin(
    plugin: Plugin, suite: Suite, store: Store, protocol: str, options: dict[str, Any], label: str,
    force: bool, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Write and return what ``run.json`` says of a run that starts or goes on, or refuse it."""
    tracker = _make(plugin, options, seed)
    with guarded(f"tracker {plugin.name}", RoloBenchError):
        mark = fingerprint(plugin, options, tracker)
        made = provenance(plugin, label, protocol, suite, mark, is_oracle(tracker), seed, tracker)
    meta = store.meta(suite.name, protocol, label)
    other = bool(meta) and (meta.get("fingerprint") != mark or meta.get("seed", seed) != seed)
    if other and not force:
        raise UsageError(
            f"{store.folder(suite.name, protocol, label)}: results of {label} made with other "
            f"{differences(meta, mark, seed)}; keep them and choose --name OTHER, or make them anew with --force"
        )
    if other or not meta:  # never files of two makings side by side
        store.clear(suite.name, protocol, label)
        meta = {"sequences": {}}
    meta |= made
    store.write_meta(suite.name, protocol, label, meta)
    return meta


def _make(plugin: Plugin, options: dict[str, Any], seed: int) -> Any:
    """A fresh tracker, with the global generators seeded so that runs repeat."""
    import cv2

    random.seed(seed)
    np.random.seed(seed)
    cv2.setRNGSeed(seed)
    return plugin.make(options)


def _is_complete(folder: Path, stem: str, entry: dict[str, Any], digest: str) -> bool:
    files = (folder / f"{stem}.txt", folder / f"{stem}_time.txt")
    made = entry.get("status") == "complete" and entry.get("truth") == digest
    return made and all(f.is_file() for f in files)

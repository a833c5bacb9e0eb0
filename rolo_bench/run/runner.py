"""Running trackers: the loop, the clock, and results that survive an interruption.

The runner owns images, clocks and files; a tracker owns its state. A sequence that is complete and was made
with the same tracker, options, weights and truth is skipped; one made otherwise is refused with a hint.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.suites import Suite, tre_omit
from rolo_bench.errors import RoloBenchError, TrackerError, UsageError
from rolo_bench.protocols import Segment, segments
from rolo_bench.run.plugins import Plugin
from rolo_bench.run.stamp import differences, fingerprint, provenance
from rolo_bench.run.store import RunResult, Store, check_name
from rolo_bench.sequence import Sequence, prefetch
from rolo_bench.tracker import is_oracle, suite_defaults

log = logging.getLogger(__name__)
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
    if segment is None:
        segment = segments("ope", sequence.truth)[0]
    count = len(sequence) - segment.start
    boxes = np.full((count, 4), np.nan)
    seconds = np.zeros(count)
    oracle = is_oracle(tracker)
    for i, image in enumerate(prefetch(sequence.frames, segment.start, len(sequence))):
        if oracle:
            tracker.reveal(sequence.truth[segment.start + i].copy())
        begin = time.perf_counter()
        try:
            if i == 0:
                tracker.init(image, segment.box.copy())
                answer: Any = segment.box
            else:
                answer = tracker.update(image)
        except RoloBenchError:
            raise
        except Exception as error:
            frame = sequence.first_frame + segment.start + i
            text = (str(error).strip() or "no message").split("\n")[0]
            message = f"{sequence.name}, frame {frame}: {type(error).__name__}: {text}"
            raise TrackerError(message) from error
        seconds[i] = time.perf_counter() - begin
        boxes[i] = _as_box(answer, f"{sequence.name}, frame {sequence.first_frame + segment.start + i}")
        if progress is not None:
            progress(sequence.name, i + 1, count)
    return boxes, seconds


def _as_box(answer: Any, where: str) -> Array:
    try:
        box = np.asarray(answer, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise TrackerError(
            f"{where}: update returned {type(answer).__name__}, expected four numbers x, y, w, h"
        ) from None
    if box.shape != (4,):
        raise TrackerError(f"{where}: update returned {box.size} values, expected four numbers x, y, w, h")
    if np.isinf(box).any():
        raise TrackerError(f"{where}: update returned an infinite value")
    return np.full(4, np.nan) if np.isnan(box).any() else box


@dataclass(frozen=True)
class Outcome:
    """What happened to one sequence or segment: ``done``, ``skipped`` or ``failed``, and why."""

    stem: str
    what: str
    error: str | None = None
    fps: float = float("nan")


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

    A tracker that fails on a sequence is recorded as failed, with the error, and the run goes on; the next
    run tries it again.

    Raises:
        UsageError: results under that name were made with other options, and ``force`` is not given.
        TrackerError: the tracker cannot even be made.
    """
    merged = suite_defaults(plugin.cls, suite.name) | (options or {})
    first = _make(plugin, merged, seed)
    label = check_name("tracker", name or plugin.name)
    if is_oracle(first) and "oracle" not in label:
        label += "-oracle"
    mark = fingerprint(plugin, merged, first)
    meta = store.meta(suite.name, protocol, label)
    if meta and meta.get("fingerprint") != mark and not force:
        raise UsageError(
            f"{store.folder(suite.name, protocol, label)}: results of {label} made with other "
            f"{differences(meta, mark)}; keep them and choose --name OTHER, or make them anew with --force"
        )
    if force or not meta:
        meta = {"sequences": {}}
    meta |= provenance(plugin, label, protocol, suite, merged, mark, is_oracle(first), seed, first)
    store.write_meta(suite.name, protocol, label, meta)
    del first
    for sequence in suite.sequences:
        size = None
        if protocol == "sre":
            height, width = sequence.frames.image(0).shape[:2]
            size = (width, height)
        for segment in segments(protocol, sequence.truth, size, tre_omit(sequence)):
            stem = sequence.name + (f"_{segment.label}" if segment.label else "")
            digest = sequence.truth_digest()
            if _is_complete(store, suite.name, protocol, label, stem, meta["sequences"].get(stem), digest):
                yield Outcome(stem, "skipped")
                continue
            outcome, entry, result = _one(plugin, merged, seed, sequence, segment, protocol, label, progress)
            if result is None:
                store.remove(suite.name, protocol, label, stem)
            else:
                store.save(suite.name, result)
            meta["sequences"][stem] = entry | {"truth": digest, "start": segment.start}
            store.write_meta(suite.name, protocol, label, meta)
            yield replace(outcome, stem=stem)


def _one(
    plugin: Plugin,
    options: dict[str, Any],
    seed: int,
    sequence: Sequence,
    segment: Segment,
    protocol: str,
    label: str,
    progress: Progress | None,
) -> tuple[Outcome, dict[str, Any], RunResult | None]:
    try:
        boxes, seconds = run_sequence(_make(plugin, options, seed), sequence, segment, progress)
    except TrackerError as error:
        log.debug("%s failed", label, exc_info=error)
        return Outcome("", "failed", str(error)), {"status": "failed", "error": str(error)}, None
    result = RunResult(
        label, sequence.name, protocol, boxes, seconds, "complete", None, segment.label, segment.start
    )
    fps = (
        (len(seconds) - 1) / seconds[1:].sum() if len(seconds) > 1 and seconds[1:].sum() > 0 else float("nan")
    )
    return Outcome("", "done", None, fps), {"status": "complete", "frames": len(boxes)}, result


def _make(plugin: Plugin, options: dict[str, Any], seed: int) -> Any:
    """A fresh tracker, with numpy's and Python's global generators seeded so that runs repeat."""
    import random

    import cv2

    random.seed(seed)
    np.random.seed(seed)
    cv2.setRNGSeed(seed)
    try:
        return plugin.make(options)
    except RoloBenchError:
        raise
    except Exception as error:
        text = (str(error).strip() or "no message").split("\n")[0]
        raise TrackerError(f"tracker {plugin.name} cannot be made: {type(error).__name__}: {text}") from error


def _is_complete(
    store: Store, suite: str, protocol: str, label: str, stem: str, entry: dict[str, Any] | None, digest: str
) -> bool:
    if not entry or entry.get("status") != "complete" or entry.get("truth") != digest:
        return False
    folder = store.folder(suite, protocol, label)
    return (folder / f"{stem}.txt").is_file() and (folder / f"{stem}_time.txt").is_file()

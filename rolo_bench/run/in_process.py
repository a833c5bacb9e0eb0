"""Jobs in this process, for debugging and for classes that no other process could import.

A worker, here and in `rolo_bench.run.process`, has four methods: ``start`` has it begin to load, ``open`` makes the
tracker once and gives the facts of it, ``track`` runs a job, ``close`` ends it.
"""

from __future__ import annotations

import ctypes
import importlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.errors import RoloBenchError
from rolo_bench.protocols import Segment, segments
from rolo_bench.run.job import Job, Setup, Tracked, given_scores
from rolo_bench.run.plugins import find_plugin
from rolo_bench.run.stamp import Facts, facts_of
from rolo_bench.run.worker import guarded, track_frames
from rolo_bench.sequence import Sequence, prefetch
from rolo_bench.tracker import is_oracle

if TYPE_CHECKING:  # a tracker's own process shows nothing, and need not load what does
    from rolo_bench.run.live import View


def seed_all(seed: int) -> None:
    """Seed every global generator that is there, so that runs repeat; also that of C, from which OpenCV's MIL draws."""
    import cv2

    random.seed(seed)
    np.random.seed(seed)
    cv2.setRNGSeed(seed % 2**31)
    with suppress(OSError, TypeError, AttributeError):  # where the C library is not a part of the process
        ctypes.CDLL(None).srand(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """While it lasts, OpenCV and torch use so many threads."""
    import cv2

    torch = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch.get_num_threads() if torch else 0
    try:
        cv2.setNumThreads(count)
        if torch:
            torch.set_num_threads(count)
        yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])


def run_sequence(
    tracker: Any,
    sequence: Sequence,
    segment: Segment | None = None,
    tick: Callable[[int], None] | None = None,
    view: View | None = None,
) -> Tracked:
    """Run a fresh tracker over one sequence, or one segment of it.

    Images are decoded ahead in a background thread; only the time inside the tracker is counted. ``tick`` is told the
    number of frames that are done, ``view`` is shown each.

    Returns:
        boxes ``(N, 4)`` with the given box as row 0, seconds ``(N,)`` and scores.

    Raises:
        TrackerError: the tracker raised, or returned something that is not a box; the message names the frame.
    """
    segment = segment or segments("ope", sequence.truth)[0]
    part = sequence.slice(segment.start, len(sequence))
    boxes, scores, seconds = np.full((len(part), 4), np.nan), np.full(len(part), np.nan), np.zeros(len(part))
    oracle = shown(tracker)
    truth = part.truth if oracle else None
    tracked = track_frames(tracker, prefetch(part.frames), segment.box, part.name, part.first_frame, truth)
    for i, (image, boxes[i], scores[i], seconds[i]) in enumerate(tracked):
        if view is not None and view.due():
            view.of_run(type(tracker), part, i, image, boxes[i])
        if tick is not None:
            tick(i + 1)
    return Tracked(boxes, seconds, oracle, scores=given_scores(scores))


class InProcess:
    """Runs jobs in this process, where a debugger can follow; nothing keeps a tracker from taking it down."""

    def __init__(self, setup: Setup, view: View | None = None) -> None:
        self.setup, self.view = setup, view

    def start(self) -> None:
        """Nothing goes on here by itself."""

    def open(self) -> Facts:
        """Make the tracker once, to learn what its results depend on.

        Raises:
            UsageError: an option that the tracker does not have.
            TrackerError: it cannot be found or made.
        """
        for name in self.setup.libraries & {"torch"}:
            importlib.import_module(name)  # before the first seed, so that the first job is as every other
        self.plugin = find_plugin(self.setup.tracker)
        with guarded(f"tracker {self.plugin.name}", RoloBenchError):
            self.options = self.plugin.defaults(self.setup.suite) | self.setup.options
            return facts_of(self.plugin, self.make(), self.options)

    def make(self) -> Any:
        """A fresh tracker, with the generators seeded."""
        seed_all(self.setup.seed)
        return self.plugin.make(self.options)

    def track(self, job: Job, tick: Callable[[int], None] | None = None) -> Tracked:
        """Run one job; ``tick`` is told the number of frames that are done.

        Raises:
            TrackerError: the tracker failed; the message names the frame.
            DataError: an image cannot be read.
        """
        with threads_of(self.setup.threads):
            return run_sequence(self.make(), job.sequence, job.segment, tick, self.view)

    def close(self) -> None:
        """Nothing is held."""


def shown(tracker: Any) -> bool:
    """Whether a tracker as made is to be shown the truth; that it says so is its own code."""
    with guarded("its attribute oracle cannot be read"):
        return is_oracle(tracker)

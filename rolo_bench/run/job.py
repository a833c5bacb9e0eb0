"""A job: one tracker over one sequence, or one segment of it, with all that its boxes depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.protocols import Segment
from rolo_bench.sequence import Sequence

FRAME_LIMIT = 300.0
"""Seconds that a tracker may take for one frame unless something else is asked for."""
START_LIMIT = 600.0
"""Seconds that it may take until it is made: its libraries must be loaded, its weights may have to be fetched."""
MARK = "ROLO_BENCH_WORKER"
"""Variable of the environment by which a worker's process, and all that it has started, are known: its folder."""


@dataclass(frozen=True)
class Setup:
    """How a tracker is made: the same for all jobs of a run.

    Attributes:
        tracker: its name, the path of its file, or its class.
        suite: for options that the tracker asks for on a suite.
        options: keywords of the constructor that the user sets.
        seed: of all global random numbers, set before each job.
        threads: of torch and OpenCV inside the tracker.
        libraries: top-level names of what its code imports.
        shared: folder of detections that it shares with other trackers of the run.
    """

    tracker: str | type
    suite: str
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    libraries: frozenset[str] = frozenset()
    shared: str | None = None


@dataclass(frozen=True)
class Limits:
    """What a worker may use: seconds for a frame, for a sequence, bytes of memory, seconds to start; None: no limit."""

    frame: float | None = FRAME_LIMIT
    sequence: float | None = None
    memory: int | None = None
    start: float | None = START_LIMIT


@dataclass(frozen=True)
class Job:
    """One start of a tracker on a sequence; ``video`` is the sequence's half of the stamp."""

    sequence: Sequence
    segment: Segment
    video: dict[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The name of its files."""
        return self.sequence.name + (f"_{self.segment.label}" if self.segment.label else "")

    @property
    def frames(self) -> int:
        """How many frames the tracker is run over."""
        return len(self.sequence) - self.segment.start

    @property
    def part(self) -> Sequence:
        """The frames that the tracker is run over."""
        return self.sequence.slice(self.segment.start, len(self.sequence))


@dataclass(frozen=True)
class Tracked:
    """What a job gave: boxes ``(N, 4)``, seconds inside the tracker ``(N,)``, and whether the truth was shown to it.

    ``made`` says where, when and with what, of a job that was done on another machine; ``scores`` ``(N,)`` are those of
    a tracker that gives any.
    """

    boxes: Array
    seconds: Array
    oracle: bool
    made: dict[str, Any] | None = None
    scores: Array | None = None


def given_scores(scores: Array) -> Array | None:
    """Scores ``(N,)`` of a run, or None of a tracker that gave none."""
    return None if np.isnan(scores).all() else scores

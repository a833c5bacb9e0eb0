"""How long the parts of a run take on this machine; nothing is stored."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rolo_bench.datasets.suites import Suite
from rolo_bench.run.in_process import run_sequence
from rolo_bench.run.plugins import find_plugin

if TYPE_CHECKING:
    import pandas as pd


def time_trackers(trackers: Iterable[str], suite: Suite, frames: int = 100) -> pd.DataFrame:
    """Time decoding, trackers and the whole loop on the first ``frames`` frames of a suite's first sequence.

    Columns ``part, ms, fps, loop_fps``: milliseconds and frames per second inside the tracker, and frames per
    second of the loop with decoding; the first row is decoding alone.
    """
    import pandas as pd

    sequence = suite.sequences[0].slice(0, min(frames, len(suite.sequences[0])))
    begin = time.perf_counter()
    for i in range(len(sequence)):
        sequence.frames.image(i)
    decode = (time.perf_counter() - begin) / len(sequence)
    rows = [{"part": "frames alone", "ms": 1000 * decode, "fps": 1 / decode, "loop_fps": float("nan")}]
    for name in trackers:
        plugin = find_plugin(name)
        tracker = plugin.make(plugin.defaults(suite.name))
        begin = time.perf_counter()
        seconds = run_sequence(tracker, sequence).seconds
        loop = (time.perf_counter() - begin) / len(sequence)
        each = seconds[1:].mean()
        rows.append({"part": plugin.name, "ms": 1000 * each, "fps": 1 / each, "loop_fps": 1 / loop})
    return pd.DataFrame(rows)

"""Time scoring from text files: 10 trackers on TB-100 (100 sequences, about 59,000 frames), beside got10k's toolkit.

Run: python benchmarks/scoring.py [--trackers 10] [--repeat 5]

The boxes are made up, the frame counts are those of TB-100. Both toolkits read the same numbers from text files
in their own layouts, compute the success and precision curves of every sequence under their own rule, and have the
truth in memory. got10k's plots are left out; its JSON file is part of its report. Seconds are processor time of
this process, the two take turns and the fastest of the repeats counts, so that other jobs disturb little.
Without ``pip install got10k`` only rolo-bench is timed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas  # noqa: F401  (imported here so that its import is not timed)

from rolo_bench.datasets.place import NoFrames
from rolo_bench.datasets.suites import Suite, entries
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.score import score
from rolo_bench.scores.summary import mean_curves, summary
from rolo_bench.sequence import Sequence


def make(root: Path, trackers: int) -> tuple[Store, Suite]:
    """Made-up truth and boxes: a random walk, and trackers that wander off it at different speeds."""
    rng = np.random.default_rng(0)
    sequences, store = [], Store(root / "ours")
    for entry in entries("otb100"):
        frames = entry.frames or 0
        walk = np.abs(rng.normal(0, 3, (frames, 2)).cumsum(axis=0)) + 20
        truth = np.hstack([walk, rng.uniform(30, 60, (frames, 2))])
        sequences.append(Sequence(entry.name, NoFrames(frames), truth, entry.attributes))
        for t in range(trackers):
            boxes = truth + rng.normal(0, 1 + 3 * t, truth.shape) * [1, 1, 0.1, 0.1]
            boxes[0] = truth[0]  # what the tracker was given
            store.save(
                "otb100", RunResult(f"t{t:02d}", entry.name, "ope", boxes, rng.uniform(0.01, 0.1, frames))
            )
    return store, Suite("otb100", tuple(sequences), tuple(s.name for s in sequences))


def got10k_report(root: Path, store: Store, suite: Suite) -> Callable[[], Any] | None:
    """The same numbers in got10k's layout, and a call of its own OTB report on them; None without got10k."""
    try:
        from got10k.experiments import ExperimentOTB
    except ImportError:
        return None
    names = store.trackers("otb100")
    for name in names:
        (root / "theirs/OTB2015" / name / "times").mkdir(parents=True)
        for sequence in suite.sequences:
            run = store.load("otb100", "ope", name, sequence.name)[0]
            folder = root / "theirs/OTB2015" / name
            np.savetxt(folder / f"{sequence.name}.txt", run.boxes + [1, 1, 0, 0], fmt="%.3f", delimiter=",")
            np.savetxt(folder / "times" / f"{sequence.name}_time.txt", run.seconds, fmt="%.8f")

    class Annotations(list):  # what the report asks of its dataset: (images, truth) pairs and names
        seq_names = [s.name for s in suite.sequences]

    experiment = ExperimentOTB.__new__(ExperimentOTB)
    experiment.dataset = Annotations((None, s.truth + [1, 1, 0, 0]) for s in suite.sequences)
    experiment.result_dir = str(root / "theirs/OTB2015")
    experiment.report_dir = str(root / "reports")
    experiment.nbins_iou, experiment.nbins_ce = 21, 51
    experiment._plot_curves = lambda *_: None
    return lambda: experiment.report(list(names))


def clock(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time that a call takes, and its value."""
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


def main() -> None:
    """Print the times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trackers", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store, suite = make(root, options.trackers)
        theirs = got10k_report(root, store, suite)
        frames = sum(len(s) for s in suite.sequences)
        print(f"{options.trackers} trackers, {len(suite.sequences)} sequences, {frames} frames each")
        ours_s, whole_s, theirs_s = [], [], []
        report: Any = None
        for _ in range(options.repeat):
            seconds, scores = clock(lambda: score(store, suite, convention="got10k"))
            ours_s.append(seconds)
            whole_s.append(seconds + clock(partial(summary, scores))[0])
            if theirs:
                seconds, report = clock(theirs)
                theirs_s.append(seconds)
        print(f"rolo-bench, scores per sequence:            {min(ours_s):.3f} s")
        print(f"rolo-bench, with intervals and paired tests: {min(whole_s):.3f} s")
        if not theirs:
            print("got10k is not installed: `pip install got10k` for the comparison")
            return
        print(f"got10k, report without plots:               {min(theirs_s):.3f} s")
        print(f"ratio: rolo-bench takes {min(ours_s) / min(theirs_s):.2f} of got10k's time")
        curves = mean_curves(scores)
        worst = max(
            abs(curves[name]["success"].mean() - report[name]["overall"]["success_score"]) for name in curves
        )
        print(f"largest difference of AUC: {worst:.1e} (its files have 3 decimals, ours 6)")


if __name__ == "__main__":
    main()

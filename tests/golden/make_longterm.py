"""Long-term measures of vot-toolkit's own code on made-up runs, in ``longterm.json`` for `tests/test_confidence.py`.

Run it where that is installed, apart from this project: ``pip install vot-toolkit==0.9.0 attributee==0.1.9`` (a
newer one fails on Python 3.11), then

    python tests/golden/make_longterm.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (320, 240)
KINDS = {"few": (2, 20), "exactly": (1, 98), "many": (3, 150), "equal": (2, 120)}
"""Sequences and frames of each: fewer scores than thresholds, as many, more, and many that are equal."""


def draw(kind: str, seed: int) -> list[dict[str, np.ndarray]]:
    """Sequences with truth and output ``(N, 4)`` and scores ``(N,)``; frames without a target have NaN as truth.

    Whole pixels inside the image, since the toolkit counts pixels; a score on each frame, the first one highest.
    """
    random, found = np.random.default_rng(seed), []
    sequences, count = KINDS[kind]
    for _ in range(sequences):
        truth = np.column_stack([random.integers(40, 120, (count, 2)), random.integers(20, 60, (count, 2))])
        boxes = truth + random.integers(-15, 16, (count, 4))
        boxes[0], truth = truth[0], truth.astype(float)
        truth[1:][random.random(count - 1) < 0.25] = np.nan
        scores = random.normal(0, 2, count)
        if kind == "equal":
            scores = np.round(scores)
        scores[0] = 10
        found.append({"truth": truth, "boxes": boxes.astype(float), "scores": scores})
    return found


def measure(runs: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """``PrecisionRecall`` over ``PrecisionRecallCurve``, as the toolkit chains them."""
    from vot.analysis import longterm
    from vot.region import Rectangle, Special

    class Video:
        size = SIZE

        def __init__(self, truth: np.ndarray) -> None:
            self.regions = [Special(0) if np.isnan(box).any() else Rectangle(*box) for box in truth]

        def groundtruth(self) -> list[Any]:
            return self.regions

    thresholds = longterm.determine_thresholds([s for run in runs for s in run["scores"]], 100)
    curves = []
    for run in runs:
        regions, scores = [Rectangle(*box) for box in run["boxes"]], run["scores"].tolist()
        pairs = zip(*longterm.compute_tpr_curves(regions, scores, Video(run["truth"]), thresholds))
        curves.append(([*pairs], thresholds))
    curve, _ = longterm.PrecisionRecallCurve().aggregate(None, [], curves)
    f_curves = longterm.FScoreCurve().compute(None, [None], [], [[(curve, thresholds)]])
    precision, recall, f = longterm.PrecisionRecall().compute(
        None, [None], [], [[(curve, thresholds)], f_curves]
    )[0, 0]
    return {
        "thresholds": thresholds[1:-1], "recall_curve": [r for r, _ in curve], "precision_curve": [p for _, p in curve],
        "precision": precision, "recall": recall, "f": f,
    }  # fmt: skip


def main() -> None:
    """Draw, measure, and write."""
    cases = [{"kind": k, "seed": n, "values": measure(draw(k, n))} for k in KINDS for n in (1, 2)]
    text = json.dumps({"made_with": "tests/golden/make_longterm.py", "vot-toolkit": "0.9.0", "cases": cases})
    Path(__file__).with_name("longterm.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

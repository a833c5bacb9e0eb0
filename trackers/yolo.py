"""YOLO as a tracker: detections of each frame, and the association of the ROLO paper's section II.B."""

from __future__ import annotations

from typing import Any

import numpy as np

from rolo_bench.association import Association, best_overlap
from rolo_bench.boxes import Array, as_boxes
from rolo_bench.errors import UsageError
from rolo_bench.nn.detect.options import chosen_for, side_of
from rolo_bench.nn.detect.registry import open_detector
from rolo_bench.sequence import Image

# Detector: options that did best on the training videos (18 sequences, three starts each, forwards and backwards); of
# the demo detector, on 70 scenes of the generator's domain `valid`.
CHOSEN: dict[str, dict[str, Any]] = {
    "yolox-nano": {"threshold": 0.05},
    "demo": {"threshold": 0.2, "iou_min": 0.01},
    "others": {"threshold": 0.1, "history": 2, "iou_min": 0.1},
}


class Yolo:
    """YOLO detections with the paper's association, no LSTM; holds the last box where none is accepted.

    Args:
        detector: name of a detector, or path of a detector plugin.
        size: side of the detector's input in pixels; by default 544 for ``yolox-nano``, 416 for
            ``yolo-nano-voc``, else its own.
        threshold: least score of a detection.
        history: the target is sought at the mean of this many accepted boxes.
        iou_min: least IoU of a detection with that mean.
            What is None of these three is taken from `CHOSEN`.
        vote: of the detector (`rolo_bench.nn.detect.options.DetectorOptions`); 1 is none.
        device, half, weights: for the detector.
        cache: folder for detections (True: the default one), so that a second run need not detect again.
        association: ``causal``, or ``oracle``: the detection that overlaps the truth of the frame most, as the
            ROLO authors' code chose it; a study of what that is worth, never a fair result.

    Source: ROLO paper, section II.B and the baseline "YOLO" of its tables.
    """

    suite_defaults = {"demo": {"detector": "demo"}}

    def __init__(
        self, detector: str = "yolox-nano", size: int | None = None, threshold: float | None = None,
        history: int | None = None, iou_min: float | None = None, device: str = "cpu", half: bool = False,
        weights: str | None = None, vote: float | None = None, cache: str | bool | None = None,
        association: str = "causal",
    ) -> None:  # fmt: skip
        if association not in ("causal", "oracle"):
            raise UsageError(f"association must be causal or oracle, not {association!r}")
        self.oracle = association == "oracle"
        use = chosen_for(CHOSEN, detector, threshold=threshold, history=history, iou_min=iou_min)
        self.detector = open_detector(
            detector, size=side_of(detector, size), vote=vote, threshold=use["threshold"], device=device, half=half,
            weights=weights, cache=cache,
        )  # fmt: skip
        self.association = Association(**use)
        self.truth: Array = np.full(4, np.nan)

    def reveal(self, box: Array) -> None:
        """Take the truth of the coming frame; called only where ``association`` is ``oracle``."""
        self.truth = as_boxes(box)[0]

    def init(self, image: Image, box: Array) -> None:
        """Start the association at the given box."""
        self.box = as_boxes(box)[0]
        self.association.start(self.box, self.detector([image])[0])

    def update(self, image: Image) -> Array:
        """The accepted detection, or the last box."""
        found = self.detector([image])[0]
        index = best_overlap(self.truth, found.boxes) if self.oracle else self.association.step(found)
        if index is not None:
            self.box = found.boxes[index]
        return self.box

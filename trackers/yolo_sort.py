"""YOLO with a one-object SORT: the paper's second baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rolo_bench.association import Association
from rolo_bench.boxes import Array, as_boxes
from rolo_bench.nn.detect.options import chosen_for, side_of
from rolo_bench.nn.detect.registry import open_detector
from rolo_bench.sequence import Image

# Detector: options that did best on the training videos (18 sequences, forwards and backwards, three starts, also with
# detections dropped and jittered); for both detectors those that rolo's association has, too. SORT's own covariances
# stay: other ratios of process to measurement noise were no better.
CHOSEN: dict[str, dict[str, Any]] = {
    # on 70 scenes of the generator's domain `valid`
    "demo": {"iou_min": 0.01, "size_limit": 0.0, "prefer": 0.5},
    "others": {"threshold": 0.05, "iou_min": 0.1, "size_limit": 1.2, "prefer": 0.3},
}
LEAST_AREA = 1.0  # square pixels; a target never shrinks below


def to_state(box: Array) -> NDArray[np.float64]:
    """``(4,)`` x, y, w, h as SORT's measurement: centre x, centre y, area, width over height."""
    x, y, w, h = box
    return np.array([x + w / 2, y + h / 2, w * h, w / h])


def to_box(state: NDArray[np.float64]) -> Array:
    """The inverse of `to_state`, from the first four values of a state."""
    cx, cy, area, ratio = state[:4]
    w = np.sqrt(max(area, LEAST_AREA) * max(ratio, 1e-2))
    h = max(area, LEAST_AREA) / w
    return np.array([cx - w / 2, cy - h / 2, w, h])


def make_filter(box: Array) -> Any:
    """SORT's Kalman filter, started at rest on a box.

    State: centre x, centre y, area, ratio and the velocities of the first three; the ratio stays.

    Source: Bewley et al. 2016, "Simple Online and Realtime Tracking": the covariances of its
    ``KalmanBoxTracker``.
    """
    from filterpy.kalman import KalmanFilter

    kalman = KalmanFilter(dim_x=7, dim_z=4)
    kalman.F = np.eye(7)
    kalman.F[[0, 1, 2], [4, 5, 6]] = 1.0
    kalman.H = np.eye(4, 7)
    kalman.R[2:, 2:] *= 10.0
    kalman.P[4:, 4:] *= 1000.0
    kalman.P *= 10.0
    kalman.Q[-1, -1] *= 0.01
    kalman.Q[4:, 4:] *= 0.01
    kalman.x[:4, 0] = to_state(box)
    return kalman


class YoloSort:
    """YOLO detections, a constant-velocity Kalman filter (SORT) for one object; coasts through misses.

    Args:
        detector: name of a detector, or path of a detector plugin.
        size: side of the detector's input in pixels; by default 544 for ``yolox-nano``, 416 for
            ``yolo-nano-voc``, else its own.
        threshold: least score of a detection.
        iou_min: least IoU of a detection with the predicted box.
        size_limit, prefer: how much size, score and class of a detection count
            (`rolo_bench.association.Association`); both 0 leave SORT's IoU alone.
            What is None of these four is taken from `CHOSEN`.
        vote: of the detector (`rolo_bench.nn.detect.options.DetectorOptions`); 1 is none.
        device, half, weights: for the detector.
        cache: folder for detections (True: the default one).

    SORT tracks the objects of one class and gives each detection to one track. Here a detection of another class
    than the target's, or with a low score, needs a higher IoU. SORT drops a track after a few misses and opens new
    ones; here the one track lives on, and its velocity is set to zero where the area would become negative, as in
    SORT.

    Source: ROLO paper, baseline "YOLO + SORT"; Bewley et al. 2016.
    """

    suite_defaults = {"demo": {"detector": "demo"}}

    def __init__(
        self, detector: str = "yolox-nano", size: int | None = None, threshold: float | None = None,
        iou_min: float | None = None, size_limit: float | None = None, prefer: float | None = None,
        device: str = "cpu", half: bool = False, weights: str | None = None, vote: float | None = None,
        cache: str | bool | None = None,
    ) -> None:  # fmt: skip
        use = chosen_for(
            CHOSEN, detector, threshold=threshold, iou_min=iou_min, size_limit=size_limit, prefer=prefer
        )  # fmt: skip
        self.detector = open_detector(
            detector, size=side_of(detector, size), vote=vote, threshold=use["threshold"], device=device, half=half,
            weights=weights, cache=cache,
        )  # fmt: skip
        self.association = Association(history=1, **use)

    def init(self, image: Image, box: Array) -> None:
        """Start the filter at rest on the given box; the target's class is that of the detection on it."""
        self.kalman = make_filter(as_boxes(box)[0])
        self.association.start(as_boxes(box)[0], self.detector([image])[0])

    def update(self, image: Image) -> Array:
        """Predict, correct by the detection that fits the prediction best, and give the filter's box."""
        found = self.detector([image])[0]
        state = self.kalman.x
        if state[2, 0] + state[6, 0] <= 0:
            state[6, 0] = 0.0
        self.kalman.predict()
        index = self.association.step(found, to_box(self.kalman.x[:, 0]))
        if index is not None:
            self.kalman.update(to_state(found.boxes[index])[:, None])
        return to_box(self.kalman.x[:, 0])

"""SORT as the ROLO authors ran it for their baseline "YOLO + SORT": one detection a frame, chosen by the truth.

Source: ``sort_yolo.py`` of the authors' code (Bewley's SORT with ``max_age`` 1, ``min_hits`` 3 and a least IoU of 0.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, iou

LEAST_IOU, MAX_AGE, MIN_HITS = 0.3, 1, 3
WINDOW = 3
"""Detections of a window of theirs; the middle one is taken."""
AHEAD = 2
"""Frames by which a box of theirs is ahead of the truth that it is compared with."""
SHORTEST = 11
"""Frames that a video needs for one of them to be scored."""
# SORT's filter over centre x, centre y, area, ratio and the velocities of the first three
MOTION: Array = np.eye(7) + np.eye(7, k=4)
NOISE: Array = np.diag([1, 1, 1, 1, 1e-2, 1e-2, 1e-4])
MEASURED: Array = np.diag([1.0, 1, 10, 10])
UNKNOWN: Array = np.diag([10.0, 10, 10, 10, 1e4, 1e4, 1e4])


@dataclass
class Track:
    """One track of SORT: the filter's state ``(7,)`` and covariance ``(7, 7)``, and how long it has been seen."""

    state: Array
    spread: NDArray[np.float64] = field(default_factory=UNKNOWN.copy)
    missed: int = 0
    streak: int = 0

    @classmethod
    def begun(cls, box: Array) -> Track:
        """A track at rest on a detection."""
        return cls(np.concatenate([measurement(box), np.zeros(3)]))

    def predict(self) -> None:
        """One frame on; a row of detections ends where the last frame had none."""
        if self.state[2] + self.state[6] <= 0:
            self.state[6] = 0.0
        self.state, self.spread = MOTION @ self.state, MOTION @ self.spread @ MOTION.T + NOISE
        self.streak = 0 if self.missed else self.streak
        self.missed += 1

    def correct(self, box: Array) -> None:
        """Take a detection."""
        gain = self.spread[:, :4] @ np.linalg.inv(self.spread[:4, :4] + MEASURED)
        self.state = self.state + gain @ (measurement(box) - self.state[:4])
        rest = np.eye(7) - gain @ np.eye(4, 7)
        self.spread = rest @ self.spread @ rest.T + gain @ MEASURED @ gain.T
        self.missed, self.streak = 0, self.streak + 1

    @property
    def box(self) -> Array:
        """``(4,)`` x, y, w, h; NaN where area or ratio is negative."""
        x, y, area, ratio = self.state[:4]
        with np.errstate(invalid="ignore", divide="ignore"):
            w = np.sqrt(area * ratio)
            return np.array([x - w / 2, y - area / w / 2, w, area / w])


def measurement(box: Array) -> Array:
    """``(4,)`` x, y, w, h as centre x, centre y, area, width over height."""
    x, y, w, h = box
    return np.array([x + w / 2, y + h / 2, w * h, w / h])


def taker(tracks: list[Track], detection: Array) -> Track:
    """The track that takes a detection ``(4,)``: the one that overlaps it most, or a new one, which joins the list."""
    overlap = [float(iou(detection, t.box)[0]) for t in tracks]
    if max(overlap, default=0.0) < LEAST_IOU:
        tracks.append(Track.begun(detection))
        return tracks[-1]
    taking = tracks[int(np.argmax(overlap))]
    taking.correct(detection)
    return taking


def sort2016(chosen: Array) -> Array:
    """The boxes ``(N, 4)`` of SORT where a frame's only detection is the chosen one ``(N, 4)``, NaN for none.

    A frame has a box where a track took its detection and, after the first `MIN_HITS` frames, those of as many frames
    before; elsewhere NaN, where the authors write zeros. (No detection is a box of zeros there: its track is not a
    number, and gone in the next frame.)
    """
    boxes, tracks = np.full(chosen.shape, np.nan), list[Track]()
    for i, detection in enumerate(chosen):
        for track in tracks:
            track.predict()
        tracks = [t for t in tracks if np.isfinite(t.box).all()]
        taking = None if np.isnan(detection).any() else taker(tracks, detection)
        if taking is not None and (taking.streak >= MIN_HITS or i < MIN_HITS):
            boxes[i] = taking.box
        tracks = [t for t in tracks if t.missed <= MAX_AGE]
    return boxes


def chosen_detections(boxes: Array) -> Array:
    """The detections ``(N, 4)`` that an oracle of `yolo` took, NaN where none touched the truth.

    Such a tracker begins at the given box and holds its last box where it takes none.

    Args:
        boxes: ``(N, 4)``, as stored.
    """
    held = (boxes[1:] == boxes[:-1]).all(axis=1)
    return np.where(np.concatenate([[True], held])[:, None], np.nan, boxes)


def compared(boxes: Array) -> tuple[Array, Array, slice]:
    """What the authors compare: boxes ``(M, 4)``, those of the right frames ``(M, 4)``, and the rows of the truth.

    All counted from 0: their loop begins with frame 2, the middle of the first window; its box for frame k + 2 is
    file k of a folder, and file k is compared with the truth of frame k, from 3 on and for the last time at N - 8.

    Args:
        boxes: detections chosen by the truth ``(N, 4)``, NaN for none; N is at least `SHORTEST`.
    """
    made = sort2016(boxes[AHEAD:])  # row k: from the detections of frames 2 … k + 2
    rows = slice(WINDOW, len(boxes) - SHORTEST + WINDOW + 1)
    return made[rows], made[rows.start - AHEAD : rows.stop - AHEAD], rows

"""Which detection is the target: section II.B of the ROLO paper.

On the first frame it is the detection that overlaps the given box most. Later it is the one with the highest
IoU with the mean of the short-term history of validated detections; below ``IoU_min`` it is none.

The rule is written once, for B targets at once, each with K detections: training runs it on whole batches, and
trackers are the batch of one. It needs no unit: boxes are in pixels of a tracker's image, or relative to an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, as_boxes, iou, valid

if TYPE_CHECKING:
    from rolo_bench.detection import Detections

Numbers = NDArray[np.int64]
Candidates = tuple[
    Array, NDArray[np.float32], Numbers
]  # boxes (B, K, 4), NaN fills up; scores, classes (B, K)
SAME_OBJECT = 0.5  # IoU from which a detection on the first frame is the given object beyond doubt


def centred(box: Array, place: Array) -> Array:
    """Boxes ``(..., 4)`` moved so that their centres are those of others."""
    return np.concatenate([place[..., :2] + (place[..., 2:] - box[..., 2:]) / 2, box[..., 2:]], axis=-1)


def widened(box: Array, factor: float | Array) -> Array:
    """Boxes ``(..., 4)`` with both sides times ``factor`` (``(..., 1)`` or a number) about their centres."""
    sides = box[..., 2:]
    return np.concatenate([box[..., :2] + sides / 2 * (1 - factor), sides * factor], axis=-1)


def overlaps(reference: Array, boxes: Array) -> Array:
    """IoU ``(B, K)`` of references ``(B, 4)`` with the boxes ``(B, K, 4)`` of each; NaN where one is no box."""
    return iou(np.repeat(reference, boxes.shape[1], axis=0), boxes.reshape(-1, 4)).reshape(boxes.shape[:2])


def best(value: Array, fits: NDArray[np.bool_]) -> Numbers:
    """Index ``(B,)`` of the highest value ``(B, K)`` among those that fit, the first of equals; -1 where none fits."""
    if not value.shape[1]:
        return np.full(len(value), -1)
    index = np.where(fits, value, -1.0).argmax(axis=1)
    return np.where(fits[np.arange(len(index)), index], index, -1)


def best_overlap(reference: Array, boxes: Array) -> int | None:
    """Index of the box of ``(K, 4)`` that overlaps a reference ``(4,)`` most, or None where none does."""
    overlap = overlaps(reference[None], boxes[None])
    return one(best(overlap, overlap > 0))


def one(index: Numbers) -> int | None:
    """The index of a batch of one, None for -1."""
    return int(index[0]) if index[0] >= 0 else None


def alone(found: Detections) -> Candidates:
    """The detections of one target as a batch of one."""
    return found.boxes[None], found.scores[None], found.classes[None]


def box_of(found: Detections, index: int | None) -> Array:
    """The box of a detection ``(1, 4)``, NaN for none."""
    return np.full((1, 4), np.nan) if index is None else found.boxes[index : index + 1]


@dataclass
class Association:
    """The association of B targets: its settings, and the last few validated boxes of each.

    Attributes:
        history: how many validated boxes the reference is the mean of.
        iou_min: least IoU of a detection with the reference.
        threshold: least score of a detection.
        widen: by how much the sides of the reference grow with each frame in a row without a validated
            detection, and ``iou_min`` shrinks; 0 is the paper, more is a deviation that finds a target again
            which moved on while it was not seen.
        widest: the factor at which that growth ends.
        size_limit: a detection whose sides differ from the usual ones by more than this in all, as the sum of
            both sides' absolute logarithms, is not a candidate; the usual size follows the validated
            detections by a tenth a frame. 0 is the paper; more is a deviation that lets ``threshold`` be lower.
        prefer: how much score and class count beside the IoU among the candidates: the choice is the largest
            IoU times score to this power, and times 1 - ``prefer`` where the class is not that of the first
            frame's detection. 0 is the paper, more a deviation.
        joins: IoU with the given box from which the first frame's detection joins the history beside it; by
            default none does.
        recent: ``(B, history, 4)`` the history, the last at the end; NaN where it is shorter.
        missed: ``(B,)`` frames in a row without a validated detection.
        usual: ``(B, 2)`` logarithms of the usual width and height.
        target: ``(B,)`` class of the first frame's detection; -1 where none overlaps the given box by half.
    """

    history: int = 2
    iou_min: float = 0.15
    threshold: float = 0.1
    widen: float = 0.0
    widest: float = 4.0
    size_limit: float = 0.0
    prefer: float = 0.0
    joins: float = np.inf

    def begin(self, given: Array, found: Candidates) -> Numbers:
        """Begin with the given boxes ``(B, 4)``; the index ``(B,)`` of the first frame's detection, -1 for none.

        The history begins with the given box itself, which is known to be right.
        """
        boxes, scores, classes = found
        count = len(given)
        row, none = np.arange(count), np.full((count, 1, 4), np.nan)  # none at index -1
        self.recent = np.repeat(none, self.history, axis=1)
        self.recent[:, -1] = given
        self.missed, self.usual = np.zeros(count), np.log(given[:, 2:])
        overlap = np.where(scores >= self.threshold, overlaps(given, boxes), 0.0)
        near, sure = (best(overlap, overlap >= least) for least in (SAME_OBJECT, self.joins))
        self.target = np.hstack([classes, np.full((count, 1), -1)])[row, near]
        self._join(np.hstack([boxes, none])[row, sure])
        return best(overlap, (overlap > 0) & (overlap >= self.iou_min))

    def reference(self, place: Array | None = None) -> Array:
        """Mean ``(B, 4)`` of the history, its centre moved to that of ``place`` ``(B, 4)`` where that is a box."""
        known = ~np.isnan(self.recent)
        mean = np.where(known, self.recent, 0.0).sum(axis=1) / known.sum(axis=1)
        return mean if place is None else np.where(valid(place)[:, None], centred(mean, place), mean)

    def choose(self, found: Candidates, reference: Array | None = None) -> Numbers:
        """The index ``(B,)`` of the detection that is the target, -1 for none; nothing is kept, see `take`.

        Args:
            found: the frame's detections.
            reference: boxes ``(B, 4)`` to take in place of the history's mean; a deviation from the paper.
        """
        boxes, scores, classes = found
        reference = self.reference() if reference is None else reference
        factor = np.minimum(1 + self.widen * self.missed, self.widest)[:, None]
        value = overlap = overlaps(widened(reference, factor), boxes)
        fits = (overlap > 0) & (overlap >= self.iou_min / factor) & (scores >= self.threshold)
        if self.size_limit:
            fits &= np.abs(np.log(boxes[..., 2:]) - self.usual[:, None]).sum(axis=-1) <= self.size_limit
        if self.prefer:
            other = (classes != self.target[:, None]) & (self.target >= 0)[:, None]
            value = overlap * scores**self.prefer * np.where(other, 1 - self.prefer, 1.0)
        return best(value, fits)

    def take(self, boxes: Array) -> None:
        """Let detections ``(B, 4)`` join the history as the frame's; NaN where none is the target."""
        self._join(boxes)
        accepted = ~np.isnan(boxes[:, 0])
        self.missed = np.where(accepted, 0, self.missed + 1)
        sides = 0.9 * self.usual + 0.1 * np.log(boxes[:, 2:])
        self.usual = np.where(accepted[:, None], sides, self.usual)

    def _join(self, boxes: Array) -> None:
        joined = np.concatenate([self.recent[:, 1:], boxes[:, None]], axis=1)
        self.recent = np.where(np.isnan(boxes)[:, None], self.recent, joined)

    def start(self, box: Array, found: Detections) -> int | None:
        """`begin` for one target ``(4,)``."""
        return one(self.begin(as_boxes(box), alone(found)))

    def step(self, found: Detections, reference: Array | None = None) -> int | None:
        """`choose` and `take` for one target: the index of its detection, which joins the history, or None."""
        index = one(self.choose(alone(found), None if reference is None else as_boxes(reference)))
        self.take(box_of(found, index))
        return index

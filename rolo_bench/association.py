"""Which detection is the target: section II.B of the ROLO paper.

On the first frame it is the detection that overlaps the given box most. Later it is the one with the highest
IoU with the mean of the short-term history of validated detections; below ``IoU_min`` it is none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rolo_bench.boxes import Array, as_boxes, iou_matrix

if TYPE_CHECKING:
    from rolo_bench.detection import Detections

SAME_OBJECT = 0.5  # IoU from which a detection on the first frame is the given object beyond doubt


def best_overlap(reference: Array, boxes: Array, least: float = 0.0) -> int | None:
    """Index of the box that overlaps a reference ``(4,)`` most, or None where no IoU reaches ``least``.

    An IoU of 0 is never accepted. Ties go to the first, which is the better score in a detector's output.
    """
    if not len(boxes):
        return None
    overlap = iou_matrix(reference, boxes)[0]
    index = int(overlap.argmax())
    return index if overlap[index] > 0 and overlap[index] >= least else None


def centred(box: Array, place: Array) -> Array:
    """A box ``(4,)`` moved so that its centre is that of another."""
    return np.concatenate([place[:2] + (place[2:] - box[2:]) / 2, box[2:]])


def widened(box: Array, factor: float) -> Array:
    """A box ``(4,)`` with both sides times ``factor`` about its centre."""
    return np.concatenate([box[:2] + box[2:] / 2 * (1 - factor), box[2:] * factor])


@dataclass
class Association:
    """The state of the association: the last few validated boxes.

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
        missed: frames in a row without a validated detection.
        usual: logarithms ``(2,)`` of the usual width and height.
        target: class of the first frame's detection; None where none overlaps the given box by half.
    """

    history: int = 2
    iou_min: float = 0.15
    threshold: float = 0.1
    widen: float = 0.0
    widest: float = 4.0
    size_limit: float = 0.0
    prefer: float = 0.0
    missed: int = 0
    recent: deque[Array] = field(default_factory=deque)
    usual: Array = field(default_factory=lambda: np.zeros(2))
    target: int | None = None

    def start(self, box: Array, found: Detections) -> int | None:
        """Begin with the given box ``(4,)``; the index of the first frame's detection, or None.

        The history begins with the given box itself, which is known to be right.
        """
        self.recent = deque([as_boxes(box)[0]], maxlen=self.history)
        self.missed = 0
        self.usual = np.log(self.recent[0][2:])
        candidates = self._candidates(found)
        near = best_overlap(self.recent[0], candidates, SAME_OBJECT)
        self.target = None if near is None else int(found.classes[near])
        return best_overlap(self.recent[0], candidates, self.iou_min)

    def reference(self) -> Array:
        """Mean ``(4,)`` of the history."""
        return np.mean(self.recent, axis=0)

    def step(self, found: Detections, reference: Array | None = None) -> int | None:
        """The index of the detection that is the target, which joins the history, or None.

        Args:
            found: the frame's detections.
            reference: a box ``(4,)`` to take in place of the history's mean; a deviation from the paper.
        """
        index = self.choose(found, reference)
        self.take(found, index)
        return index

    def choose(self, found: Detections, reference: Array | None = None) -> int | None:
        """As `step`, but nothing is kept; see `take`."""
        candidates = self._candidates(found)
        reference = self.reference() if reference is None else reference
        factor = min(1 + self.widen * self.missed, self.widest)
        return self._choice(found, candidates, widened(reference, factor), self.iou_min / factor)

    def take(self, found: Detections, index: int | None) -> None:
        """Let a detection join the history as the frame's; None: none is the target."""
        if index is None:
            self.missed += 1
        else:
            self.missed = 0
            self.recent.append(found.boxes[index])
            self.usual = 0.9 * self.usual + 0.1 * np.log(found.boxes[index, 2:])

    def _choice(self, found: Detections, boxes: Array, reference: Array, least: float) -> int | None:
        if not len(boxes):
            return None
        overlap = iou_matrix(reference, boxes)[0]
        fits = (overlap > 0) & (overlap >= least)
        if self.size_limit:
            fits &= np.abs(np.log(boxes[:, 2:]) - self.usual).sum(axis=1) <= self.size_limit
        value = overlap
        if self.prefer:
            value = overlap * found.scores[: len(boxes)] ** self.prefer
            if self.target is not None:
                value = np.where(found.classes[: len(boxes)] == self.target, value, value * (1 - self.prefer))
        index = int(np.where(fits, value, -1.0).argmax())
        return index if fits[index] else None

    def _candidates(self, found: Detections) -> Array:
        """Boxes above the threshold; they come first, as scores fall."""
        return found.boxes[: int((found.scores >= self.threshold).sum())]

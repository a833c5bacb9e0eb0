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
    from rolo_bench.nn.detector import Detections


def best_overlap(reference: Array, boxes: Array, least: float = 0.0) -> int | None:
    """Index of the box that overlaps a reference ``(4,)`` most, or None where no IoU reaches ``least``.

    An IoU of 0 is never accepted. Ties go to the first, which is the better score in a detector's output.
    """
    if not len(boxes):
        return None
    overlap = iou_matrix(reference, boxes)[0]
    index = int(overlap.argmax())
    return index if overlap[index] > 0 and overlap[index] >= least else None


@dataclass
class Association:
    """The state of the association: the last few validated boxes.

    Attributes:
        history: how many validated boxes the reference is the mean of.
        iou_min: least IoU of a detection with the reference.
        threshold: least score of a detection.
    """

    history: int = 2
    iou_min: float = 0.15
    threshold: float = 0.1
    recent: deque[Array] = field(default_factory=deque)

    def start(self, box: Array, found: Detections) -> int | None:
        """Begin with the given box ``(4,)``; the index of the first frame's detection, or None.

        The history begins with the given box itself, which is known to be right.
        """
        self.recent = deque([as_boxes(box)[0]], maxlen=self.history)
        return best_overlap(self.recent[0], self._candidates(found), self.iou_min)

    def reference(self) -> Array:
        """Mean ``(4,)`` of the history."""
        return np.mean(self.recent, axis=0)

    def step(self, found: Detections) -> int | None:
        """The index of the detection that is the target, which joins the history, or None."""
        candidates = self._candidates(found)
        index = best_overlap(self.reference(), candidates, self.iou_min)
        if index is not None:
            self.recent.append(candidates[index])
        return index

    def _candidates(self, found: Detections) -> Array:
        """Boxes above the threshold; they come first, as scores fall."""
        return found.boxes[: int((found.scores >= self.threshold).sum())]

"""Which detection is the target: section II.B of the ROLO paper, and what can be added to it.

On the first frame it is the detection that overlaps the given box most. Later it is the one with the highest
IoU with the mean of the short-term history of validated detections; below ``IoU_min`` it is none.

What is added, each a deviation and none by default: a candidate's value is the logarithm of its overlap, plus what its
score, its size and its likeness say; the likeness is the product of its appearance with that of the given box in
the first frame and with a slow mean of the accepted ones.

The rule is written once, for B targets at once, each with K detections: training runs it on whole batches, and
trackers are the batch of one. It needs no unit: boxes are in pixels of a tracker's image, or relative to an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, as_boxes, iou, valid
from rolo_bench.errors import UsageError

if TYPE_CHECKING:
    from rolo_bench.detection import Detections

Numbers = NDArray[np.int64]
Looks = NDArray[np.float32]
# boxes (B, K, 4), NaN fills up; scores, classes (B, K); appearance (B, K, L), None of detectors that give none
Candidates = tuple[Array, NDArray[np.float32], Numbers, Looks | None]
RECENT = 0.1  # share of an accepted detection's appearance in the slow mean
SAME_OBJECT = 0.5  # IoU from which a detection on the first frame is the given object beyond doubt
# What the settings of an association may be, from the least to the most.
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("iou_min", "threshold"), (0.0, 1.0)),
    **dict.fromkeys(("widen", "buffer", "floor", "size_limit", "size_cost", "alike"), (0.0, np.inf)),
    "history": (1, np.inf),
    "prefer": (0.0, 0.99),  # its counterpart is the share of other classes
    "least": (-np.inf, np.inf),
}


def check_numbers(settings: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse settings that are no numbers within their ranges; those without a range are not looked at.

    Raises:
        UsageError: such a setting.
    """
    for name, (low, high) in ranges.items():
        value = settings[name]
        kind = Integral if isinstance(low, int) else Real
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= float(value) <= high:
            upper = f"to {high:g}" if high < np.inf else "upwards"
            within = "" if low == -np.inf else f" from {low:g} {upper}"
            what = "a whole number" if kind is Integral else "a number"
            raise UsageError(f"{name} must be {what}{within}, not {value!r}")


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
    index = np.where(fits, value, -np.inf).argmax(axis=1)
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
    looks = None if found.appearance is None else found.appearance[None].astype(np.float32)
    return found.boxes[None], found.scores[None], found.classes[None], looks


def box_of(found: Detections, index: int | None) -> Array:
    """The box of a detection ``(1, 4)``, NaN for none."""
    return np.full((1, 4), np.nan) if index is None else found.boxes[index : index + 1]


def looks_of(found: Detections, index: int | None) -> Looks | None:
    """The appearance of a detection ``(1, L)``; None for none."""
    if index is None or found.appearance is None:
        return None
    return found.appearance[index : index + 1].astype(np.float32)


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
        buffer: both the reference and the detections are this share larger than they are before their overlap is
            taken, and the detections grow with the reference; 0 is the paper, more finds fast and small targets.
        widest: the factor at which that growth ends.
        floor: what is added to the overlap, so that a detection far off may still win by its looks; 0 is the paper.
        size_limit: a detection whose sides differ from the usual ones by more than this in all, as the sum of
            both sides' absolute logarithms, is not a candidate; the usual size follows the validated
            detections by a tenth a frame. 0 is the paper; more is a deviation that lets ``threshold`` be lower.
        size_cost: what that sum is multiplied by before it is taken off the value; 0 is the paper.
        prefer: how much score and class count beside the IoU among the candidates: its logarithm is added to the value
            times this, and where the class is not that of the first frame's detection, that of 1 - ``prefer``. Where
            likeness counts, the class does not: it says less. 0 is the paper.
        alike: weight of each of the two likenesses, less a half; 0 is the paper.
        least: least value of an accepted detection; by default any.
        joins: IoU with the given box from which the first frame's detection joins the history beside it; by
            default none does.
        recent: ``(B, history, 4)`` the history, the last at the end; NaN where it is shorter.
        missed: ``(B,)`` frames in a row without a validated detection.
        usual: ``(B, 2)`` logarithms of the usual width and height.
        target: ``(B,)`` class of the first frame's detection; -1 where none overlaps the given box by half.
        first, latest: ``(B, L)`` appearance of the given boxes, and the slow mean; None where it is not known.
        likeness: ``(B, K, 2)`` of the last frame's candidates to these two; 0 where it is not known.
    """

    history: int = 2
    iou_min: float = 0.15
    threshold: float = 0.1
    widen: float = 0.0
    buffer: float = 0.0
    widest: float = 4.0
    floor: float = 0.0
    size_limit: float = 0.0
    size_cost: float = 0.0
    prefer: float = 0.0
    alike: float = 0.0
    least: float = -np.inf
    joins: float = np.inf

    def __post_init__(self) -> None:
        check_numbers(vars(self), RANGES)

    def begin(self, given: Array, found: Candidates, looks: Looks | None = None) -> Numbers:
        """Begin with the given boxes ``(B, 4)``; the index ``(B,)`` of the first frame's detection, -1 for none.

        The history begins with the given box itself, which is known to be right; ``looks`` ``(B, L)`` is its
        appearance.
        """
        boxes, scores, classes, _ = found
        self.first = self.latest = looks
        self.see(found)
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
        boxes, scores, classes, _ = found
        reference = self.reference() if reference is None else reference
        self.see(found)
        factor = np.minimum(1 + self.widen * self.missed, self.widest)[:, None]
        wide = np.minimum(factor + self.buffer, self.widest)
        seen = widened(boxes, wide[:, None]) if self.buffer else boxes
        overlap = np.nan_to_num(overlaps(widened(reference, wide), seen)) + self.floor
        there = ~np.isnan(boxes[..., 0])
        fits = there & (overlap > 0) & (overlap >= self.iou_min / factor) & (scores >= self.threshold)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.log(overlap)
            if self.size_limit or self.size_cost:
                change = np.abs(np.log(boxes[..., 2:]) - self.usual[:, None]).sum(axis=-1)
                fits &= (change <= self.size_limit) | (self.size_limit == 0)
                value = value - self.size_cost * change
            if self.prefer:
                value = value + self.prefer * np.log(scores)
        if self.prefer and not self.alike:
            other = (classes != self.target[:, None]) & (self.target >= 0)[:, None]
            value = value + np.where(other, np.log(1 - self.prefer), 0.0)
        if self.alike and self.first is not None:
            value = value + self.alike * (self.likeness - 0.5).sum(axis=-1)
        return best(value, fits & (value >= self.least))

    def take(self, boxes: Array, looks: Looks | None = None) -> None:
        """Let detections ``(B, 4)``, with their appearance ``(B, L)``, join as the frame's; NaN where there is none."""
        self._join(boxes)
        accepted = ~np.isnan(boxes[:, 0])
        self.missed = np.where(accepted, 0, self.missed + 1)
        sides = 0.9 * self.usual + 0.1 * np.log(boxes[:, 2:])
        self.usual = np.where(accepted[:, None], sides, self.usual)
        if looks is not None and self.latest is not None:
            mean = (1 - RECENT) * self.latest + RECENT * looks
            mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-6)
            self.latest = np.where(accepted[:, None], mean, self.latest)

    def see(self, found: Candidates) -> None:
        """Take the likeness of a frame's detections, as `choose` does, where somebody else chooses."""
        looks = found[3]
        if looks is None or self.first is None or self.latest is None or not looks.shape[1]:
            self.likeness = np.zeros((*found[1].shape, 2), dtype=np.float32)
        else:
            self.likeness = np.matmul(
                looks, np.stack([self.first, self.latest], axis=2)
            )  # (B, K, L) @ (B, L, 2)

    def _join(self, boxes: Array) -> None:
        joined = np.concatenate([self.recent[:, 1:], boxes[:, None]], axis=1)
        self.recent = np.where(np.isnan(boxes)[:, None], self.recent, joined)

    def start(self, box: Array, found: Detections, looks: NDArray[np.float16] | None = None) -> int | None:
        """`begin` for one target ``(4,)``, with the appearance ``(1, L)`` of its box."""
        return one(
            self.begin(as_boxes(box), alone(found), None if looks is None else looks.astype(np.float32))
        )

    def step(self, found: Detections, reference: Array | None = None) -> int | None:
        """`choose` and `take` for one target: the index of its detection, which joins the history, or None."""
        index = one(self.choose(alone(found), None if reference is None else as_boxes(reference)))
        self.take(box_of(found, index), looks_of(found, index))
        return index

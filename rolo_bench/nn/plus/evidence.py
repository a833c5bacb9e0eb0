"""What the judge of rolo-plus is told about a candidate, and what becomes of its verdicts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, centers, iou, iou_matrix

# One row of evidence per candidate: first the prior box at the filter's peak, last the Siamese network's boxes.
FEATURES = (
    "prior",  # 1 for the prior box, 0 for others
    "score", "log_score",  # of the detector, best class; its four columns are 0 for boxes that are not its own
    "classes", "class_score",  # cosine with the target's class scores at the start; times score
    "response", "peak", "relative_response",  # of the filter at the centre; its maximum; their ratio
    "iou_prior", "iou_expected",  # overlap with the prior and with the box expected by the LSTM
    "dx", "dy",  # distance from the expected centre in target sizes
    "log_width", "log_height", "change_width", "change_height",  # against the expected size; absolute values
    "look", "inside", "around",  # cosines with the first frame: fine maps, deep maps in the box and around it
    "look_rank", "inside_rank", "around_rank",  # the same less the best candidate's
    "votes",  # log of 1 + number of the network's boxes merged into this one
    "lead",  # class_score less that of the best other candidate
    "best_class_score",
    "siamese",  # score of a box of the Siamese network, 0 for others; these columns are 0 without it
    "support", "support_rank",  # most of its boxes' score times overlap; less that of the best candidate
    "iou_siamese", "best_siamese",  # overlap with its best box; score of that
)  # fmt: skip
# And what the network reads that measures the target once it is found, about more candidates.
FINE = (
    *FEATURES,
    "siamese_look", "siamese_inside",  # cosines of its features with the first frame's: place by place, their mean
    "siamese_look_rank", "siamese_inside_rank",  # less the best candidate's
    "colour", "colour_ring",  # mean likelihood of the target's colours in the box and in the ring around it
    "contrast", "contrast_rank",  # their difference; less that of the best candidate
    "offset",  # -1 for a detection without the first frame's offset, 1 for one with all of it, 0 for others
    "iou_aligned", "agree_aligned", "agree",  # overlap with the first box as its pixels moved; times agree; share of
    # its points that agree on that movement; all 0 where it lies apart
)  # fmt: skip


def evidence(
    boxes: Array, scores: Array, classes: Array, responses: Array, top: float, prior: Array, expected: Array,
    looks: Array, votes: Array, own: Array, siamese: Array, marks: Array,
) -> NDArray[np.float32]:  # fmt: skip
    """What the judge reads, ``(N, len(FEATURES))``; row 0 is the prior box.

    Args:
        boxes: ``(N, 4)`` candidates.
        scores, classes, responses, votes: ``(N,)`` as in `FEATURES`; ``own`` as ``siamese`` there.
        top: maximum of the filter's response.
        prior, expected: ``(4,)`` box at the filter's peak, box expected by the LSTM.
        looks: ``(N, 3)`` cosines with the first frame.
        siamese, marks: ``(M, 4)`` all boxes of the Siamese network, ``(M,)`` their scores; M is 0 without it.
    """
    n = len(boxes)
    support, nearness, best = supported(boxes, siamese, marks)
    shift = np.abs(centers(boxes) - centers(expected)) / expected[2:]
    change = np.log(boxes[:, 2:] / expected[2:])
    together = scores * classes
    ordered = np.unique(together)[::-1]  # one detection may be there with several offsets
    others = np.where(together == ordered[0], ordered[1] if len(ordered) > 1 else 0.0, ordered[0])
    columns = [
        np.arange(n) == 0, scores, np.log(scores + 1e-3), classes, together,
        responses, np.full(n, top), responses / max(top, 0.05), iou(boxes, prior), iou(boxes, expected),
        shift[:, 0], shift[:, 1], change[:, 0], change[:, 1], np.abs(change[:, 0]), np.abs(change[:, 1]),
        *looks.T, *(looks - looks.max(axis=0)).T,
        np.log1p(votes), together - others, np.full(n, together.max()),
        own, support, support - support.max(), nearness, np.full(n, best),
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def fine_evidence(
    table: NDArray[np.float32], shapes: Array, colours: Array, offsets: Array, aligned: Array, agree: float,
) -> NDArray[np.float32]:  # fmt: skip
    """The columns of `FINE` ``(N, len(FINE))``.

    Args:
        table: of `evidence`.
        shapes: ``(N, 2)`` cosines with the Siamese network's first features; 0 without it.
        colours: ``(N, 2)`` likelihood in the box and in the ring around it.
        offsets, aligned, agree: ``(N,)``, ``(N,)`` overlaps and a share as in `FINE`.
    """
    contrast = colours[:, 0] - colours[:, 1]
    ranks = shapes - shapes.max(axis=0)
    more = [
        *shapes.T, *ranks.T, *colours.T, contrast, contrast - contrast.max(), offsets,
        aligned, agree * aligned, np.full(len(table), agree),
    ]  # fmt: skip
    return np.hstack([table, np.stack(more, axis=1).astype(np.float32)])


def supported(boxes: Array, siamese: Array, marks: Array) -> tuple[Array, Array, float]:
    """What the Siamese network's boxes ``(M, 4)`` with scores ``(M,)`` say of others ``(N, 4)``.

    Returns:
        Most of score times overlap ``(N,)``, overlap with the best of its boxes ``(N,)``, and score of that.
    """
    if not len(marks):
        return np.zeros(len(boxes)), np.zeros(len(boxes)), 0.0
    over = iou_matrix(boxes, siamese)  # (N, M)
    best = int(np.argmax(marks))
    return (over * marks).max(axis=1), over[:, best], float(marks[best])


def rule(table: NDArray[np.float32]) -> Array:
    """A hand-made judge ``(N,)`` for detectors without a trained one; values near 0 … 1."""
    column = {name: table[:, k] for k, name in enumerate(FEATURES)}
    change = column["change_width"] + column["change_height"]
    found = 0.45 * np.clip(column["response"], 0, 1) + 0.35 * np.sqrt(column["class_score"])
    found = found + 0.2 * column["iou_prior"] - 0.15 * change
    value = np.where(column["prior"] > 0, 0.35 * column["peak"] + 0.15, found)
    return (value + 0.6 * column["support_rank"]).astype(np.float64)


def blend(boxes: Array, values: Array, sharpness: float = 0.05, overlap: float = 0.4) -> Array:
    """Mean ``(4,)`` of the best candidate and those that overlap it, weighted by ``exp(value / sharpness)``."""
    best = int(np.argmax(values))
    weights = np.exp((values - values[best]) / sharpness) * (iou(boxes, boxes[best]) > overlap)
    return np.average(boxes, axis=0, weights=weights)


def habit(found: Array, scores: Array, truth: Array) -> Array | None:
    """How the annotation differs from what the detector finds on the first frame: ``(4,)`` or None.

    Offset of the centre over the detection's size and logarithms of the ratios of width and height, from the
    mean of the boxes that overlap the truth, weighted by score and overlap above 0.3.
    """
    weights = scores * np.clip(iou(found, truth) - 0.3, 0, None) ** 2
    if not weights.max() > 0:
        return None
    weights = np.where(weights >= 0.3 * weights.max(), weights, 0.0)
    mean = np.average(found, axis=0, weights=weights)
    shift = (centers(truth) - centers(mean))[0] / mean[2:]
    return np.concatenate([shift, np.log(truth[2:] / mean[2:])])


def around(centre: Array, size: Array) -> Array:
    """The boxes ``(…, 4)`` of sizes ``(…, 2)`` about centres ``(…, 2)``."""
    return np.concatenate([centre - size / 2, size], axis=-1)


def as_detected(boxes: Array, habit: Array) -> Array:
    """The inverse of `as_annotated`."""
    size = boxes[:, 2:] * np.exp(-habit[2:])
    return around(centers(boxes) - habit[:2] * size, size)


def as_annotated(boxes: Array, habit: Array) -> Array:
    """Detections ``(N, 4)`` moved and scaled to how the target was annotated."""
    return around(centers(boxes) + habit[:2] * boxes[:, 2:], boxes[:, 2:] * np.exp(habit[2:]))

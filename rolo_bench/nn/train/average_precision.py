"""Mean average precision of detections.

Average precision is the area under the precision envelope over all recall values (VOC 2010 to 2012, "all-point"),
not the 11-point mean of VOC 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, iou_matrix


@dataclass(frozen=True)
class Truth:
    """The objects of one image: ``(K, 4)`` boxes, ``(K,)`` classes, ``(K,)`` bool that neither count nor harm."""

    boxes: Array
    classes: NDArray[np.int64]
    ignored: NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """The detections of one image: ``(D, 4)`` boxes, ``(D,)`` classes, ``(D,)`` scores."""

    boxes: Array
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]


def match(found: Array, scores: NDArray[np.float64], truth: Truth, overlap: float) -> NDArray[np.int64]:
    """For detections and truth of one image and class: 1 right, 0 wrong, -1 not counted; ``(D,)``.

    Best score first, each detection looks at the object that it overlaps most: below ``overlap`` it is wrong;
    an ignored object is not counted; an object that is taken already makes it wrong.

    Source: VOC devkit ``VOCevaldet.m`` (IoU >= overlap; "difficult" objects).
    """
    verdict = np.zeros(len(found), dtype=np.int64)
    if not len(truth.boxes):
        return verdict
    values = iou_matrix(found, truth.boxes)
    taken = np.zeros(len(truth.boxes), dtype=bool)
    for k in np.argsort(-scores, kind="stable"):
        best = int(values[k].argmax())
        if values[k, best] < overlap:
            continue
        if truth.ignored[best]:
            verdict[k] = -1
        elif not taken[best]:
            verdict[k], taken[best] = 1, True
    return verdict


def average_precision(right: NDArray[np.bool_], scores: NDArray[np.float64], total: int) -> float:
    """Area under the precision envelope, all points; NaN without objects.

    Args:
        right: ``(D,)`` whether each counted detection is right.
        scores: ``(D,)``.
        total: number of objects to be found.
    """
    if not total:
        return float("nan")
    hits = np.cumsum(right[np.argsort(-scores, kind="stable")])
    recall = np.concatenate([[0.0], hits / total])
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * envelope).sum())


def average_precisions(
    found: Sequence[Found], truth: Sequence[Truth], classes: int, overlap: float = 0.5
) -> NDArray[np.float64]:
    """Average precision of each class ``(C,)`` over images; NaN for a class without objects.

    Raises:
        ValueError: different numbers of images.
    """
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} images with detections, {len(truth)} with truth")
    values = np.full(classes, np.nan)
    for c in range(classes):
        verdicts, scores, total = [np.empty(0, np.int64)], [np.empty(0)], 0
        for f, t in zip(found, truth):
            mine, its = f.classes == c, t.classes == c
            part = Truth(t.boxes[its], t.classes[its], t.ignored[its])
            verdicts.append(match(f.boxes[mine], f.scores[mine], part, overlap))
            scores.append(f.scores[mine])
            total += int((~part.ignored).sum())
        verdict, score = np.concatenate(verdicts), np.concatenate(scores)
        values[c] = average_precision(verdict[verdict >= 0] == 1, score[verdict >= 0], total)
    return values

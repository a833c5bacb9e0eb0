"""The loss of YOLOv1: squared errors of box, confidence and class, per cell.

Source: Redmon et al. 2016, equation 3. Two rules that the equation leaves open follow Darknet
(``forward_detection_layer``): the confidence of the responsible box aims at its IoU with the truth, and where
no box of a cell overlaps the truth, the one with the nearest numbers is responsible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.boxes import Array
from rolo_bench.nn.yolov1 import Prediction, cell_corners


@dataclass(frozen=True)
class Targets:
    """What each of S × S cells of N images should say.

    Attributes:
        holds: ``(N, S * S)`` bool, an object's centre lies in the cell.
        ignored: ``(N, S * S)`` bool, the cell has no part in the loss (unless it holds an object).
        boxes: ``(N, S * S, 4)`` centre within the cell, width and height relative to the image.
        classes: ``(N, S * S)`` int64, the class where ``holds``.
    """

    holds: Tensor
    ignored: Tensor
    boxes: Tensor
    classes: Tensor

    def to(self, device: torch.device | str) -> Targets:
        """The same on a device."""
        return Targets(*(t.to(device) for t in (self.holds, self.ignored, self.boxes, self.classes)))


def assign(
    boxes: Sequence[Array],
    classes: Sequence[NDArray[np.int64]],
    ignored: Sequence[NDArray[np.bool_]],
    cells: int,
) -> Targets:
    """Targets of a batch; where two objects share a cell, the later one has it.

    A centre outside the image belongs to the nearest cell.

    Args:
        boxes: per image ``(K, 4)`` centre x, y, w, h relative to the image.
        classes: per image ``(K,)``.
        ignored: per image ``(K,)``: objects that are neither to be found nor background.
        cells: S.
    """
    n, places = len(boxes), cells * cells
    holds, skipped = np.zeros((n, places), bool), np.zeros((n, places), bool)
    box, kind = np.zeros((n, places, 4), np.float32), np.zeros((n, places), np.int64)
    for i, (b, c, skip) in enumerate(zip(boxes, classes, ignored)):
        corner = np.clip(np.floor(b[:, :2] * cells), 0, cells - 1)
        place = (corner[:, 1] * cells + corner[:, 0]).astype(int)
        skipped[i, place[skip]] = True
        place, corner, b, c = place[~skip], corner[~skip], b[~skip], c[~skip]
        for k in range(len(b)):  # one by one: a later object of the same cell replaces an earlier
            holds[i, place[k]], kind[i, place[k]] = True, c[k]
            box[i, place[k]] = [*(b[k, :2] * cells - corner[k]), *b[k, 2:]]
    return Targets(*(torch.from_numpy(a) for a in (holds, skipped, box, kind)))


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes ``(..., 4)`` given as centre x, y, width, height in one unit."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    inter = (high - low).clamp(min=0).prod(dim=-1)
    union = a[..., 2:].prod(dim=-1) + b[..., 2:].prod(dim=-1) - inter
    return inter / union.clamp(min=1e-9)


def responsible(boxes: Tensor, truth: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """For each cell the index of the responsible box and its IoU with the truth, both ``(N, S * S)``.

    Args:
        boxes: ``(N, S * S, B, 4)`` as in `Prediction` (square roots of width and height).
        truth: ``(N, S * S, 4)`` as in `Targets`.
    """
    corners = cell_corners(cells, boxes.device)
    predicted = torch.cat([(boxes[..., :2] + corners[:, None]) / cells, boxes[..., 2:] ** 2], dim=-1)
    wanted = torch.cat([(truth[..., :2] + corners) / cells, truth[..., 2:]], dim=-1)[:, :, None]
    ious = overlap(predicted, wanted)  # (N, S * S, B)
    distance = (predicted - wanted).square().sum(dim=-1)
    best = torch.where((ious > 0).any(dim=2), ious.argmax(dim=2), distance.argmin(dim=2))
    return best, ious.gather(2, best[..., None]).squeeze(2)


def yolo_loss(
    prediction: Prediction,
    targets: Targets,
    cells: int,
    *,
    coord: float = 5.0,
    noobj: float = 0.5,
    kind: float = 1.0,
    softmax: bool = False,
) -> dict[str, Tensor]:
    """The terms of the loss, each summed over cells and averaged over images, and their sum ``loss``.

    Terms: ``centre`` and ``side`` (times ``coord``), ``object`` (confidence of responsible boxes), ``empty``
    (confidence of all other boxes, times ``noobj``), ``class`` (times ``kind``, which is 1 in the paper).

    With ``softmax`` the class term is the cross-entropy of the softmax in place of the paper's squared error.
    A deviation: from scratch and in few steps the squared error does not leave the level of guessing.
    """
    classes, confidence, boxes = prediction
    n = len(classes)
    with torch.no_grad():
        index, iou = responsible(boxes, targets.boxes, cells)
        mine = torch.zeros_like(confidence).scatter_(2, index[..., None], 1.0)  # (N, S * S, B)
        mine = mine * targets.holds[..., None]
        empty = (1 - mine) * (targets.holds | ~targets.ignored)[..., None]
        wanted = torch.cat([targets.boxes[..., :2], targets.boxes[..., 2:].sqrt()], dim=2)  # (N, S * S, 4)
        one_hot = torch.nn.functional.one_hot(targets.classes, classes.shape[2]).float()
    error = (boxes - wanted[:, :, None]).square() * mine[..., None]  # (N, S * S, B, 4)
    if softmax:
        wrong = -(classes.log_softmax(dim=2) * one_hot) * targets.holds[..., None]
    else:
        wrong = (classes - one_hot).square() * targets.holds[..., None]  # (N, S * S, C)
    terms = {
        "centre": coord * error[..., :2].sum() / n,
        "side": coord * error[..., 2:].sum() / n,
        "object": ((confidence - iou[..., None]).square() * mine).sum() / n,
        "empty": noobj * (confidence.square() * empty).sum() / n,
        "class": kind * wrong.sum() / n,
    }
    return {"loss": torch.stack(list(terms.values())).sum(), **terms}

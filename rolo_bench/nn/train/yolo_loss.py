"""The loss of YOLOv1: squared errors of box, confidence and class, per cell; and a denser one for short training.

`yolo_loss` is the paper's: Redmon et al. 2016, equation 3. Two rules that the equation leaves open follow Darknet
(``forward_detection_layer``): the confidence of the responsible box aims at its IoU with the truth, and where
no box of a cell overlaps the truth, the one with the nearest numbers is responsible.

`dense_loss` deviates: the cells around an object's centre learn it, too (`assign` with a reach), boxes are
fitted by their overlap, and confidence and class by cross-entropies of logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rolo_bench.boxes import Array
from rolo_bench.nn.detect.torch_detector import cell_corners
from rolo_bench.nn.detect.yolov1 import Prediction


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
    reach: int = 0,
) -> Targets:
    """Targets of a batch; where two objects have the same cell as their centre's, the later one has it.

    A centre outside the image belongs to the nearest cell.

    Args:
        boxes: per image ``(K, 4)`` centre x, y, w, h relative to the image.
        classes: per image ``(K,)``.
        ignored: per image ``(K,)``: objects that are neither to be found nor background.
        cells: S.
        reach: how many cells around the centre's hold the object as well, where their middle is in the inner
            seven tenths of the box; of several objects the one with the nearest centre has such a cell.
    """
    n, places = len(boxes), cells * cells
    holds, skipped = np.zeros((n, places), bool), np.zeros((n, places), bool)
    box, kind = np.zeros((n, places, 4), np.float32), np.zeros((n, places), np.int64)
    near = range(-reach, reach + 1)
    around = [(0, 0), *((dx, dy) for dx in near for dy in near if dx or dy)]
    for i, (b, c, skip) in enumerate(zip(boxes, classes, ignored)):
        distance = np.full(places, np.inf)
        corner = np.clip(np.floor(b[:, :2] * cells), 0, cells - 1).astype(int)
        for k in range(len(b)):
            centre, inner = b[k, :2] * cells, 0.35 * b[k, 2:] * cells
            for dx, dy in around:
                x, y = corner[k] + (dx, dy)
                off = np.abs((x + 0.5, y + 0.5) - centre)
                central = dx == dy == 0
                if not (0 <= x < cells and 0 <= y < cells and (central or (off <= inner).all())):
                    continue
                place = y * cells + x
                if skip[k]:
                    skipped[i, place] = True
                    continue
                far = 0.0 if central else float((off**2).sum())
                if far <= distance[place]:
                    distance[place], holds[i, place], kind[i, place] = far, True, c[k]
                    box[i, place] = [*(centre - (x, y)), *b[k, 2:]]
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
    corners = cell_corners(cells, cells, boxes.device)
    predicted = torch.cat([(boxes[..., :2] + corners[:, None]) / cells, boxes[..., 2:] ** 2], dim=-1)
    wanted = torch.cat([(truth[..., :2] + corners) / cells, truth[..., 2:]], dim=-1)[:, :, None]
    ious = overlap(predicted, wanted)  # (N, S * S, B)
    distance = (predicted - wanted).square().sum(dim=-1)
    best = torch.where((ious > 0).any(dim=2), ious.argmax(dim=2), distance.argmin(dim=2))
    return best, ious.gather(2, best[..., None]).squeeze(2)


def shares(prediction: Prediction, targets: Targets, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which boxes are responsible and which are empty, both ``(N, S * S, B)`` of 0 and 1; IoUs ``(N, S * S)``."""
    index, iou = responsible(prediction.boxes, targets.boxes, cells)
    mine = torch.zeros_like(prediction.confidence).scatter_(2, index[..., None], 1.0)
    mine = mine * targets.holds[..., None]
    return mine, (1 - mine) * (targets.holds | ~targets.ignored)[..., None], iou


def yolo_loss(
    prediction: Prediction, targets: Targets, cells: int, *, coord: float = 5.0, noobj: float = 0.5
) -> dict[str, Tensor]:
    """The terms of the loss, each summed over cells and averaged over images, and their sum ``loss``.

    Terms: ``centre`` and ``side`` (times ``coord``), ``object`` (confidence of responsible boxes), ``empty``
    (confidence of all other boxes, times ``noobj``), ``class``.
    """
    classes, confidence, boxes = prediction
    n = len(classes)
    with torch.no_grad():
        mine, empty, iou = shares(prediction, targets, cells)
        wanted = torch.cat([targets.boxes[..., :2], targets.boxes[..., 2:].sqrt()], dim=2)  # (N, S * S, 4)
        one_hot = torch.nn.functional.one_hot(targets.classes, classes.shape[2]).float()
    error = (boxes - wanted[:, :, None]).square() * mine[..., None]  # (N, S * S, B, 4)
    wrong = (classes - one_hot).square() * targets.holds[..., None]  # (N, S * S, C)
    terms = {
        "centre": coord * error[..., :2].sum() / n,
        "side": coord * error[..., 2:].sum() / n,
        "object": ((confidence - iou[..., None]).square() * mine).sum() / n,
        "empty": noobj * (confidence.square() * empty).sum() / n,
        "class": wrong.sum() / n,
    }
    return {"loss": torch.stack(list(terms.values())).sum(), **terms}


def generalised_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU, -1 … 1, of boxes ``(..., 4)`` given as centre x, y, width, height in one unit.

    Source: Rezatofighi et al. 2019, algorithm 1.
    """
    low = torch.minimum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.maximum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    hull = (high - low).prod(dim=-1).clamp(min=1e-9)
    iou = overlap(a, b)
    areas = a[..., 2:].prod(dim=-1) + b[..., 2:].prod(dim=-1)
    union = areas / (1 + iou)  # inter = iou * union, and union = areas - inter
    return iou - (hull - union) / hull


def dense_loss(prediction: Prediction, targets: Targets, cells: int) -> dict[str, Tensor]:
    """The terms of the loss of a network with logits, per cell that holds an object, and their sum ``loss``.

    Terms: ``overlap`` (1 - generalised IoU of responsible boxes, times 2), ``coordinates`` (smooth
    absolute error of centre and square-rooted sides, in sixteenths of the image), ``confidence`` (quality focal
    loss: cross-entropy with the IoU, of all boxes) and ``class`` (cross-entropy, times 2).

    Source: quality focal loss, Li et al. 2020, equation 6 with an exponent of 1.5.
    """
    classes, confidence, boxes = prediction
    corners = cell_corners(cells, cells, boxes.device)
    with torch.no_grad():
        mine, empty, iou = shares(prediction, targets, cells)
        held = targets.holds.sum().clamp(min=1)
        wanted = torch.cat([(targets.boxes[..., :2] + corners) / cells, targets.boxes[..., 2:]], dim=2)
        quality = mine * iou[..., None]  # (N, S * S, B)
        roots = torch.cat([wanted[..., :2], wanted[..., 2:].sqrt()], dim=2)[:, :, None].expand_as(boxes)
    centres = (boxes[..., :2] + corners[:, None]) / cells
    fit = generalised_overlap(torch.cat([centres, boxes[..., 2:] ** 2], dim=3), wanted[:, :, None])
    error = F.smooth_l1_loss(
        16 * torch.cat([centres, boxes[..., 2:]], dim=3), 16 * roots, reduction="none", beta=0.5
    )
    focus = (quality - confidence.sigmoid()).abs().detach() ** 1.5 * (mine + empty)
    sure = F.binary_cross_entropy_with_logits(confidence, quality, reduction="none")
    named = F.cross_entropy(classes.transpose(1, 2), targets.classes, reduction="none")  # (N, S * S)
    terms = {
        "overlap": 2.0 * ((1 - fit) * mine).sum() / held,
        "coordinates": 0.25 * (error.sum(dim=3) * mine).sum() / held,
        "confidence": 2.0 * (focus * sure).sum() / held,
        "class": 2.0 * (named * targets.holds).sum() / held,
    }
    return {"loss": torch.stack(list(terms.values())).sum(), **terms}

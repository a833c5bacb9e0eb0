"""What the output layers of Darknet networks mean: boxes, scores and classes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rolo_bench.nn.detect.darknet_file import Section
from rolo_bench.nn.detect.torch_detector import cell_corners


def decode_yolo(x: Tensor, section: Section, side: int) -> tuple[Tensor, Tensor]:
    """``[yolo]`` (v3): ``(B, A (5 + C), h, w)`` to boxes ``(B, N, 4)`` in network pixels and scores ``(B, N, C)``."""
    stretch = float(section.options.get("scale_x_y", "1"))
    t, cells, anchors = split_anchors(x, section)
    stride = side / x.shape[-1]
    centre = t[..., :2].sigmoid() * stretch - (stretch - 1) / 2 + cells
    boxes = torch.cat([centre * stride, t[..., 2:4].exp() * anchors], dim=2)
    return boxes, t[..., 4:5].sigmoid() * t[..., 5:].sigmoid()


def decode_region(x: Tensor, section: Section, side: int) -> tuple[Tensor, Tensor]:
    """``[region]`` (v2): as `decode_yolo`, anchors in cells, classes through a softmax where the cfg says so."""
    t, cells, anchors = split_anchors(x, section)
    stride = side / x.shape[-1]
    boxes = torch.cat([t[..., :2].sigmoid() + cells, t[..., 2:4].exp() * anchors], dim=2) * stride
    classes = t[..., 5:].softmax(dim=2) if section.number("softmax", 0) else t[..., 5:].sigmoid()
    return boxes, t[..., 4:5].sigmoid() * classes


def split_anchors(x: Tensor, section: Section) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions ``(B, N, 5 + C)`` with their cell (column, row) ``(N, 2)`` and anchor ``(N, 2)``; N = A h w."""
    b, _, h, w = x.shape
    anchors, classes = torch.tensor(used_anchors(section), device=x.device), section.number("classes", 20)
    a = len(anchors)
    t = x.reshape(b, a, 5 + classes, h, w).permute(0, 1, 3, 4, 2).reshape(b, a * h * w, 5 + classes)
    cells = cell_corners(w, h, x.device).repeat(a, 1)  # (A h w, 2)
    return t, cells, anchors.repeat_interleave(h * w, dim=0)


def used_anchors(section: Section) -> list[tuple[float, float]]:
    """Width and height of the anchors that a layer predicts from: those of its mask, else all.

    Raises:
        WeightsError: the values are no pairs, or the mask names others.
    """
    values = section.numbers("anchors")
    pairs = list(zip(values[::2], values[1::2]))
    if len(values) % 2:
        raise section.error(f"{len(values)} anchor values are no pairs")
    mask = section.numbers("mask") if "mask" in section.options else range(len(pairs))
    if not mask or not all(0 <= m < len(pairs) for m in mask):
        raise section.error(f"mask {section.options.get('mask')} does not fit {len(pairs)} anchors")
    return [pairs[int(m)] for m in mask]


def decode_detection(x: Tensor, section: Section, side: int) -> tuple[Tensor, Tensor]:
    """``[detection]`` (v1): class scores of all cells, then confidences, then boxes.

    Source: Darknet ``get_detection_detections``; score = confidence times class score.
    """
    s, n, classes = section.number("side", 7), section.number("num", 1), section.number("classes", 1)
    b, places = len(x), s * s
    by_cell = x[:, : places * classes].reshape(b, places, 1, classes)
    if section.number("softmax", 0):
        by_cell = by_cell.softmax(dim=3)
    confidence = x[:, places * classes : places * (classes + n)].reshape(b, places, n, 1)
    t = x[:, places * (classes + n) :].reshape(b, places, n, 4)
    cells = cell_corners(s, s, x.device)[:, None]  # (S * S, 1, 2)
    extent = t[..., 2:] ** 2 if section.number("sqrt", 0) else t[..., 2:]
    boxes = torch.cat([(t[..., :2] + cells) / s, extent], dim=3) * side
    return boxes.reshape(b, -1, 4), (confidence * by_cell).reshape(b, -1, classes)


DECODERS = {"yolo": decode_yolo, "region": decode_region, "detection": decode_detection}


def check_head(section: Section, shape: tuple[int, ...]) -> None:
    """Demand that the layer before a detection layer gives what the latter splits."""
    classes = section.number("classes", 20)
    if section.kind == "detection":
        side, n = section.number("side", 7), section.number("num", 1)
        wanted, given = side * side * (classes + 5 * n), int(np.prod(shape))
        if section.number("coords", 4) != 4:
            raise section.error("only 4 coordinates are supported")
    else:
        wanted, given = len(used_anchors(section)) * (classes + 5), shape[0]
    if wanted != given:
        raise section.error(f"needs {wanted} channels or values, the layer before gives {given}")

"""What rolo-plus sees: a square crop around the expected place, through the detector's network.

One pass gives both the detector's boxes (all of them, however weak) and its feature maps, for the correlation
filter and for the appearance of each box.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.boxes import Array, iou
from rolo_bench.detection import Detector
from rolo_bench.nn.detect.yolox import YOLOX, decode, rows
from rolo_bench.sequence import Image

CELL = 8  # network pixels per cell of the maps; YOLOX's dark3 (backbone) and p3 (neck) have it
FILL = (114, 114, 114)  # what YOLOX was trained to see beyond the border


@dataclass(frozen=True)
class View:
    """One look at a square crop.

    Attributes:
        centre: ``(2,)`` of the crop in image pixels.
        side: of the crop in image pixels.
        boxes: ``(A, 4)`` x, y, w, h in image pixels: every box of the network, without suppression.
        scores: ``(A,)`` of the best class.
        classes: ``(A, K)`` score of each class.
        maps: ``(C, n, n)`` features.
    """

    centre: Array
    side: float
    boxes: Array
    scores: Array
    classes: Array
    maps: Tensor

    @property
    def cells(self) -> float:
        """Cells of the maps per image pixel."""
        return float(self.maps.shape[-1] / self.side)

    def to_cells(self, points: Array) -> Array:
        """Points ``(…, 2)`` x, y in image pixels as column and row of the maps, 0 being the first cell's centre."""
        return (points - self.centre) * self.cells + self.maps.shape[-1] / 2 - 0.5

    def to_pixels(self, cells: Array) -> Array:
        """The inverse of `to_cells`."""
        return self.centre + (cells - self.maps.shape[-1] / 2 + 0.5) / self.cells


def crop(image: Image, centre: Array, side: float, size: int) -> Image:
    """The square of ``side`` pixels around ``centre``, scaled to ``size`` × ``size``; grey beyond the border."""
    scale = size / side
    if scale < 0.5:
        image = cv2.blur(image, (round(0.7 / scale),) * 2)  # type: ignore[assignment]
    shift = size / 2 - 0.5 - scale * (np.asarray(centre) - 0.5)
    move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(image, move, (size, size), flags=cv2.INTER_LINEAR, borderValue=FILL)  # type: ignore[return-value]


def look(detector: Detector, image: Image, centre: Array, side: float) -> View:
    """The detector's network on a crop of ``side`` pixels around ``centre``."""
    size = detector.size
    patch = crop(image, centre, side, size)
    with torch.inference_mode():
        x, network = detector.tensor([patch]), detector.network  # type: ignore[attr-defined]
        if isinstance(network, YOLOX):
            layers, levels = network.layers(x)
            box, objectness, scores = (rows(parts) for parts in zip(*levels))
            found = decode(box, size)[0]
            scores = (objectness.float().sigmoid() * scores.float().sigmoid())[0]  # (A, K)
            maps = torch.cat([layers[0][0].float(), layers[3][0].float()]).cpu()
        else:
            raw = network(x)
            found, scores, maps = raw.boxes[0], raw.scores[0], plain_maps(patch)
        boxes = found.double().cpu().numpy() * (side / size)
        classes = scores.double().reshape(len(boxes), -1).cpu().numpy()
    boxes[:, :2] += np.asarray(centre) - side / 2 - boxes[:, 2:] / 2
    return View(np.asarray(centre, dtype=np.float64), float(side), boxes, classes.max(axis=1), classes, maps)


def plain_maps(patch: Image) -> Tensor:
    """Colour and six orientations of gradients averaged in cells, ``(9, n, n)``.

    For detectors whose network has no fine feature maps (all but YOLOX).
    """
    pixels = patch.astype(np.float32) / 255
    gray = pixels.mean(axis=2)
    dx, dy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    size, angle = np.hypot(dx, dy), np.mod(np.arctan2(dy, dx), np.pi) / np.pi * 6
    bins = [size * np.clip(1 - np.abs(np.mod(angle - k + 3, 6) - 3), 0, None) for k in range(6)]
    n = patch.shape[0] // CELL
    stack = np.concatenate([pixels, np.stack(bins, axis=2)], axis=2)  # (S, S, 9)
    small = np.stack([cv2.resize(stack[:, :, k], (n, n), interpolation=cv2.INTER_AREA) for k in range(9)])
    return torch.from_numpy(small)


@dataclass(frozen=True)
class Basis:
    """How maps are made comparable: ``(C, 1)`` mean and scale, ``(P, C)`` main directions of the first frame."""

    mean: Tensor
    scale: Tensor
    directions: Tensor
    window: Tensor

    def standard(self, maps: Tensor) -> Tensor:
        """Maps ``(C, n, n)`` less the mean, each group of channels scaled to the same energy."""
        return ((maps.flatten(1) - self.mean) / self.scale).reshape(maps.shape)

    def project(self, maps: Tensor) -> Tensor:
        """Maps ``(P, n, n)`` along the main directions, faded out towards the border."""
        flat = self.standard(maps).flatten(1)  # (C, n * n)
        return (self.directions @ flat).reshape(-1, *maps.shape[1:]) * self.window


def learn_basis(maps: Tensor, channels: int, fade: float) -> Basis:
    """The basis from the first frame's maps ``(C, n, n)``.

    Args:
        maps: of the first crop; the two halves of their channels are scaled apart.
        channels: number of directions kept (principal components).
        fade: how far the border is faded out, 0 (not) … 1 (to zero).
    """
    flat = maps.flatten(1)
    count, n = len(flat), maps.shape[-1]
    mean = flat.mean(dim=1, keepdim=True)
    halves = [slice(0, count // 2), slice(count // 2, count)]
    scale = torch.cat([flat[h].std().clamp(min=1e-6).expand(len(flat[h]), 1) for h in halves])
    centred = (flat - mean) / scale
    _, vectors = torch.linalg.eigh(centred @ centred.T)
    hann = torch.hann_window(n + 2, periodic=False)[1:-1]
    window = (1 - fade) + fade * hann[:, None] * hann[None]
    return Basis(mean, scale, vectors[:, -min(channels, count) :].T.contiguous(), window)


def appearance(view: View, basis: Basis, boxes: Array, grid: int = 4) -> NDArray[np.float32]:
    """Unit vectors ``(N, C * grid²)``: the maps sampled on a lattice in each box."""
    n, maps = len(boxes), basis.standard(view.maps)
    steps = (np.arange(grid) + 0.5) / grid
    corner = view.centre - view.side / 2
    x = (boxes[:, :1] + boxes[:, 2:3] * steps - corner[0]) / view.side * 2 - 1  # (N, g)
    y = (boxes[:, 1:2] + boxes[:, 3:] * steps - corner[1]) / view.side * 2 - 1  # (N, g)
    lattice = np.stack(np.broadcast_arrays(x[:, None, :], y[:, :, None]), axis=-1)  # (N, g, g, 2)
    places = torch.from_numpy(lattice.reshape(1, n, grid * grid, 2).astype(np.float32))
    values = torch.nn.functional.grid_sample(maps[None], places, align_corners=False)[0]  # (C, N, g * g)
    vectors = values.permute(1, 0, 2).reshape(n, -1).numpy()
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)


def merge(boxes: Array, weights: Array, overlap: float, limit: int) -> tuple[NDArray[np.int64], Array, Array]:
    """Groups of boxes around the strongest, each averaged by weight.

    Returns:
        Index of the strongest box of each group ``(G,)``, the mean box ``(G, 4)``, the size of the group ``(G,)``.

    Source: weighted boxes fusion (Solovyev et al. 2021) in its greedy form.
    """
    order = np.argsort(-weights, kind="stable")
    left = np.ones(len(boxes), dtype=bool)
    kept: list[int] = []
    means: list[Array] = []
    counts: list[int] = []
    while left.any() and len(kept) < limit:
        best = int(order[int(np.argmax(left[order]))])
        group = left & (np.nan_to_num(iou(boxes, boxes[best])) > overlap)
        group[best] = True
        kept.append(best)
        means.append(np.average(boxes[group], axis=0, weights=weights[group]))
        counts.append(int(group.sum()))
        left &= ~group
    return np.array(kept, dtype=np.int64), np.array(means).reshape(-1, 4), np.array(counts, dtype=np.float64)

"""What rolo-plus sees: a square crop around the expected place, through the detector's network.

One pass gives both the detector's boxes (all of them, however weak) and its feature maps, for the correlation
filter and for the appearance of each box. Crops lie on a lattice and what they give is rounded, so that two runs
that differ in their last digits (another processor, another number of threads) see the same numbers again one
frame later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rolo_bench.boxes import Array, centers, iou_matrix
from rolo_bench.detection import Detector
from rolo_bench.nn.detect.yolox import YOLOX, decode, rows
from rolo_bench.nn.plus.evidence import around
from rolo_bench.sequence import Image

CELL = 8  # network pixels per cell of the maps; YOLOX's dark3 (backbone) and p3 (neck) have it
FILL = (114.0, 114.0, 114.0)  # what YOLOX was trained to see beyond the border
STRONGEST = 250  # boxes of the network that are kept
OCTAVE = 6  # sizes of crops from one size to twice that
STEPS = 20  # places of crops along a crop's side


@dataclass(frozen=True)
class Square(ABC):
    """A square crop of the image, read in ``count`` × ``count`` cells or pixels.

    Attributes:
        centre: ``(2,)`` of the crop in image pixels.
        side: of the crop in image pixels.
    """

    centre: Array
    side: float

    @property
    @abstractmethod
    def count(self) -> int:
        """Cells along a side."""

    @property
    def cells(self) -> float:
        """Cells per image pixel."""
        return self.count / self.side

    def to_cells(self, points: Array) -> Array:
        """Points ``(…, 2)`` x, y in image pixels as column and row, 0 being the first cell's centre."""
        return (points - self.centre) * self.cells + self.count / 2 - 0.5

    def to_pixels(self, cells: Array) -> Array:
        """The inverse of `to_cells`."""
        return self.centre + (cells - self.count / 2 + 0.5) / self.cells


@dataclass(frozen=True)
class View(Square):
    """One look at a square crop.

    Attributes:
        boxes: ``(A, 4)`` x, y, w, h in image pixels: the network's strongest boxes, without suppression.
        scores: ``(A,)`` of the best class.
        classes: ``(A, K)`` score of each class.
        maps: ``(C, n, n)`` features.
        deep: ``(D, m, m)`` coarser ones, which tell one target from another better.
    """

    boxes: Array
    scores: Array
    classes: Array
    maps: Tensor
    deep: Tensor

    @property
    def count(self) -> int:
        return int(self.maps.shape[-1])


def crop(image: Image, centre: Array, side: float, size: int, fill: tuple[float, ...] = FILL) -> Image:
    """The square of ``side`` pixels around ``centre``, scaled to ``size`` × ``size``; ``fill`` beyond the border."""
    scale = size / side
    if scale < 0.5:
        image = cv2.blur(image, (round(0.7 / scale),) * 2)  # type: ignore[assignment]
    shift = size / 2 - 0.5 - scale * (np.asarray(centre) - 0.5)
    move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(image, move, (size, size), flags=cv2.INTER_LINEAR, borderValue=fill)  # type: ignore[return-value]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: sums in one order, whatever the number of threads elsewhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def snapped(centre: Array, side: float) -> tuple[Array, float]:
    """The nearest centre and side of a crop on the lattice."""
    side = float(2.0 ** (round(OCTAVE * np.log2(side)) / OCTAVE))
    step = side / STEPS
    return np.round(np.asarray(centre, dtype=np.float64) / step) * step, side


def look(detector: Detector, image: Image, centre: Array, side: float) -> View:
    """The detector's network on a crop of about ``side`` pixels around ``centre``, on the lattice of `snapped`."""
    size = detector.size
    centre, side = snapped(centre, side)
    patch = crop(image, centre, side, size)
    with torch.inference_mode():
        x, network = detector.tensor([patch]), detector.network  # type: ignore[attr-defined]
        if isinstance(network, YOLOX):
            layers, levels = network.layers(x)
            box, objectness, scores = (rows(parts) for parts in zip(*levels))
            found = decode(box, size)[0]
            scores = (objectness.float().sigmoid() * scores.float().sigmoid())[0]  # (A, K)
            maps, deep = (torch.cat([layers[k][0], layers[k + 3][0]]) for k in (0, 1))
        else:
            raw = network(x)
            found, scores, maps = raw.boxes[0], raw.scores[0], plain_maps(patch)
            scores = scores.reshape(len(found), -1)
            deep = nn.functional.avg_pool2d(maps, 2)
        top = scores.amax(1).sort(descending=True, stable=True).indices[:STRONGEST]
        found = (found[top].double() * 64).round().cpu() / 64
        classes = rounded(scores[top]).double().numpy()
    boxes = found.numpy() * (side / size)
    boxes[:, :2] += centre - side / 2 - boxes[:, 2:] / 2
    return View(centre, side, boxes, classes.max(axis=1), classes, rounded(maps), rounded(deep))


def rounded(values: Tensor) -> Tensor:
    """To half precision and back, on the processor."""
    return values.half().float().cpu()


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
    values = sampled(basis.standard(view.maps), view.centre, view.side, boxes, grid)
    return unit(values.reshape(len(boxes), -1))


def sampled(maps: Tensor, centre: Array, side: float, boxes: Array, grid: int = 4) -> NDArray[np.float32]:
    """Maps ``(C, n, n)`` of a square of the image on a lattice in each box, ``(N, C, grid, grid)``."""
    n = len(boxes)
    steps = (np.arange(grid) + 0.5) / grid
    corner = centre - side / 2
    x = (boxes[:, :1] + boxes[:, 2:3] * steps - corner[0]) / side * 2 - 1  # (N, g)
    y = (boxes[:, 1:2] + boxes[:, 3:] * steps - corner[1]) / side * 2 - 1  # (N, g)
    lattice = np.stack(np.broadcast_arrays(x[:, None, :], y[:, :, None]), axis=-1)  # (N, g, g, 2)
    places = torch.from_numpy(lattice.reshape(1, n, grid * grid, 2).astype(np.float32))
    values = nn.functional.grid_sample(maps[None], places, align_corners=False)[0]  # (C, N, g * g)
    return values.permute(1, 0, 2).reshape(n, -1, grid, grid).numpy()


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors ``(N, D)`` of length 1."""
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)


def identity(view: View, mean: Tensor, boxes: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit vectors of the insides ``(N, D)`` and of the surroundings ``(N, 2 * D)`` of boxes, from the deep maps.

    Inside is the mean over the box, of backbone and neck alike; the surroundings are 2 × 2 means of the
    backbone's maps over 1.8 times the box.

    Args:
        view: a look.
        mean: ``(D, 1)`` of the first frame's deep maps.
        boxes: ``(N, 4)``.
    """
    maps = (view.deep.flatten(1) - mean).reshape(view.deep.shape)
    half = len(maps) // 2
    means = sampled(maps, view.centre, view.side, boxes).mean(axis=(2, 3))  # (N, D)
    inside = unit(np.hstack([unit(means[:, :half]), unit(means[:, half:])]))  # (N, D)
    wider = around(centers(boxes), 1.8 * boxes[:, 2:])
    wide = sampled(maps[:half], view.centre, view.side, wider)  # (N, D / 2, 4, 4)
    quarters = wide.reshape(len(boxes), half, 2, 2, 2, 2).mean(axis=(3, 5))
    return inside, unit(quarters.reshape(len(boxes), -1))


def likeness(looks: NDArray[np.float32], look: NDArray[np.float32]) -> Array:
    """Cosines ``(N,)`` of unit vectors ``(N, D)`` with one ``(D,)``, in an order of sums that no thread changes."""
    return (looks * look).sum(axis=1).astype(np.float64)


def merge(boxes: Array, weights: Array, overlap: float, limit: int) -> tuple[NDArray[np.int64], Array, Array]:
    """Groups of boxes around the strongest, each averaged by weight.

    Returns:
        Index of the strongest box of each group ``(G,)``, the mean box ``(G, 4)``, the size of the group ``(G,)``.

    Source: weighted boxes fusion (Solovyev et al. 2021) in its greedy form.
    """
    order = np.argsort(-weights, kind="stable")
    near = (iou_matrix(boxes, boxes) > overlap).T  # row: the boxes that overlap one
    weighted, share = boxes * weights[:, None], weights[:, None]
    left = np.ones(len(boxes), dtype=bool)
    kept: list[int] = []
    means: list[Array] = []
    counts: list[int] = []
    for best in order:
        if len(kept) == limit:
            break
        if not left[best]:
            continue
        group = left & near[best]
        group[best] = True
        kept.append(int(best))
        means.append(weighted[group].sum(axis=0) / share[group].sum(axis=0))
        counts.append(int(group.sum()))
        left &= ~group
    return np.array(kept, dtype=np.int64), np.array(means).reshape(-1, 4), np.array(counts, dtype=np.float64)

"""A Siamese network as the second detector of rolo-plus: it finds what looks like the target of the first frame.

Only NanoTrack's network is used. Where it looks and what becomes of its boxes is decided by the tracker and its judge.

Source: github.com/HonglinChu/SiamTrackers, NanoTrack v2 (Apache-2.0), whose two files are fetched on first use; crops
are cut and boxes read as there and in OpenCV's ``TrackerNano``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.nn.plus.evidence import around
from rolo_bench.nn.plus.view import crop, likeness, sampled, unit
from rolo_bench.sequence import Image

EXEMPLAR = 127  # side of the target of the first frame as the network reads it
INSTANCE = 255  # and of where it is sought
STRIDE = 16  # pixels of the latter between two of the places at which it gives a box
CLOSER = 0.8  # of what is shown of that place, for a second look
CONTEXT = 0.5  # of what the sides of the target add up to: what is shown beyond each side


class Siamese:
    """The network, and what it was shown first.

    Args:
        backbone, head: its two ONNX files.
    """

    def __init__(self, backbone: Path, head: Path) -> None:
        self.backbone, self.head = (cv2.dnn.readNetFromONNX(str(p)) for p in (backbone, head))

    def start(self, image: Image, centre: Array, size: Array) -> None:
        """Take the target of the first frame, by its centre ``(2,)`` and its size ``(2,)`` in pixels."""
        self.fill = tuple(float(v) for v in image.mean(axis=(0, 1)))
        self.head.setInput(self._features(image, centre, square(size), EXEMPLAR), "input1")
        self._see(image, centre, square(size) * INSTANCE / EXEMPLAR)
        self.mean = self.seen.mean(dim=(1, 2), keepdim=True)
        self.look, self.inside = self._looks(around(centre, size)[None])

    def search(self, image: Image, centre: Array, size: Array) -> tuple[Array, Array]:
        """Boxes ``(256, 4)`` about a place that may show the target, and the score of each ``(256,)``, 0 … 1.

        Scores are rounded to thousandths and boxes to a 64th of the network's pixels.
        """
        side = square(size)
        self._see(image, centre, side * INSTANCE / EXEMPLAR)
        return self._found(self.seen.numpy()[None], centre, side)

    def closer(self, image: Image, centre: Array, size: Array) -> tuple[Array, Array]:
        """As `search` with a closer look, which measures boxes better and sees less around them."""
        side = CLOSER * square(size)
        return self._found(self._features(image, centre, side * INSTANCE / EXEMPLAR, INSTANCE), centre, side)

    def likeness(self, boxes: Array) -> Array:
        """Cosines of boxes ``(N, 4)`` with the first frame's ``(N, 2)``: features place by place, and their mean.

        Read from what the last `search` saw.
        """
        looks, insides = self._looks(boxes)
        return np.stack([likeness(looks, self.look[0]), likeness(insides, self.inside[0])], axis=1)

    def _found(self, features: NDArray[np.float32], centre: Array, side: float) -> tuple[Array, Array]:
        """Boxes ``(256, 4)`` and scores ``(256,)`` from features ``(1, C, n, n)`` of a place."""
        self.head.setInput(features, "input2")
        marks, edges = self.head.forward(["output1", "output2"])  # (1, 2, 16, 16), (1, 4, 16, 16)
        other, target = marks[0].astype(np.float64)
        n = len(other)
        left, top, right, bottom = np.round(edges[0].astype(np.float64) * 64) / 64
        x, y = np.meshgrid(*[(np.arange(n) - n // 2) * STRIDE] * 2)
        boxes = np.stack([x - left, y - top, left + right, top + bottom], axis=-1).reshape(-1, 4)
        boxes *= side / EXEMPLAR
        boxes[:, :2] += centre
        return boxes, np.round(1 / (1 + np.exp(other - target)), 3).reshape(-1)

    def _see(self, image: Image, centre: Array, side: float) -> None:
        """Keep the features ``(C, n, n)`` of a square, and the centre and side of what they cover.

        As boxes are read, cell ``n // 2`` lies at the centre.
        """
        self.seen = torch.from_numpy(self._features(image, centre, side, INSTANCE)[0])
        cell = STRIDE * side / INSTANCE
        self.covered = centre - cell / 2, cell * self.seen.shape[-1]

    def _looks(self, boxes: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unit vectors of boxes ``(N, 4)``: place by place, and their mean."""
        with torch.inference_mode():
            values = sampled(self.seen - self.mean, *self.covered, boxes)  # (N, C, 4, 4)
        return unit(values.reshape(len(boxes), -1)), unit(values.mean(axis=(2, 3)))

    def _features(self, image: Image, centre: Array, side: float, size: int) -> NDArray[np.float32]:
        patch = crop(image, centre, side, size, self.fill)
        self.backbone.setInput(
            np.ascontiguousarray(patch[:, :, ::-1].transpose(2, 0, 1)[None], dtype=np.float32)
        )
        features: Any = self.backbone.forward()
        return features.copy()


def square(size: Array) -> float:
    """Side in pixels of what is shown of a target of a size ``(2,)``, a pixel at least."""
    return max(float(np.sqrt((size + CONTEXT * size.sum()).prod())), 1.0)

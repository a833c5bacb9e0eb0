"""What a detection is, and the contract of a detector; no torch here.

A detector takes RGB uint8 images and gives, per image, boxes, scores, classes and one feature vector of the
whole image; on request also the feature maps behind them, for region features of candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.errors import UsageError
from rolo_bench.sequence import Image

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FeatureMap:
    """One feature map of one image.

    Attributes:
        name: the layer, for instance ``p3`` or ``layer57``.
        values: ``(C, h, w)`` float32 on the detector's device.
        stride: network pixels per cell.
        scale: network pixels per image pixel, along x and y. The centre of cell (row i, column j) lies at
            image pixel ``x = (j + 0.5) * stride / scale[0]``, ``y = (i + 0.5) * stride / scale[1]``.
    """

    name: str
    values: Tensor
    stride: float
    scale: tuple[float, float]


@dataclass(frozen=True)
class Detections:
    """What a detector found in one image, after non-maximum suppression, best score first.

    Attributes:
        boxes: ``(D, 4)`` float64 x, y, w, h in pixels of the image, not cut to it.
        scores: ``(D,)`` float32 in 0 … 1, falling.
        classes: ``(D,)`` int64 indices into ``names``.
        names: the class names of the detector.
        feature: ``(F,)`` float32, the whole image.
        maps: feature maps, empty unless the detector was made with ``keep_maps``.
    """

    boxes: Array
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    feature: NDArray[np.float32]
    maps: tuple[FeatureMap, ...] = field(default=(), repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.boxes)

    def map(self, name: str) -> FeatureMap:
        """The feature map of that name.

        Raises:
            UsageError: it was not kept.
        """
        for kept in self.maps:
            if kept.name == name:
                return kept
        have = ", ".join(m.name for m in self.maps) or "none; make the detector with keep_maps=True"
        raise UsageError(f"no feature map {name!r} was kept (kept: {have})")


@runtime_checkable
class Detector(Protocol):
    """What every detector is; ``identity`` names everything that its output depends on."""

    name: str
    classes: tuple[str, ...]
    feature_size: int
    size: int
    identity: str

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """Detections of each RGB uint8 image ``(H, W, 3)``, in order."""

"""What a detection is, and the contract of a detector; no torch here.

A detector takes RGB uint8 images and gives, per image, boxes, scores, classes and one feature vector of the
whole image; on request also what each box looks like, and the feature maps behind all that.
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
        appearance: ``(D, L)`` float16, what each box looks like: vectors of length 1 whose product is near 1 for
            the same object and near 0 for others; None unless the detector was made with ``appearance``.
    """

    boxes: Array
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    feature: NDArray[np.float32]
    maps: tuple[FeatureMap, ...] = field(default=(), repr=False, compare=False)
    appearance: NDArray[np.float16] | None = field(default=None, repr=False, compare=False)

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


@runtime_checkable
class Describer(Protocol):
    """A detector that can also say what boxes look like which it did not find."""

    def describe(self, image: Image, boxes: Array) -> NDArray[np.float16]:
        """Appearance ``(N, L)``, as in `Detections`, of boxes ``(N, 4)`` in pixels of an RGB uint8 image."""


def look_at(detector: Detector, image: Image, boxes: Array) -> NDArray[np.float16] | None:
    """Appearance ``(N, L)`` of boxes ``(N, 4)``, None of a detector that cannot tell."""
    if not getattr(detector, "appearance", False) or not isinstance(detector, Describer):
        return None
    return detector.describe(image, boxes)

"""OpenCV's CSRT tracker. Needs an OpenCV with contrib modules."""

from __future__ import annotations

from rolo_bench.boxes import Array
from rolo_bench.run.opencv import create, start, step
from rolo_bench.sequence import Image


class CSRT:
    """OpenCV's CSRT: discriminative correlation filter with channel and spatial reliability (Lukezic et al. 2017)."""

    def __init__(self) -> None:
        self.tracker = create("CSRT")

    def init(self, image: Image, box: Array) -> None:
        """Start OpenCV's tracker."""
        self.box = box
        start(self.tracker, image, box)

    def update(self, image: Image) -> Array:
        """OpenCV's box; the last one where it reports a loss."""
        found = step(self.tracker, image)
        if found is not None:
            self.box = found
        return self.box

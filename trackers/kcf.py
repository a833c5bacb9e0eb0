"""OpenCV's KCF tracker. Needs an OpenCV with contrib modules."""

from __future__ import annotations

from rolo_bench.boxes import Array
from rolo_bench.run.opencv import create, start, step
from rolo_bench.sequence import Image


class KCF:
    """OpenCV's KCF: kernelized correlation filter (Henriques et al. 2015)."""

    def __init__(self) -> None:
        self.tracker = create("KCF")

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

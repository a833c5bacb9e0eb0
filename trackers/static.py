"""Holds the first box: what any tracker must beat."""

from __future__ import annotations

from rolo_bench.boxes import Array
from rolo_bench.sequence import Image


class Static:
    """Holds the first box."""

    def init(self, image: Image, box: Array) -> None:
        """Remember the box."""
        self.box = box

    def update(self, image: Image) -> Array:
        """The remembered box."""
        return self.box

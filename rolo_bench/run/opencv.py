"""OpenCV's own trackers behind the tracker contract."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.errors import TrackerError
from rolo_bench.sequence import Image


def opencv_tracker(name: str, about: str) -> type:
    """A tracker class around OpenCV's tracker of that name, such as ``CSRT``, with ``about`` as its docstring."""

    class OpenCV:
        __doc__ = about

        def __init__(self) -> None:
            self.tracker = create(name)

        def init(self, image: Image, box: Array) -> None:
            """Start OpenCV's tracker, which wants BGR images and whole pixels."""
            self.box = box
            x, y, w, h = (int(v) for v in np.round(box))
            self.tracker.init(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (x, y, max(w, 1), max(h, 1)))

        def update(self, image: Image) -> Array:
            """OpenCV's box; the last one where it reports a loss."""
            found, box = self.tracker.update(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            if found:
                self.box = np.asarray(box, dtype=np.float64)
            return self.box

    return OpenCV


def create(name: str) -> Any:
    """An OpenCV tracker, from the main or the legacy module.

    Raises:
        TrackerError: the installed OpenCV does not have it.
    """
    for module in (cv2, getattr(cv2, "legacy", None)):
        factory = getattr(module, f"Tracker{name}_create", None)
        if factory is not None:
            return factory()
    raise TrackerError(
        f"OpenCV {cv2.__version__} as installed has no {name} tracker; it comes with the contrib modules: "
        "pip uninstall opencv-python && pip install opencv-contrib-python"
    )

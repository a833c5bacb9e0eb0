"""OpenCV's own trackers behind the tracker contract."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.errors import TrackerError
from rolo_bench.sequence import Image


def create(name: str) -> Any:
    """An OpenCV tracker such as ``CSRT``, from the main or the legacy module.

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


def start(tracker: Any, image: Image, box: Array) -> None:
    """Start an OpenCV tracker, which wants BGR images and whole pixels."""
    x, y, w, h = (int(v) for v in np.round(box))
    tracker.init(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (x, y, max(w, 1), max(h, 1)))


def step(tracker: Any, image: Image) -> Array | None:
    """The box on the next image, or None where OpenCV reports a loss."""
    found, box = tracker.update(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return np.asarray(box, dtype=np.float64) if found else None

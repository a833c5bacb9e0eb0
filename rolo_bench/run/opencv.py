"""OpenCV's own trackers behind the tracker contract."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cv2
import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.errors import TrackerError
from rolo_bench.sequence import Image


class OpenCVTracker:
    """Any tracker of OpenCV, made by ``create`` for each sequence.

    Args:
        create: makes OpenCV's tracker.
        least: the smallest side and the smallest area of a first box, in pixels, that it can start with.
    """

    def __init__(self, create: Callable[[], Any], least: tuple[int, int] = (1, 1)) -> None:
        self.tracker = create()
        self.least = least

    def init(self, image: Image, box: Array) -> None:
        """Start OpenCV's tracker, which wants BGR images and whole pixels.

        Raises:
            TrackerError: the box is too small for it.
        """
        self.box = box
        x, y, w, h = (int(v) for v in np.round(box))
        w, h = max(w, 1), max(h, 1)
        side, area = self.least
        if min(w, h) < side or w * h < area:
            raise TrackerError(
                f"the first box is {w} × {h} pixels; this tracker needs sides of {side} and an area of {area}"
            )
        self.tracker.init(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (x, y, w, h))

    def update(self, image: Image) -> Array | tuple[Array, float]:
        """OpenCV's box, the last one where it reports a loss; with its score, of a tracker that has one."""
        found, box = self.tracker.update(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if found:
            self.box = np.asarray(box, dtype=np.float64)
        score = getattr(self.tracker, "getTrackingScore", None)  # Nano and Vit
        return self.box if score is None else (self.box, float(score()))


def opencv_tracker(name: str, about: str, least: tuple[int, int] = (1, 1)) -> type:
    """A tracker class around OpenCV's tracker of that name, such as ``CSRT``, with ``about`` as its docstring."""

    class OpenCV(OpenCVTracker):
        __doc__ = about
        unavailable = "" if factory(name) else lacking(name)

        def __init__(self) -> None:
            super().__init__(lambda: create(name), least)

    return OpenCV


def factory(name: str) -> Callable[..., Any] | None:
    """What makes an OpenCV tracker, from the main or the legacy module; None where neither has it."""
    modules = (cv2, getattr(cv2, "legacy", None))
    return next((f for m in modules if (f := getattr(m, f"Tracker{name}_create", None))), None)


def lacking(name: str) -> str:
    """What to say of a tracker that the installed OpenCV does not have.

    The contrib package holds all of the plain one and lies in the same folder; laid over another release the two mix.
    """
    try:
        release = f"=={version('opencv-python')}"
    except PackageNotFoundError:
        release = ""
    said = f"OpenCV {cv2.__version__} as installed has no {name} tracker; it comes with the contrib modules"
    return f"{said}: pip install opencv-contrib-python{release}"


def create(name: str, **files: str) -> Any:
    """An OpenCV tracker; ``files`` are fields of its parameters, the files of a network.

    Raises:
        TrackerError: the installed OpenCV does not have it, or cannot read the files.
    """
    make = factory(name)
    if make is None:
        raise TrackerError(lacking(name))
    if not files:
        return make()
    parameters = getattr(cv2, f"Tracker{name}_Params")()
    for field, path in files.items():
        setattr(parameters, field, path)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_ERROR
    )  # some versions warn of their own defaults
    try:
        return make(parameters)
    except cv2.error as error:
        listed = ", ".join(files.values())
        raise TrackerError(f"OpenCV cannot read {listed} ({str(error).splitlines()[0][:80]})") from None
    finally:
        cv2.utils.logging.setLogLevel(level)

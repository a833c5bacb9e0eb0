"""Making a detector by name, from a plugin file, and with stored detections."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.detection import Detections, Detector
from rolo_bench.errors import RoloBenchError, TrackerError, UsageError, did_you_mean
from rolo_bench.folders import cache_folder, shared_folder
from rolo_bench.nn.detect.cache import SHARED, STORED, Cached, Shared
from rolo_bench.nn.detect.options import THRESHOLD, DetectorOptions
from rolo_bench.run.code import Source, read_code
from rolo_bench.run.plugins import import_file, own_classes
from rolo_bench.run.worker import guarded
from rolo_bench.sequence import Image

# The built-in detectors, and the module beside this one whose ``load(name, options)`` makes each.
DETECTORS: dict[str, str] = {
    **dict.fromkeys(("yolox-nano", "yolox-tiny", "yolox-s", "yolox-m", "yolox-l", "yolox-x"), "yolox_load"),
    "yolo-nano-voc": "darknet_load",
    **dict.fromkeys(("yolov1", "yolov1-small", "yolov1-tiny", "demo"), "yolov1_load"),
}
LONGEST_LOOK = 1.01  # of a vector of length 1 in float16


@lru_cache(maxsize=4)
def open_detector(name: str, *, cache: str | bool | None = None, **options: Any) -> Detector:
    """A detector for a tracker, loaded once per process and set of options.

    As `load_detector`; ``cache`` is a folder where detections are kept between runs, True for the default one
    (``detections`` in the cache folder), None for none. Frames per second measured with a cache are those of
    reading, not of detecting. With None, trackers of a run that shares detections share those of built-in
    detectors, and speeds are of detecting; False is for a tracker that wants the detector itself.
    """
    wanted = DetectorOptions.of(options)
    least = THRESHOLD if wanted.threshold is None else wanted.threshold
    together = shared_folder() if cache is None and name in DETECTORS and not wanted.keep_maps else None
    if together is not None:
        return Shared(make_detector(name, replace(wanted, threshold=min(least, SHARED))), together, least)
    # one store serves all thresholds of a built-in detector; a plugin's may mean something else
    shared = bool(cache) and name in DETECTORS
    low = replace(wanted, threshold=min(least, STORED))
    detector = make_detector(name, low if shared else wanted)
    if not cache:
        return detector
    if cache is True:
        cache = str(cache_folder("detections"))
    return Cached(detector, cache, least if shared else 0.0)


def load_detector(name: str, **options: Any) -> Detector:
    """A detector by name, by path to a plugin file (``.py``), or by path to a Darknet ``.cfg``.

    Args:
        name: one of `DETECTORS`; ``./mine.py``; or ``net.cfg`` with its ``weights``.
        options: those of `DetectorOptions`.

    Raises:
        UsageError: unknown name, device or option.
        WeightsError: the weights are missing, damaged or of another network.
        TrackerError: a plugin file fails, or making its detector does.
    """
    return make_detector(name, DetectorOptions.of(options))


def make_detector(name: str, options: DetectorOptions) -> Detector:
    """As `load_detector`, of options in one piece."""
    path = Path(name)
    if path.suffix == ".py":
        return load_plugin(path, options)
    module = "darknet_load" if path.suffix == ".cfg" else DETECTORS.get(name)
    if module is None:  # as written or not at all: the name is a part of what results depend on
        more = "a plugin file ./mine.py or a Darknet net.cfg"
        raise UsageError(f"unknown detector {name!r}{did_you_mean(name, DETECTORS, more)}")
    return importlib.import_module(f"rolo_bench.nn.detect.{module}").load(name, options)


def size_for(name: str, side: int) -> int | None:
    """A side of the input for a built-in detector whose network takes any; None where it has its own."""
    return side if DETECTORS.get(name) in ("yolox_load", "darknet_load") else None


def load_plugin(path: Path, options: DetectorOptions) -> Detector:
    """The detector of a plugin file: its one class with ``__call__``, made with the options that the user set.

    Raises:
        UsageError: no such file, no or several such classes, an option that its constructor does not name, or
            an attribute of `Detector` that is missing.
        TrackerError: the file itself fails, or making the detector does.
    """
    made = plugin_class(path)
    with guarded(f"{path}: options of detector {made.__name__} cannot be read"):
        taken = inspect.signature(made).parameters
    given = options.given()
    if "appearance" not in taken:  # asked of whoever can
        given.pop("appearance", None)
    if "vote" not in taken and given.get("vote") == 1:  # none, as it is
        given.pop("vote")
    refused = [k for k in given if k not in taken]
    if refused and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        raise UsageError(
            f"{path}: detector {made.__name__} has no option {refused[0]!r}{did_you_mean(refused[0], taken)}"
        )
    with guarded(f"{path}: detector {made.__name__} cannot be made", RoloBenchError):
        detector = made(**given)
        missing = [a for a in Detector.__annotations__ if not hasattr(detector, a)]
    if missing:
        raise UsageError(f"{path}: detector {made.__name__} has no attribute {missing[0]!r}")
    code = read_code(Source(path.resolve(), folder=path.resolve().parent)).digest
    return Checked(detector, f"{path}: detector {made.__name__}", code)


def plugin_class(path: Path) -> type[Any]:
    """The one public class with ``__call__`` of a plugin file; raises as `load_plugin`."""
    if not path.is_file():
        raise UsageError(f"{path}: no such detector plugin file")
    classes = [c for c in own_classes(import_file(path), "__call__") if "__call__" in vars(c)]
    if len(classes) != 1:
        raise UsageError(f"{path}: needs exactly one class with __call__, found {len(classes)}")
    return classes[0]


class Checked:
    """A plugin's detector, whose every answer is held to what `Detections` says.

    Its identity also holds the digest of its code, so that detections stored before an edit are not taken for new ones.

    Raises:
        TrackerError: an answer that is not so; the message names the plugin's file.
    """

    def __init__(self, detector: Any, where: str, code: str) -> None:
        self.detector, self.where = detector, where
        self.identity = f"{detector.identity}:code={code[:16]}"
        self.appearance = bool(getattr(detector, "appearance", False)) and hasattr(detector, "describe")
        self.length: int | None = None  # of appearances, once there is one

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["detector"], name)

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """Detections of each image, as arrays of the right kinds."""
        with guarded(self.where):
            answer = self.detector(images)
            if not isinstance(answer, (list, tuple)) or len(answer) != len(images):
                raise TrackerError(f"gave no list of {len(images)} Detections, one an image")
            return [self._checked(found) for found in answer]

    def describe(self, image: Image, boxes: Array) -> NDArray[np.float16]:
        """As of the detector."""
        with guarded(self.where):
            return self._looks(self.detector.describe(image, boxes), len(boxes))

    def _checked(self, found: Detections) -> Detections:
        boxes = np.asarray(found.boxes, dtype=np.float64)
        scores = np.asarray(found.scores, dtype=np.float32)
        classes = np.asarray(found.classes, dtype=np.int64)
        feature = np.asarray(found.feature, dtype=np.float32)
        count, fault = len(boxes), ""
        if boxes.shape != (count, 4) or not scores.shape == classes.shape == (count,):
            fault = f"boxes {boxes.shape}, scores {scores.shape}, classes {classes.shape} are not (D, 4), (D,), (D,)"
        elif not np.isfinite(boxes).all() or (boxes[:, 2:] < 0).any():
            fault = "a box is not finite or has a negative side"
        elif not ((scores >= 0) & (scores <= 1)).all() or (np.diff(scores) > 0).any():
            fault = "scores must lie in 0 … 1 and fall, the best first"
        elif not ((classes >= 0) & (classes < len(self.classes))).all():
            fault = f"a class is none of the {len(self.classes)} in `classes`"
        elif feature.shape != (self.feature_size,) or not np.isfinite(feature).all():
            fault = f"the feature is not {self.feature_size} finite values, as `feature_size` says"
        if fault:
            raise TrackerError(fault)
        looks = found.appearance if self.appearance else None
        if looks is not None:
            looks = self._looks(looks, count)
        return replace(found, boxes=boxes, scores=scores, classes=classes, feature=feature, appearance=looks)

    def _looks(self, looks: Any, count: int) -> NDArray[np.float16]:
        values = np.asarray(looks, dtype=np.float16)
        if values.ndim != 2 or len(values) != count or (count and self.length not in (None, values.shape[1])):
            raise TrackerError(
                f"appearance has the shape {values.shape}, not ({count}, {self.length or 'L'})"
            )
        if not (
            np.linalg.norm(values.astype(np.float32), axis=1) <= LONGEST_LOOK
        ).all():  # NaN is refused, too
            raise TrackerError("appearance must be finite vectors of length 1")
        self.length = values.shape[1] if count else self.length
        return values

"""Making a detector by name, from a plugin file, and with stored detections."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rolo_bench.detection import Detector
from rolo_bench.errors import RoloBenchError, UsageError
from rolo_bench.folders import cache_folder
from rolo_bench.nn.detect.cache import STORED, Cached
from rolo_bench.nn.detect.options import THRESHOLD, DetectorOptions
from rolo_bench.run.plugins import import_file, own_classes
from rolo_bench.run.worker import guarded

# The built-in detectors, and the module beside this one whose ``load(name, options)`` makes each.
DETECTORS: dict[str, str] = {
    **dict.fromkeys(("yolox-nano", "yolox-tiny", "yolox-s", "yolox-m", "yolox-l", "yolox-x"), "yolox_load"),
    "yolo-nano-voc": "darknet_load",
    **dict.fromkeys(("yolov1", "yolov1-small", "yolov1-tiny", "demo"), "yolov1_load"),
}


@lru_cache(maxsize=4)
def open_detector(name: str, *, cache: str | bool | None = None, **options: Any) -> Detector:
    """A detector for a tracker, loaded once per process and set of options.

    As `load_detector`; ``cache`` is a folder where detections are kept between runs, True for the default one
    (``detections`` in the cache folder), None for none. Frames per second measured with a cache are those of
    reading, not of detecting.
    """
    wanted = DetectorOptions.of(options)
    least = THRESHOLD if wanted.threshold is None else wanted.threshold
    # one store serves all thresholds of a built-in detector; a plugin's may mean something else
    shared = bool(cache) and name in DETECTORS
    detector = make_detector(name, replace(wanted, threshold=min(least, STORED)) if shared else wanted)
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
    if module is None:
        raise UsageError(
            f"unknown detector {name!r}; known: {', '.join(DETECTORS)}, a plugin file ./mine.py or a Darknet net.cfg"
        )
    return importlib.import_module(f"rolo_bench.nn.detect.{module}").load(name, options)


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
    refused = [k for k in given if k not in taken]
    if refused and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        raise UsageError(f"{path}: detector {made.__name__} has no option {refused[0]!r}")
    with guarded(f"{path}: detector {made.__name__} cannot be made", RoloBenchError):
        detector = made(**given)
        missing = [a for a in Detector.__annotations__ if not hasattr(detector, a)]
    if missing:
        raise UsageError(f"{path}: detector {made.__name__} has no attribute {missing[0]!r}")
    return detector


def plugin_class(path: Path) -> type[Any]:
    """The one public class with ``__call__`` of a plugin file; raises as `load_plugin`."""
    if not path.is_file():
        raise UsageError(f"{path}: no such detector plugin file")
    classes = [c for c in own_classes(import_file(path), "__call__") if "__call__" in vars(c)]
    if len(classes) != 1:
        raise UsageError(f"{path}: needs exactly one class with __call__, found {len(classes)}")
    return classes[0]

"""Making a detector by name, from a plugin file, and with stored detections."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rolo_bench.detection import Detector
from rolo_bench.errors import RoloBenchError, UsageError, WeightsError
from rolo_bench.nn.detect.cache import STORED, Cached


@lru_cache(maxsize=4)
def open_detector(
    name: str,
    *,
    size: int | None = None,
    threshold: float | None = None,
    nms: float | None = None,
    agnostic: bool = False,
    device: str = "cpu",
    half: bool = False,
    weights: str | None = None,
    cache: str | bool | None = None,
    keep_maps: bool | tuple[str, ...] = (),
) -> Detector:
    """A detector for a tracker, loaded once per process and set of options.

    Options as in `rolo_bench.nn.detect.registry.load_detector`; ``cache`` is a folder where detections are kept
    between runs, True for the default one (``detections`` in the cache folder), None for none. Frames per
    second measured with a cache are those of reading, not of detecting.
    """
    # one store serves all thresholds of a built-in detector; a plugin's may mean something else
    shared = bool(cache) and name in DETECTORS
    least = 0.1 if threshold is None else threshold
    detector = load_detector(
        name,
        size=size,
        threshold=min(least, STORED) if shared else threshold,
        nms=nms,
        agnostic=agnostic,
        device=device,
        half=half,
        weights=weights,
        keep_maps=keep_maps,
    )
    if not cache:
        return detector
    if cache is True:
        from rolo_bench.fetch.weights import cache_folder

        cache = str(cache_folder().parent / "detections")
    return Cached(detector, cache, least if shared else 0.0)


# Where each built-in detector is made: a function load(name, **options) -> Detector.
DETECTORS: dict[str, str] = {
    "yolox-nano": "rolo_bench.nn.detect.yolox_load:load",
    "yolox-tiny": "rolo_bench.nn.detect.yolox_load:load",
    "yolox-s": "rolo_bench.nn.detect.yolox_load:load",
    "yolox-m": "rolo_bench.nn.detect.yolox_load:load",
    "yolox-l": "rolo_bench.nn.detect.yolox_load:load",
    "yolox-x": "rolo_bench.nn.detect.yolox_load:load",
    "yolo-nano-voc": "rolo_bench.nn.detect.darknet_load:load",
    "yolov1": "rolo_bench.nn.detect.yolov1_load:load",
    "yolov1-small": "rolo_bench.nn.detect.yolov1_load:load",
    "yolov1-tiny": "rolo_bench.nn.detect.yolov1_load:load",
    "demo": "rolo_bench.nn.detect.yolov1_load:load",
}


def load_detector(
    name: str,
    *,
    size: int | None = None,
    threshold: float | None = None,
    nms: float | None = None,
    agnostic: bool = False,
    device: str = "cpu",
    half: bool = False,
    weights: str | Path | None = None,
    keep_maps: bool | Sequence[str] = (),
) -> Detector:
    """A detector by name, by path to a plugin file (``.py``), or by path to a Darknet ``.cfg``.

    Args:
        name: one of `DETECTORS`; ``./mine.py``; or ``net.cfg`` with its ``weights``.
        size: side of the square network input in pixels, a multiple of 32; the network's own by default.
        threshold: least score of a detection; 0.1 by default. Trackers that want many candidates use 0.01.
        nms: IoU above which the weaker of two boxes goes; 0.45 by default.
        agnostic: suppress across classes, too.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        half: float16 on CUDA, bfloat16 on a processor.
        weights: a file to use in place of the registry's.
        keep_maps: True for all feature maps or names of those to hand out in `Detections.maps`.

    Raises:
        UsageError: unknown name, device or option.
        WeightsError: the weights are missing, damaged or of another network.
    """
    options: dict[str, Any] = {
        "size": size,
        "threshold": threshold,
        "nms": nms,
        "agnostic": agnostic,
        "device": device,
        "half": half,
        "weights": weights,
        "keep_maps": keep_maps,
    }
    _check_options(options)
    path = Path(name)
    if path.suffix == ".py":
        return load_plugin(path, options)
    if path.suffix == ".cfg":
        from rolo_bench.nn.detect.darknet_load import load as load_darknet

        return load_darknet(name, **options)
    if name not in DETECTORS:
        raise UsageError(
            f"unknown detector {name!r}; known: {', '.join(DETECTORS)}, a plugin file ./mine.py or a Darknet net.cfg"
        )
    module, _, function = DETECTORS[name].partition(":")
    return getattr(importlib.import_module(module), function)(name, **options)


def _check_options(options: dict[str, Any]) -> None:
    size, threshold, nms = options["size"], options["threshold"], options["nms"]
    if size is not None and (size < 32 or size % 32):
        raise UsageError(f"detector size must be a multiple of 32, not {size}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"detector threshold must lie in 0 … 1, not {threshold}")
    if nms is not None and not 0 <= nms <= 1:
        raise UsageError(f"detector nms must lie in 0 … 1, not {nms}")


def load_plugin(path: Path, options: dict[str, Any]) -> Detector:
    """The detector of a plugin file: its one class with ``__call__`` and ``feature_size``.

    The class gets those options that its constructor names; an option that the user set and the class does
    not know is an error.

    Raises:
        UsageError: no such file, no or several such classes, or an option it does not take.
        WeightsError: the file itself fails.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such detector plugin file")
    spec = importlib.util.spec_from_file_location(f"rolo_bench_detector_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise WeightsError(f"{path}: the detector plugin fails on import: {error!r}") from error
    classes = [
        c
        for c in vars(module).values()
        if inspect.isclass(c)
        and c.__module__ == module.__name__
        and callable(getattr(c, "__call__", None))  # noqa: B004
        and not c.__name__.startswith("_")
        and "__call__" in dir(c)
        and "__call__" in vars(c)
    ]
    if len(classes) != 1:
        raise UsageError(f"{path}: needs exactly one class with __call__, found {len(classes)}")
    taken = inspect.signature(classes[0]).parameters
    any_name = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values())
    given = {k: v for k, v in options.items() if v not in (None, False, ()) and (k, v) != ("device", "cpu")}
    refused = [k for k in given if k not in taken and not any_name]
    if refused:
        raise UsageError(f"{path}: detector {classes[0].__name__} has no option {refused[0]!r}")
    try:
        detector: Any = classes[0](**given)
    except RoloBenchError:
        raise
    except Exception as error:
        raise WeightsError(f"{path}: making the detector fails: {error!r}") from error
    missing = [a for a in ("name", "classes", "feature_size", "size", "identity") if not hasattr(detector, a)]
    if missing:
        raise UsageError(f"{path}: detector {classes[0].__name__} has no attribute {missing[0]!r}")
    return detector

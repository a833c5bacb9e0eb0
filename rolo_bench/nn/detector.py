"""The contract of a detector, and what all torch detectors share.

A detector takes RGB uint8 images and gives, per image, boxes, scores, classes and one feature vector
of the whole image; on request also the feature maps behind them, for region features of candidates:

    detector = load_detector("yolox-nano", size=416, threshold=0.01, keep_maps=True)
    found = detector([image])[0]
    found.boxes, found.scores, found.classes          # best score first
    grid = pool_regions(found.map("p3"), found.boxes, 4)   # (D, C, 4, 4): one patch of features per box

Determinism: the same image, options, machine and number of threads give the same bytes. An image in a batch
with others, another processor or another number of threads may differ in the last digits (about 1e-5).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.boxes import Array
from rolo_bench.errors import RoloBenchError, UsageError, WeightsError

Image = NDArray[np.uint8]
CODE = 1  # raised when the same weights and options would give other detections

# Where each built-in detector is made: a function load(name, **options) -> Detector.
DETECTORS: dict[str, str] = {
    "yolox-nano": "rolo_bench.nn.yolox:load",
    "yolox-tiny": "rolo_bench.nn.yolox:load",
    "yolox-s": "rolo_bench.nn.yolox:load",
    "yolox-m": "rolo_bench.nn.yolox:load",
    "yolox-l": "rolo_bench.nn.yolox:load",
    "yolox-x": "rolo_bench.nn.yolox:load",
    "yolo-nano-voc": "rolo_bench.nn.darknet:load",
    "yolov1": "rolo_bench.nn.yolov1:load",
    "yolov1-small": "rolo_bench.nn.yolov1:load",
    "yolov1-tiny": "rolo_bench.nn.yolov1:load",
    "demo": "rolo_bench.nn.yolov1:load",
}


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
    """

    boxes: Array
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    feature: NDArray[np.float32]
    maps: tuple[FeatureMap, ...] = field(default=(), repr=False, compare=False)

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


@dataclass(frozen=True)
class Raw:
    """A network's answer for a batch of B images, in network pixels, before thresholds.

    Attributes:
        boxes: ``(B, N, 4)`` centre x, centre y, width, height.
        scores: ``(B, N, C)`` score of each class, objectness included; or ``(B, N)``, of the best class.
        feature: ``(B, F)``.
        maps: name to ``(B, C, h, w)``.
        classes: ``(B, N)`` index of the best class, where ``scores`` is ``(B, N)``.
    """

    boxes: Tensor
    scores: Tensor
    feature: Tensor
    maps: dict[str, Tensor] = field(default_factory=dict)
    classes: Tensor | None = None


@dataclass(frozen=True)
class Preparation:
    """How an image becomes network input.

    Attributes:
        fit: ``letterbox`` (shape kept, top-left, rest filled) or ``stretch`` (both sides to ``size``).
        order: channel order the network was trained with, ``rgb`` or ``bgr``.
        divisor: pixel values are divided by it.
        fill: value of the empty part, 0 … 255.
    """

    fit: str = "letterbox"
    order: str = "rgb"
    divisor: float = 255.0
    fill: int = 114


def fitting_scale(shape: tuple[int, int], size: int, fit: str) -> tuple[float, float]:
    """Network pixels per image pixel along x and y, for an image of ``shape`` (height, width)."""
    height, width = shape
    if fit == "stretch":
        return size / width, size / height
    ratio = min(size / height, size / width)
    return ratio, ratio


def prepare(image: Image, size: int, how: Preparation) -> Image:
    """An RGB image ``(H, W, 3)`` as the network's uint8 input ``(size, size, 3)``, channels in its order.

    Source: YOLOX ``preproc`` (bilinear, top-left, 114) for letterbox; Darknet ``resize`` for stretch.
    """
    height, width = image.shape[:2]
    if how.fit == "stretch":
        fitted = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
        return cv2.cvtColor(fitted, cv2.COLOR_RGB2BGR) if how.order == "bgr" else fitted  # type: ignore[return-value]
    ratio = min(size / height, size / width)
    w, h = max(int(width * ratio), 1), max(int(height * ratio), 1)
    fitted = image if (w, h) == (width, height) else cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    canvas = np.full((size, size, 3), how.fill, dtype=np.uint8)
    canvas[:h, :w] = cv2.cvtColor(fitted, cv2.COLOR_RGB2BGR) if how.order == "bgr" else fitted
    return canvas


def suppress(boxes: Tensor, scores: Tensor, classes: Tensor | None, overlap: float) -> Tensor:
    """Greedy non-maximum suppression: indices ``(K,)`` of the boxes kept, best score first.

    A box goes when a kept one with a higher score (of the same class, if ``classes`` is given) overlaps it by
    IoU > ``overlap``. Equal scores keep the order of the input. All pairs are compared at once; the sweep
    over the pair table then settles in as many steps as the longest chain of boxes, usually two or three.

    Args:
        boxes: ``(N, 4)`` left, top, right, bottom.
        scores: ``(N,)``.
        classes: ``(N,)`` or None for one common class.
        overlap: IoU in 0 … 1.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    if len(order) < 2:
        return order
    b = boxes[order].float()
    area = (b[:, 2] - b[:, 0]).clamp(min=0) * (b[:, 3] - b[:, 1]).clamp(min=0)
    corner_low = torch.maximum(b[:, None, :2], b[None, :, :2])  # (N, N, 2)
    corner_high = torch.minimum(b[:, None, 2:], b[None, :, 2:])  # (N, N, 2)
    inter = (corner_high - corner_low).clamp(min=0).prod(dim=2)  # (N, N)
    hits = inter > overlap * (area[:, None] + area[None, :] - inter)
    if classes is not None:
        c = classes[order]
        hits &= c[:, None] == c[None, :]
    hits = hits.triu(diagonal=1).float()  # row suppresses column
    kept = torch.ones(len(order), device=b.device)
    while True:
        settled = ((kept @ hits) == 0).float()
        if torch.equal(settled, kept):
            return order[kept.bool()]
        kept = settled


def select(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor | None = None,
    *,
    threshold: float,
    nms: float,
    agnostic: bool,
    limit: int = 1000,
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and classes of one image after threshold and suppression, best first.

    Each candidate counts once, with its best class. Of more than ``limit`` candidates the best are taken.

    Args:
        boxes: ``(N, 4)`` centre x, centre y, width, height.
        scores: ``(N, C)``, or ``(N,)`` with ``classes`` ``(N,)`` where the best class is already known.
    """
    best, classes = scores.max(dim=1) if classes is None else (scores, classes)
    index = torch.nonzero(best >= threshold).squeeze(1)
    if len(index) > limit:
        index = index[torch.topk(best[index], limit).indices]
    b, s, c = boxes[index].float(), best[index].float(), classes[index]
    corners = torch.cat([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], dim=1)
    kept = suppress(corners, s, None if agnostic else c, nms)
    return corners[kept], s[kept], c[kept]


class TorchDetector:
    """A network with its preparation, thresholds and classes: the detector that all built-in ones are.

    Attributes:
        network: maps ``(B, 3, size, size)`` to `Raw`; ``prepare``, ``size`` and classes belong to it.
        strides: map name to stride, the maps that can be kept.
        keep_maps: names of the maps to hand out.
    """

    def __init__(
        self,
        *,
        name: str,
        network: Callable[[Tensor], Raw],
        classes: tuple[str, ...],
        size: int,
        feature_size: int,
        weights_digest: str,
        preparation: Preparation,
        threshold: float,
        nms: float,
        agnostic: bool,
        device: torch.device,
        dtype: torch.dtype,
        strides: dict[str, float] | None = None,
        keep_maps: bool | Sequence[str] = (),
    ) -> None:
        self.name, self.classes, self.size, self.feature_size = name, classes, size, feature_size
        self.threshold, self.nms, self.agnostic = threshold, nms, agnostic
        self.network, self.preparation = network, preparation
        self.device, self.dtype = device, dtype
        self.strides = dict(strides or {})
        self.keep_maps = tuple(self.strides) if keep_maps is True else tuple(keep_maps or ())
        unknown = [m for m in self.keep_maps if m not in self.strides]
        if unknown:
            raise UsageError(f"{name} has no feature map {unknown[0]!r}; it has {', '.join(self.strides)}")
        precision = str(dtype).removeprefix("torch.")
        self.identity = (
            f"{name}:{weights_digest[:16]}:size={size}:threshold={threshold:g}:nms={nms:g}"
            f":agnostic={int(agnostic)}:{preparation.fit}:{precision}:{device.type}:code={CODE}"
        )

    def tensor(self, images: Sequence[Image]) -> Tensor:
        """Images as the network's input ``(B, 3, size, size)``, channels last in memory."""
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise UsageError(
                    f"{self.name}: an image must be RGB uint8 (H, W, 3), not {image.dtype} {image.shape}"
                )
        batch = np.stack([prepare(image, self.size, self.preparation) for image in images])  # (B, S, S, 3)
        x = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2).to(self.dtype)
        return x if self.preparation.divisor == 1 else x / self.preparation.divisor

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """Detections of each RGB uint8 image ``(H, W, 3)``, in order.

        Raises:
            UsageError: an image of another type or shape.
        """
        if not len(images):
            return []
        with torch.inference_mode():
            raw = self.network(self.tensor(images))
            return [self._one(raw, i, image.shape[:2]) for i, image in enumerate(images)]

    def _one(self, raw: Raw, i: int, shape: tuple[int, int]) -> Detections:
        scale = fitting_scale(shape, self.size, self.preparation.fit)
        corners, scores, classes = select(
            raw.boxes[i],
            raw.scores[i],
            None if raw.classes is None else raw.classes[i],
            threshold=self.threshold,
            nms=self.nms,
            agnostic=self.agnostic,
        )
        boxes = corners.cpu().numpy().astype(np.float64) / np.array([*scale, *scale])
        boxes[:, 2:] -= boxes[:, :2]
        return Detections(
            boxes=boxes,
            scores=scores.cpu().numpy(),
            classes=classes.cpu().numpy(),
            names=self.classes,
            feature=raw.feature[i].float().cpu().numpy().copy(),
            maps=tuple(FeatureMap(m, raw.maps[m][i].float(), self.strides[m], scale) for m in self.keep_maps),
        )


def pool_regions(feature_map: FeatureMap, boxes: Array, grid: int = 4) -> Tensor:
    """Features of boxes: the map sampled bilinearly on a ``grid`` × ``grid`` lattice in each box.

    Args:
        feature_map: from `Detections.map`.
        boxes: ``(N, 4)`` x, y, w, h in image pixels; parts outside the image read as the border.
        grid: samples per side, each in the middle of its cell.

    Returns:
        ``(N, C, grid, grid)`` float32 on the map's device.

    Source: RoI align (He et al. 2017) with one sample per bin.
    """
    values = feature_map.values
    channels, height, width = values.shape
    b = torch.as_tensor(np.asarray(boxes, dtype=np.float64).reshape(-1, 4), dtype=torch.float32).to(
        values.device
    )
    steps = (torch.arange(grid, dtype=torch.float32, device=values.device) + 0.5) / grid  # (g,)
    x = (b[:, :1] + b[:, 2:3] * steps) * feature_map.scale[0] / feature_map.stride / width * 2 - 1  # (N, g)
    y = (b[:, 1:2] + b[:, 3:] * steps) * feature_map.scale[1] / feature_map.stride / height * 2 - 1  # (N, g)
    n = len(b)
    lattice = torch.stack([x[:, None, :].expand(n, grid, grid), y[:, :, None].expand(n, grid, grid)], dim=3)
    sampled = torch.nn.functional.grid_sample(
        values[None],
        lattice.reshape(1, n * grid, grid, 2),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )  # (1, C, N * g, g)
    return sampled[0].reshape(channels, n, grid, grid).permute(1, 0, 2, 3)


def pick_device(device: str, half: bool) -> tuple[torch.device, torch.dtype]:
    """Device and precision; ``half`` is float16 on CUDA and bfloat16 on a processor.

    Raises:
        UsageError: the device is not there.
    """
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f"unknown device {device!r}; use cpu, cuda or cuda:N") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {device!r} is not available on this machine; use cpu")
    if not half:
        return chosen, torch.float32
    return chosen, torch.float16 if chosen.type == "cuda" else torch.bfloat16


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
        from rolo_bench.nn.darknet import load as load_darknet

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

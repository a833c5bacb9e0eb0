"""What all torch detectors share: preparation of images, thresholds, region features.

    detector = load_detector("yolox-nano", size=416, threshold=0.01, keep_maps=True)
    found = detector([image])[0]
    found.boxes, found.scores, found.classes          # best score first
    grid = pool_regions(found.map("p3"), found.boxes, 4)   # (D, C, 4, 4): one patch of features per box

Determinism: the same image, options, machine and number of threads give the same bytes. An image in a batch
with others, another processor or another number of threads may differ in the last digits (about 1e-5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rolo_bench.association import widened
from rolo_bench.boxes import Array
from rolo_bench.detection import Detections, FeatureMap, Image
from rolo_bench.errors import UsageError
from rolo_bench.nn.detect.fused import accelerate
from rolo_bench.nn.detect.options import NMS, THRESHOLD, DetectorOptions
from rolo_bench.nn.detect.suppress import select

LOOKS_CODE = 1  # raised when the same boxes would look otherwise
AROUND = 1.8  # sides of a box and what is around it, in those of the box
CODE = 1  # raised when the same weights and options would give other detections
FEATURE = 4096  # size that a pooled feature comes near to


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
    w, h = size, size
    if how.fit == "letterbox":
        ratio, _ = fitting_scale((height, width), size, how.fit)
        w, h = max(int(width * ratio), 1), max(int(height * ratio), 1)
    if (w, h) != (width, height):
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    if how.order == "bgr":
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)  # type: ignore[assignment]
    if (w, h) == (size, size):
        return image
    canvas = np.full((size, size, 3), how.fill, dtype=np.uint8)
    canvas[:h, :w] = image
    return canvas


class TorchDetector:
    """A network with its preparation, thresholds and classes: the detector that all built-in ones are.

    Attributes:
        network: maps ``(B, 3, size, size)`` to `Raw`; on the options' device and in their precision, and with its
            convolutions made fast where that is a processor in float32.
        strides: map name to stride, the maps that can be kept.
        keep_maps: names of the maps to hand out.
        appearance: whether it says what boxes look like; only where that was asked for and there are maps for it.

    Args:
        network: in evaluation mode, with its ``feature_size``.
        size: side of its input in pixels.
        weights_digest: SHA-256 that stands for its weights.
        preparation: how an image becomes its input.
        looks: names of the maps that appearance is read from, see `appearance_of`.
        vote: what it is where the options leave it open.
        fusible, method: for `rolo_bench.nn.detect.fused.accelerate`.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        options: DetectorOptions,
        *,
        classes: tuple[str, ...],
        size: int,
        weights_digest: str,
        preparation: Preparation,
        strides: dict[str, float],
        fusible: Callable[[nn.Module], tuple[nn.Conv2d, str] | None],
        method: str = "",
        looks: Sequence[str] = (),
        vote: float = 1.0,
    ) -> None:
        self.name, self.classes, self.size, self.preparation = name, classes, size, preparation
        self.feature_size: int = network.feature_size  # type: ignore[assignment]
        self.threshold = THRESHOLD if options.threshold is None else options.threshold
        self.nms = NMS if options.nms is None else options.nms
        self.vote = vote if options.vote is None else options.vote
        self.agnostic = options.agnostic
        self.device, self.dtype = pick_device(options.device, options.half)
        self.network = network.requires_grad_(False).to(self.device, self.dtype)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.device.type == "cpu" and self.dtype is torch.float32:
            values = torch.linspace(0, 255 / preparation.divisor, 3 * size * size)
            example = values.reshape(1, size, size, 3).permute(0, 3, 1, 2)
            self.network = accelerate(self.network, example, fusible, method)
        self.strides = strides
        self.keep_maps = tuple(strides) if options.keep_maps is True else tuple(options.keep_maps or ())
        unknown = [m for m in self.keep_maps if m not in self.strides]
        if unknown:
            raise UsageError(f"{name} has no feature map {unknown[0]!r}; it has {', '.join(self.strides)}")
        self.appearance = options.appearance and bool(looks)
        self.looks = tuple(looks) if self.appearance else ()
        self.weights_digest = weights_digest
        self.identity = self.identity_at(self.threshold)

    def identity_at(self, threshold: float) -> str:
        """What names everything that its output depends on, were this its threshold."""
        precision = str(self.dtype).removeprefix("torch.")
        return (
            f"{self.name}:{self.weights_digest[:16]}:size={self.size}:threshold={threshold:g}:nms={self.nms:g}"
            f":agnostic={int(self.agnostic)}:{self.preparation.fit}:{precision}:{self.device.type}:code={CODE}"
            + (f":vote={self.vote:g}" if self.vote < 1 else "")
            + (f":appearance={','.join(self.looks)}:{LOOKS_CODE}" if self.appearance else "")
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
        best = None if raw.classes is None else raw.classes[i]
        corners, scores, classes = select(
            raw.boxes[i], raw.scores[i], best, threshold=self.threshold, nms=self.nms, agnostic=self.agnostic,
            vote=self.vote,
        )  # fmt: skip
        boxes = corners.cpu().numpy().astype(np.float64) / np.array([*scale, *scale])
        boxes[:, 2:] -= boxes[:, :2]
        return Detections(
            boxes=boxes,
            scores=scores.cpu().numpy(),
            classes=classes.cpu().numpy(),
            names=self.classes,
            feature=raw.feature[i].float().cpu().numpy().copy(),
            maps=self._maps(raw, i, scale, self.keep_maps),
            appearance=appearance_of(self._maps(raw, i, scale, self.looks), boxes) if self.looks else None,
        )

    def _maps(
        self, raw: Raw, i: int, scale: tuple[float, float], names: Sequence[str]
    ) -> tuple[FeatureMap, ...]:
        return tuple(FeatureMap(m, raw.maps[m][i].float(), self.strides[m], scale) for m in names)

    def describe(self, image: Image, boxes: Array) -> NDArray[np.float16]:
        """Appearance ``(N, L)`` of boxes ``(N, 4)`` in pixels of an RGB uint8 image.

        Raises:
            UsageError: the detector was made without ``appearance``.
        """
        if not self.looks:
            raise UsageError(f"{self.name}: made without appearance")
        with torch.inference_mode():
            raw = self.network(self.tensor([image]))
            scale = fitting_scale(image.shape[:2], self.size, self.preparation.fit)
            return appearance_of(self._maps(raw, 0, scale, self.looks), boxes)


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
    b = torch.from_numpy(np.array(boxes, dtype=np.float32)).to(values.device).reshape(-1, 4)
    steps = (torch.arange(grid, dtype=torch.float32, device=values.device) + 0.5) / grid  # (g,)
    x = (b[:, :1] + b[:, 2:3] * steps) * feature_map.scale[0] / feature_map.stride / width * 2 - 1  # (N, g)
    y = (b[:, 1:2] + b[:, 3:] * steps) * feature_map.scale[1] / feature_map.stride / height * 2 - 1  # (N, g)
    n = len(b)
    lattice = torch.stack([x[:, None, :].expand(n, grid, grid), y[:, :, None].expand(n, grid, grid)], dim=3)
    lattice = lattice.reshape(1, n * grid, grid, 2)
    sampled = nn.functional.grid_sample(
        values[None], lattice, padding_mode="border", align_corners=False
    )  # (1, C, N * g, g)
    return sampled[0].reshape(channels, n, grid, grid).permute(1, 0, 2, 3)


def appearance_of(maps: Sequence[FeatureMap], boxes: Array) -> NDArray[np.float16]:
    """What boxes ``(N, 4)`` look like: ``(N, L)`` vectors of length 1, from feature maps of one image.

    The parts are the mean over the box of each map, and of the first one the four quarters of `AROUND` times the
    box; from all of them the map's mean over the image is taken out, each is brought to length 1, and they count
    alike. Two products of such vectors differ by less than 0.001 from those in float32.
    """
    parts = []
    for number, found in enumerate(maps):
        flat = replace(found, values=found.values - found.values.mean(dim=(1, 2), keepdim=True))
        parts.append(pool_regions(flat, boxes).mean(dim=(2, 3)))
        if not number:
            quarters = nn.functional.adaptive_avg_pool2d(pool_regions(flat, widened(boxes, AROUND)), 2)
            parts.append(quarters.flatten(1))
    together = torch.cat([nn.functional.normalize(p, dim=1) for p in parts], dim=1)  # (N, L)
    return (together / len(parts) ** 0.5).half().cpu().numpy()


def pick_device(device: str, half: bool) -> tuple[torch.device, torch.dtype]:
    """Device and precision; ``half`` is float16 on CUDA and bfloat16 on a processor.

    On CUDA convolutions are asked for in full precision, for the whole process: with torch's default, TF32, other
    boxes come out, and so other scores.

    Raises:
        UsageError: the device is not there.
    """
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f"unknown device {device!r}; use cpu, cuda or cuda:N") from None
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(f"device {device!r} is not available on this machine; use cpu")
        torch.backends.cudnn.allow_tf32 = False
    if not half:
        return chosen, torch.float32
    return chosen, torch.float16 if chosen.type == "cuda" else torch.bfloat16


def cell_corners(width: int, height: int, device: torch.device | None = None) -> Tensor:
    """Column and row of each cell ``(height * width, 2)`` of a map, row by row."""
    index = torch.arange(width * height, device=device)
    return torch.stack([index % width, index // width], dim=1).float()


def pooled_side(shape: tuple[int, ...], wanted: int = FEATURE) -> int:
    """Side of the grid that a map ``(C, h, w)`` is pooled to so that its size comes nearest to ``wanted``."""
    return min(range(1, min(shape[1:]) + 1), key=lambda g: abs(shape[0] * g * g - wanted))

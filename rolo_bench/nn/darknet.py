"""Darknet networks: a ``.cfg`` and a ``.weights`` file of the YOLO v1, v2 and v3 families as an ``nn.Module``.

What the file says is either built as Darknet runs it or refused with the layer named; every float of the
weights file must belong to a layer. Batch norm is folded into the convolution while reading.

Sources: Redmon's Darknet (``parser.c``, ``detection_layer.c``, ``region_layer.c``, ``yolo_layer.c``) for
formats and decoding. One deviation: batch norm divides by sqrt(variance + 1e-6), as OpenCV's importer
does; Darknet itself has sqrt(variance) + 1e-6 on a processor and sqrt(variance + 1e-5) on a GPU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rolo_bench.errors import WeightsError
from rolo_bench.nn.detector import Preparation, Raw, TorchDetector, pick_device
from rolo_bench.nn.fused import accelerate
from rolo_bench.weights import digest, obtain

BN_EPS = 1e-6
FEATURE = 4096  # size that the pooled feature comes near to
VOC = tuple(
    """aeroplane|bicycle|bird|boat|bottle|bus|car|cat|chair|cow|diningtable|dog|horse|motorbike|person|
pottedplant|sheep|sofa|train|tvmonitor""".replace("\n", "").split("|")
)
# Registered networks whose feature is not taken from the default layer (see `Darknet.feature_layer`).
FEATURE_LAYERS = {
    "yolo-nano-voc": 57
}  # the last shortcut of MobileNetV2: 80 channels, pooled to 7 x 7 = 3920

ACTIVATIONS = {
    "linear": lambda x: x,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "relu": F.relu,
    "relu6": F.relu6,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "elu": F.elu,
    "mish": F.mish,
    "swish": F.silu,
    "hardtan": F.hardtanh,
}
_TRAINING = {
    "jitter", "random", "ignore_thresh", "truth_thresh", "iou_thresh", "cls_normalizer", "iou_normalizer",
    "iou_loss", "nms_kind", "beta_nms", "obj_normalizer", "delta_normalizer", "iou_thresh_kind", "label_smooth_eps",
    "max_delta", "resize", "max", "focal_loss", "counters_per_class", "map", "thresh", "absolute", "bias_match",
    "object_scale", "noobject_scale", "class_scale", "coord_scale", "rescore", "mask_scale", "forced",
}  # fmt: skip
# Options of each layer that are understood; whatever else a cfg says is refused.
OPTIONS: dict[str, set[str]] = {
    "convolutional": {
        "filters", "size", "stride", "pad", "padding", "groups", "batch_normalize", "activation", "dilation",
        "stopbackward",
    },
    "connected": {"output", "activation", "batch_normalize"},
    "local": {"filters", "size", "stride", "pad", "activation"},
    "maxpool": {"size", "stride", "padding"},
    "avgpool": set(),
    "dropout": {"probability"},
    "cost": {"type"},
    "softmax": {"groups"},
    "route": {"layers", "groups", "group_id"},
    "reorg": {"stride"},
    "upsample": {"stride"},
    "shortcut": {"from", "activation"},
    "yolo": {"mask", "anchors", "classes", "num", "scale_x_y"} | _TRAINING,
    "region": {"anchors", "classes", "coords", "num", "softmax"} | _TRAINING,
    "detection": {"classes", "coords", "num", "side", "sqrt", "softmax"} | _TRAINING,
}  # fmt: skip
HEADS = ("yolo", "region", "detection")


@dataclass(frozen=True)
class Section:
    """One section of a cfg: kind, options as text, line, and index of the layer (-1 for ``[net]``)."""

    kind: str
    options: dict[str, str]
    line: int
    index: int
    source: str

    def error(self, what: str) -> WeightsError:
        """An error that names this layer."""
        return WeightsError(f"{self.source}: layer {self.index} [{self.kind}] (line {self.line}): {what}")

    def number(self, key: str, default: int | None = None) -> int:
        """An option as an integer."""
        text = self.options.get(key)
        if text is None:
            if default is None:
                raise self.error(f"option {key!r} is missing")
            return default
        try:
            return int(text)
        except ValueError:
            raise self.error(f"option {key}={text} is not an integer") from None

    def numbers(self, key: str) -> list[float]:
        """A comma-separated option."""
        try:
            return [float(v) for v in self.options[key].split(",") if v.strip()]
        except KeyError:
            raise self.error(f"option {key!r} is missing") from None
        except ValueError:
            raise self.error(f"option {key}={self.options[key]} is not a list of numbers") from None


def read_cfg(path: Path) -> list[Section]:
    """Sections of a cfg file; the first is ``[net]``.

    Raises:
        WeightsError: unreadable, a line that is no ``key=value``, an unknown layer or option.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not a readable Darknet cfg ({error.__class__.__name__})") from None
    sections: list[Section] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#")[0].split(";")[0].strip()
        if not line:
            continue
        if line.startswith("[") and line.endswith("]"):
            sections.append(Section(line[1:-1].strip().lower(), {}, number, len(sections) - 1, str(path)))
        elif "=" in line and sections:
            key, _, value = line.partition("=")
            sections[-1].options[key.strip()] = value.strip()
        else:
            raise WeightsError(
                f"{path}: line {number}: {raw.strip()[:60]!r} is neither a section nor key=value"
            )
    if not sections or sections[0].kind not in ("net", "network"):
        raise WeightsError(f"{path}: not a Darknet cfg, it does not start with [net]")
    for section in sections[1:]:
        if section.kind not in OPTIONS:
            raise section.error("unknown layer; this reader knows " + ", ".join(OPTIONS))
        unknown = set(section.options) - OPTIONS[section.kind]
        if unknown:
            raise section.error(f"unknown option {sorted(unknown)[0]!r}")
    return sections


class Floats:
    """The floats of a weights file, taken from front to back.

    Raises:
        WeightsError: the file has no header, is truncated, or holds values that are not finite.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if len(data) < 16:
            raise WeightsError(
                f"{path}: {len(data)} bytes, too short for a Darknet weights file; fetch it again"
            )
        major, minor, _ = (int(v) for v in np.frombuffer(data, "<i4", 3))
        if not (0 <= major < 1000 and 0 <= minor < 1000):
            raise WeightsError(f"{path}: no Darknet header (version {major}.{minor}); is it a weights file?")
        header = 20 if major * 10 + minor >= 2 else 16  # the count of images seen grew from 4 to 8 bytes
        if (len(data) - header) % 4:
            raise WeightsError(
                f"{path}: {len(data)} bytes are no whole number of floats; truncated, fetch it again"
            )
        self.path, self.values, self.at = path, np.frombuffer(data, "<f4", offset=header), 0

    def take(self, shape: tuple[int, ...], section: Section, part: str) -> Tensor:
        """The next floats in a shape."""
        count = int(np.prod(shape))
        if self.at + count > len(self.values):
            raise WeightsError(
                f"{self.path}: ends inside {part} of layer {section.index} [{section.kind}]: {count} floats needed, "
                f"{len(self.values) - self.at} left; truncated or of another network"
            )
        values: NDArray[np.float32] = self.values[self.at : self.at + count]
        if not np.isfinite(values).all():
            raise WeightsError(
                f"{self.path}: {part} of layer {section.index} [{section.kind}] holds values that are not finite; "
                "damaged or of another network"
            )
        self.at += count
        return torch.from_numpy(values.astype(np.float32).reshape(shape))

    def finish(self) -> None:
        """Demand that nothing is left."""
        left = len(self.values) - self.at
        if left:
            raise WeightsError(
                f"{self.path}: {left} of {len(self.values)} floats belong to no layer; weights of another network?"
            )


def take_norm(floats: Floats, section: Section, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scales, means and variances of a batch norm, each ``(n,)``."""
    scales, means, variances = (floats.take((n,), section, p) for p in ("scales", "means", "variances"))
    if (variances < 0).any():
        raise WeightsError(
            f"{floats.path}: negative variance in layer {section.index} [{section.kind}]; damaged or of another network"
        )
    return scales, means, variances


class Convolutional(nn.Module):
    """``[convolutional]``: padding, groups, dilation, batch norm, activation."""

    def __init__(self, section: Section, shape: tuple[int, ...]) -> None:
        super().__init__()
        o = section.number
        size, dilation = o("size", 1), o("dilation", 1)
        # Darknet: pad=1 means "same", size // 2; padding gives pixels.
        padding = size // 2 * dilation if o("pad", 0) else o("padding", 0)
        groups, filters = o("groups", 1), o("filters", 1)
        if shape[0] % groups or filters % groups:
            raise section.error(f"{groups} groups do not divide {shape[0]} channels into {filters}")
        self.norm = bool(o("batch_normalize", 0))
        self.conv = nn.Conv2d(shape[0], filters, size, o("stride", 1), padding, dilation, groups)
        self.section, self.act = section, activation(section, "logistic")

    def read(self, floats: Floats) -> None:
        """Take bias, batch norm and kernel from the file, in that order."""
        n = self.conv.out_channels
        bias = floats.take((n,), self.section, "biases")
        norm = take_norm(floats, self.section, n) if self.norm else None
        weight = floats.take(tuple(self.conv.weight.shape), self.section, "weights")
        if norm:
            scale = norm[0] / (norm[2] + BN_EPS).sqrt()
            bias, weight = bias - norm[1] * scale, weight * scale[:, None, None, None]
        self.conv.weight.copy_(weight)
        self.conv.bias.copy_(bias)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(x))


class Connected(nn.Module):
    """``[connected]``: every value in, in the order channel, row, column."""

    def __init__(self, section: Section, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.norm = bool(section.number("batch_normalize", 0))
        self.linear = nn.Linear(int(np.prod(shape)), section.number("output", 1))
        self.section, self.act = section, activation(section, "logistic")

    def read(self, floats: Floats) -> None:
        """Take bias, weights and batch norm, in that order."""
        n = self.linear.out_features
        bias = floats.take((n,), self.section, "biases")
        weight = floats.take(tuple(self.linear.weight.shape), self.section, "weights")
        if self.norm:
            scales, means, variances = take_norm(floats, self.section, n)
            scale = scales / (variances + BN_EPS).sqrt()
            bias, weight = bias - means * scale, weight * scale[:, None]
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.linear(x.flatten(1)))


class Local(nn.Module):
    """``[local]``: a convolution with a kernel of its own at each place."""

    def __init__(self, section: Section, shape: tuple[int, ...]) -> None:
        super().__init__()
        o = section.number
        self.size, self.stride, self.pad, n = o("size", 1), o("stride", 1), o("pad", 0), o("filters", 1)
        # Source: local_layer.c, local_out_height; pad is in pixels here.
        self.out = tuple((s - (1 if self.pad else self.size)) // self.stride + 1 for s in shape[1:])
        places = self.out[0] * self.out[1]
        self.weight = nn.Parameter(torch.zeros(places, n, shape[0] * self.size**2))
        self.bias = nn.Parameter(torch.zeros(n, places))
        self.section, self.act = section, activation(section, "logistic")

    def read(self, floats: Floats) -> None:
        """Take biases, then the kernels place by place."""
        self.bias.copy_(floats.take(tuple(self.bias.shape), self.section, "biases"))
        self.weight.copy_(floats.take(tuple(self.weight.shape), self.section, "weights"))

    def forward(self, x: Tensor) -> Tensor:
        columns = F.unfold(
            x, self.size, padding=1 if self.pad else 0, stride=self.stride
        )  # (B, C * k * k, L)
        y = torch.einsum("bkl,lnk->bnl", columns, self.weight) + self.bias
        return self.act(y.unflatten(2, self.out))  # (B, n, h, w)


class MaxPool(nn.Module):
    """``[maxpool]``: Darknet pads by size - 1 in all, the smaller half at the top left."""

    def __init__(self, section: Section, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.stride = section.number("stride", 1)
        self.size = section.number("size", self.stride)
        padding = section.number("padding", self.size - 1)
        low = padding // 2
        self.even = low if padding == 2 * low and low <= self.size // 2 else None
        self.pad = (low, padding - low, low, padding - low)

    def forward(self, x: Tensor) -> Tensor:
        if self.even is not None:
            return F.max_pool2d(x, self.size, self.stride, self.even)
        return F.max_pool2d(F.pad(x, self.pad, value=float("-inf")), self.size, self.stride)


class Reorg(nn.Module):
    """``[reorg]`` of YOLOv2, which is not a plain space-to-depth.

    Source: Darknet ``reorg_cpu`` with forward = 0: the input is read as if it had C / s^2 channels of
    size (h s, w s).
    """

    def __init__(self, section: Section, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.stride = section.number("stride", 1)
        c, h, w = shape
        if c % self.stride**2 or h % self.stride or w % self.stride:
            raise section.error(f"stride {self.stride} does not fit a map of {c} x {h} x {w}")

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        s = self.stride
        # value (k, j, i) of the output grid comes from channel k % (C/s^2), row j s + offset // s, ... in memory order
        y = x.contiguous().reshape(b, c // s**2, h, s, w, s)  # (B, C', h, dy, w, dx)
        y = y.permute(0, 3, 5, 1, 2, 4)  # (B, dy, dx, C', h, w)
        return y.reshape(b, c * s**2, h // s, w // s)


class Mix(nn.Module):
    """``[route]``: concatenation of earlier outputs, or one group of their channels."""

    def __init__(self, section: Section, sources: tuple[int, ...], shapes: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.sources, self.groups = sources, section.number("groups", 1)
        self.group = section.number("group_id", 0)
        if len({shapes[s][1:] for s in sources}) != 1:
            raise section.error("sizes differ: " + ", ".join(f"layer {s} {shapes[s]}" for s in sources))

    def forward(self, kept: dict[int, Tensor]) -> Tensor:
        parts = [kept[s] for s in self.sources]
        if self.groups > 1:
            parts = [p.chunk(self.groups, dim=1)[self.group] for p in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def activation(section: Section, default: str) -> Any:
    """The activation function of a layer."""
    name = section.options.get("activation", default)
    if name not in ACTIVATIONS:
        raise section.error(f"unknown activation {name!r}; this reader knows {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def relative(section: Section, text: str) -> int:
    """Index of the layer that a route or shortcut means."""
    try:
        value = int(text)
    except ValueError:
        raise section.error(f"{text!r} is not a layer number") from None
    index = section.index + value if value < 0 else value
    if not 0 <= index < section.index:
        raise section.error(f"layer {value} does not lie before it")
    return index


def decode_yolo(x: Tensor, section: Section, side: int) -> tuple[Tensor, Tensor]:
    """``[yolo]`` (v3): ``(B, A (5 + C), h, w)`` to boxes ``(B, N, 4)`` in network pixels and scores ``(B, N, C)``."""
    pairs = torch.tensor(section.numbers("anchors"), device=x.device).reshape(-1, 2)
    mask = [int(v) for v in section.numbers("mask")] if "mask" in section.options else list(range(len(pairs)))
    stretch = float(section.options.get("scale_x_y", "1"))
    t, cells, anchors = split_anchors(x, pairs[mask], section.number("classes", 20))
    stride = side / x.shape[-1]
    centre = t[..., :2].sigmoid() * stretch - (stretch - 1) / 2 + cells
    boxes = torch.cat([centre * stride, t[..., 2:4].exp() * anchors], dim=2)
    return boxes, t[..., 4:5].sigmoid() * t[..., 5:].sigmoid()


def decode_region(x: Tensor, section: Section, side: int) -> tuple[Tensor, Tensor]:
    """``[region]`` (v2): as `decode_yolo`, anchors in cells, classes through a softmax where the cfg says so."""
    pairs = torch.tensor(section.numbers("anchors"), device=x.device).reshape(-1, 2)
    t, cells, anchors = split_anchors(x, pairs, section.number("classes", 20))
    stride = side / x.shape[-1]
    boxes = torch.cat([t[..., :2].sigmoid() + cells, t[..., 2:4].exp() * anchors], dim=2) * stride
    classes = t[..., 5:].softmax(dim=2) if section.number("softmax", 0) else t[..., 5:].sigmoid()
    return boxes, t[..., 4:5].sigmoid() * classes


def split_anchors(x: Tensor, anchors: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions ``(B, N, 5 + C)`` with their cell (column, row) ``(N, 2)`` and anchor ``(N, 2)``; N = A h w."""
    b, _, h, w = x.shape
    a = len(anchors)
    t = x.reshape(b, a, 5 + classes, h, w).permute(0, 1, 3, 4, 2).reshape(b, a * h * w, 5 + classes)
    index = torch.arange(h * w, device=x.device)
    cells = torch.stack([index % w, index // w], dim=1).float().repeat(a, 1)  # (A h w, 2)
    return t, cells, anchors.repeat_interleave(h * w, dim=0)


def decode_detection(x: Tensor, section: Section, side: int) -> tuple[Tensor, Tensor]:
    """``[detection]`` (v1): class scores of all cells, then confidences, then boxes.

    Source: Darknet ``get_detection_detections``; score = confidence times class score.
    """
    s, n, classes = section.number("side", 7), section.number("num", 1), section.number("classes", 1)
    b, places = len(x), s * s
    by_cell = x[:, : places * classes].reshape(b, places, 1, classes)
    if section.number("softmax", 0):
        by_cell = by_cell.softmax(dim=3)
    confidence = x[:, places * classes : places * (classes + n)].reshape(b, places, n, 1)
    t = x[:, places * (classes + n) :].reshape(b, places, n, 4)
    index = torch.arange(places, device=x.device)
    cells = torch.stack([index % s, index // s], dim=1).float()[:, None]  # (S * S, 1, 2)
    extent = t[..., 2:] ** 2 if section.number("sqrt", 0) else t[..., 2:]
    boxes = torch.cat([(t[..., :2] + cells) / s, extent], dim=3) * side
    return boxes.reshape(b, -1, 4), (confidence * by_cell).reshape(b, -1, classes)


DECODERS = {"yolo": decode_yolo, "region": decode_region, "detection": decode_detection}


class Darknet(nn.Module):
    """The network of a cfg: ``(B, 3, side, side)`` RGB 0 … 1 to `Raw` in network pixels.

    Attributes:
        shapes: output shape of each layer without the batch.
        heads: indices of the detection layers.
        feature_layer: the layer the feature is pooled from; by default what goes into the last layer with
            weights before the first detection layer (YOLOv1: the 4096 values of the large connected layer).
    """

    def __init__(self, sections: Sequence[Section], side: int, feature_layer: int | None = None) -> None:
        super().__init__()
        net, self.sections, self.side = sections[0], list(sections[1:]), side
        channels = int(net.options.get("channels", "3"))
        if channels != 3:
            raise net.error(f"{channels} input channels; only RGB networks are supported")
        self.layers = nn.ModuleList()
        self.shapes: list[tuple[int, ...]] = []
        shape: tuple[int, ...] = (3, side, side)
        for section in self.sections:
            layer, shape = make_layer(section, shape, self.shapes, side)
            self.layers.append(layer)
            self.shapes.append(shape)
        self.heads = [s.index for s in self.sections if s.kind in HEADS]
        if not self.heads:
            raise WeightsError(
                f"{net.source}: has no [yolo], [region] or [detection] layer, so it is no detector"
            )
        counts = {self.sections[h].number("classes", 20) for h in self.heads}
        if len(counts) != 1:
            raise WeightsError(
                f"{net.source}: detection layers with different numbers of classes: {sorted(counts)}"
            )
        self.n_classes = counts.pop()
        self.feature_layer = self._default_feature() if feature_layer is None else feature_layer
        shape = self.shapes[self.feature_layer]
        self.grid = 0 if len(shape) == 1 else pooled_side(shape)
        self.feature_size = shape[0] * max(self.grid, 1) ** 2
        self.keep: set[int] = set()
        self._needed = {s for layer in self.layers for s in getattr(layer, "sources", ())} | {
            self.feature_layer
        }

    def _default_feature(self) -> int:
        before = [i for i in range(self.heads[0]) if hasattr(self.layers[i], "read")]
        index = before[-1] - 1
        while self.sections[index].kind == "dropout":
            index -= 1
        return index

    def head_inputs(self) -> list[int]:
        """For each detection layer with a map: the layer whose map its predictions are made from."""
        return [h - 2 for h in self.heads if h >= 2 and len(self.shapes[h - 2]) == 3]

    def read(self, path: Path) -> None:
        """Take all weights from a file.

        Raises:
            WeightsError: the file and the network do not match to the last float.
        """
        if not path.is_file():
            raise WeightsError(f"{path}: no such weight file")
        floats = Floats(path)
        with torch.no_grad():
            for layer in self.layers:
                if hasattr(layer, "read"):
                    layer.read(floats)  # type: ignore[operator]
        floats.finish()

    def outputs(self, x: Tensor) -> tuple[list[Tensor], dict[int, Tensor]]:
        """What goes into each detection layer, and the layers that are kept."""
        kept: dict[int, Tensor] = {}
        heads = []
        for index, (section, layer) in enumerate(zip(self.sections, self.layers)):
            if section.kind in HEADS:
                heads.append(x)
            elif section.kind in ("route", "shortcut"):
                x = layer(kept) if section.kind == "route" else layer(x, kept)
            else:
                x = layer(x)
            if index in self._needed or index in self.keep:
                kept[index] = x
        return heads, kept

    def forward(self, x: Tensor) -> Raw:
        heads, kept = self.outputs(x)
        parts = [
            DECODERS[self.sections[h].kind](t.float(), self.sections[h], self.side)
            for h, t in zip(self.heads, heads)
        ]
        feature = kept[self.feature_layer].float()
        if self.grid:
            feature = F.adaptive_avg_pool2d(feature, self.grid)
        return Raw(
            torch.cat([p[0] for p in parts], dim=1),
            torch.cat([p[1] for p in parts], dim=1),
            feature.flatten(1),
            {f"layer{i}": kept[i] for i in self.keep},
        )


class Shortcut(nn.Module):
    """``[shortcut]``: the sum with an earlier output."""

    def __init__(self, section: Section, source: int) -> None:
        super().__init__()
        self.sources, self.act = (source,), activation(section, "linear")

    def forward(self, x: Tensor, kept: dict[int, Tensor]) -> Tensor:
        return self.act(x + kept[self.sources[0]])


class Plain(nn.Module):
    """A layer without weights that is one function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def make_layer(
    section: Section, shape: tuple[int, ...], shapes: Sequence[tuple[int, ...]], side: int
) -> tuple[nn.Module, tuple[int, ...]]:
    """A layer and its output shape, from its input ``shape`` and those of all layers before."""
    kind = section.kind
    if len(shape) != 3 and kind in (
        "convolutional",
        "local",
        "maxpool",
        "reorg",
        "upsample",
        "avgpool",
        "yolo",
        "region",
    ):
        raise section.error(f"needs a map, but the layer before gives {shape[0]} values")
    if kind == "route":
        sources = tuple(
            relative(section, v) for v in section.options.get("layers", "").split(",") if v.strip()
        )
        if not sources:
            raise section.error("option 'layers' is missing")
        mix = Mix(section, sources, shapes)
        if any(shapes[s][0] % mix.groups for s in sources) or not 0 <= mix.group < mix.groups:
            raise section.error(f"group {mix.group} of {mix.groups} does not fit its sources")
        channels = sum(shapes[s][0] for s in sources) // mix.groups
        return mix, (channels, *shapes[sources[0]][1:])
    if kind == "shortcut":
        source = relative(section, section.options.get("from", ""))
        if shapes[source] != shape:
            raise section.error(
                f"layer {source} gives {shapes[source]}, the layer before {shape}; they must agree"
            )
        return Shortcut(section, source), shape
    if kind in HEADS:
        check_head(section, shape)
        return nn.Identity(), shape
    layer = _LAYERS[kind](section, shape)
    with torch.no_grad():
        try:
            return layer, tuple(layer(torch.zeros(1, *shape)).shape[1:])
        except RuntimeError as error:
            raise section.error(
                f"does not fit its input {shape}: {str(error).splitlines()[0][:90]}"
            ) from None


def _upsample(section: Section, shape: tuple[int, ...]) -> nn.Module:
    factor = float(section.number("stride", 2))
    return Plain(lambda x: F.interpolate(x, scale_factor=factor, mode="nearest"))


def _softmax(section: Section, shape: tuple[int, ...]) -> nn.Module:
    if section.number("groups", 1) != 1:
        raise section.error("softmax over groups is not supported")
    return Plain(lambda x: x.softmax(dim=1))


_LAYERS: dict[str, Any] = {
    "convolutional": Convolutional,
    "connected": Connected,
    "local": Local,
    "maxpool": MaxPool,
    "reorg": Reorg,
    "upsample": _upsample,
    "softmax": _softmax,
    "avgpool": lambda section, shape: Plain(lambda x: x.mean(dim=(2, 3))),
    "dropout": lambda section, shape: nn.Identity(),  # scaled while training, so nothing is left to do
    "cost": lambda section, shape: nn.Identity(),
}


def check_head(section: Section, shape: tuple[int, ...]) -> None:
    """Demand that the layer before a detection layer gives what the latter splits."""
    classes = section.number("classes", 20)
    if section.kind == "detection":
        side, n = section.number("side", 7), section.number("num", 1)
        wanted, given = side * side * (classes + 5 * n), int(np.prod(shape))
        if section.number("coords", 4) != 4:
            raise section.error("only 4 coordinates are supported")
    else:
        anchors = section.numbers("anchors")
        if len(anchors) % 2:
            raise section.error(f"{len(anchors)} anchor values are no pairs")
        mask = section.numbers("mask") if "mask" in section.options else list(range(len(anchors) // 2))
        if not mask or not all(0 <= m < len(anchors) // 2 for m in mask):
            raise section.error(
                f"mask {section.options.get('mask')} does not fit {len(anchors) // 2} anchors"
            )
        wanted, given = len(mask) * (classes + 5), shape[0]
    if wanted != given:
        raise section.error(f"needs {wanted} channels or values, the layer before gives {given}")


def pooled_side(shape: tuple[int, ...]) -> int:
    """Side of the grid a ``(C, h, w)`` map is pooled to so that the feature comes nearest to `FEATURE`."""
    sides = range(1, min(shape[1:]) + 1)
    return min(sides, key=lambda g: abs(shape[0] * g * g - FEATURE))


def build(name: str, cfg: Path, weights: Path, side: int | None = None) -> Darknet:
    """The network of a cfg with its weights, in evaluation mode.

    Raises:
        WeightsError: the cfg is not understood, or the weights do not match it.
    """
    sections = read_cfg(cfg)
    net = sections[0]
    width, height = net.number("width", 416), net.number("height", 416)
    if side is None and width != height:
        raise WeightsError(f"{cfg}: input of {width} x {height}; give size= for a square one")
    with torch.random.fork_rng(devices=[]):
        network = Darknet(sections, side or width, FEATURE_LAYERS.get(name)).eval()
    network.read(weights)
    return network.requires_grad_(False)


def class_names(n: int, cfg: Path) -> tuple[str, ...]:
    """Names of ``n`` classes: the ``.names`` file beside the cfg, else VOC for 20, COCO for 80, else numbers."""
    own = cfg.with_suffix(".names")
    if own.is_file():
        names = tuple(line.strip() for line in own.read_text().splitlines() if line.strip())
        if len(names) != n:
            raise WeightsError(f"{own}: {len(names)} names, the network has {n} classes")
        return names
    if n == 80:
        from rolo_bench.nn.yolox import CLASSES

        return CLASSES
    return VOC if n == 20 else tuple(f"class{i}" for i in range(n))


def fusible(module: nn.Module) -> tuple[nn.Conv2d, str] | None:
    """Convolution and activation of a module that can run as one kernel."""
    if isinstance(module, Convolutional):
        return module.conv, module.section.options.get("activation", "logistic")
    return None


def load(
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
) -> TorchDetector:
    """A Darknet detector: a registered name, or the path of a cfg with its ``weights`` (default: beside it).

    Options as in `rolo_bench.nn.detector.load_detector`. Maps are called ``layerN`` after the cfg's numbering;
    ``keep_maps=True`` hands out the feature's layer and those the predictions are made from
    (yolo-nano-voc: ``layer57`` and ``layer67`` at stride 32, ``layer77`` at stride 16).
    """
    if Path(name).suffix == ".cfg":
        cfg, path = Path(name), Path(weights) if weights is not None else Path(name).with_suffix(".weights")
    else:
        files = obtain(name)
        cfg, path = files[1], Path(weights) if weights is not None else files[0]
    network = build(name, cfg, path, size)
    place, dtype = pick_device(device, half)
    maps = {f"layer{i}": network.side / s[1] for i, s in enumerate(network.shapes) if len(s) == 3}
    if keep_maps is True:
        chosen = {network.feature_layer, *network.head_inputs()}
        keep_maps = tuple(f"layer{i}" for i in sorted(chosen) if f"layer{i}" in maps)
    network.keep = {int(m.removeprefix("layer")) for m in keep_maps or () if m in maps}
    network = network.to(place, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if place.type == "cpu" and dtype is torch.float32:
        example = torch.zeros(1, 3, network.side, network.side).to(memory_format=torch.channels_last)
        network = accelerate(network, example, fusible)  # type: ignore[assignment]
    return TorchDetector(
        name=Path(name).stem,
        network=network,
        classes=class_names(network.n_classes, cfg),
        size=network.side,
        feature_size=network.feature_size,
        weights_digest=hashlib.sha256(f"{digest(path)} {digest(cfg)}".encode()).hexdigest(),
        preparation=Preparation(fit="stretch", order="rgb", divisor=255.0),
        threshold=0.1 if threshold is None else threshold,
        nms=0.45 if nms is None else nms,
        agnostic=agnostic,
        device=place,
        dtype=dtype,
        strides=maps,
        keep_maps=keep_maps,
    )

"""Darknet networks: a ``.cfg`` and a ``.weights`` file of the YOLO v1, v2 and v3 families as an ``nn.Module``.

What the file says is either built as Darknet runs it or refused with the layer named; every float of the
weights file must belong to a layer. Batch norm is folded into the convolution while reading.

Sources: Redmon's Darknet (``parser.c``, ``detection_layer.c``, ``region_layer.c``, ``yolo_layer.c``) for
formats and decoding. One deviation: batch norm divides by sqrt(variance + 1e-6), as OpenCV's importer
does; Darknet itself has sqrt(variance) + 1e-6 on a processor and sqrt(variance + 1e-5) on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rolo_bench.errors import WeightsError
from rolo_bench.nn.detect.darknet_file import NORM_EPS, Floats, Section, take_norm
from rolo_bench.nn.detect.darknet_heads import DECODERS, check_head
from rolo_bench.nn.detect.torch_detector import Raw, pooled_side

ACTIVATIONS = {
    "linear": lambda x: x,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "ramp": lambda x: F.relu(x) + 0.1 * x,
    "relu": F.relu,
    "relu6": F.relu6,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "elu": F.elu,
    "mish": F.mish,
    "swish": F.silu,
    "hardtan": F.hardtanh,
}
# Layers whose input must be a map.
ON_MAPS = ("crop", "convolutional", "local", "maxpool", "reorg", "upsample", "avgpool", "yolo", "region")


class Crop(nn.Module):
    """``[crop]``: the middle of the input, and pixels of 0 … 1 as -1 … 1 unless ``noadjust`` says otherwise.

    Source: Darknet ``forward_crop_layer`` outside of training, where nothing is flipped, turned or coloured.
    """

    def __init__(self, section: Section, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.out = tuple(section.number(key, 1) for key in ("crop_height", "crop_width"))
        self.low = tuple((s - o) // 2 for s, o in zip(shape[1:], self.out))
        if min(self.out) < 1 or min(self.low) < 0:
            raise section.error(f"{self.out[1]} x {self.out[0]} cannot be cut out of {shape[2]} x {shape[1]}")
        self.adjust = not section.number("noadjust", 0)

    def forward(self, x: Tensor) -> Tensor:
        (top, left), (h, w) = self.low, self.out
        x = x[:, :, top : top + h, left : left + w]
        return x * 2 - 1 if self.adjust else x


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
        fill(self.conv, weight, bias, norm)

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
        weight = floats.take_connected(tuple(self.linear.weight.shape), self.section)
        fill(self.linear, weight, bias, take_norm(floats, self.section, n) if self.norm else None)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.linear(x.flatten(1)))


def fill(
    layer: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor, norm: tuple[Tensor, Tensor, Tensor] | None
) -> None:
    """Give a layer its weight and bias, with the batch norm of `take_norm` folded in."""
    if norm:
        scales, means, variances = norm
        scale = scales / (variances + NORM_EPS).sqrt()
        bias, weight = bias - means * scale, weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)  # type: ignore[union-attr]


class Local(nn.Module):
    """``[local]``: a convolution with a kernel of its own at each place.

    With ``pad`` there is a place for every step of the stride, and a kernel reaches ``size // 2`` pixels before its
    place.

    Source: Darknet ``local_out_height``, and ``im2col_cpu`` as it was when the layer was written (2015). Later ones
    pad by one pixel whatever the size; the public networks have size 3, where that is the same.
    """

    def __init__(self, section: Section, shape: tuple[int, ...]) -> None:
        super().__init__()
        o = section.number
        self.size, self.stride, n = o("size", 1), o("stride", 1), o("filters", 1)
        low, high = (self.size // 2, (self.size - 1) // 2) if o("pad", 0) else (0, 0)
        self.padding = (low, high, low, high)
        self.out = tuple((s + low + high - self.size) // self.stride + 1 for s in shape[1:])
        if min(self.out) < 1:
            raise section.error(
                f"kernels of {self.size} x {self.size} do not fit a map of {shape[2]} x {shape[1]}"
            )
        places = self.out[0] * self.out[1]
        self.weight = nn.Parameter(torch.zeros(places, n, shape[0] * self.size**2))
        self.bias = nn.Parameter(torch.zeros(n, places))
        self.section, self.act = section, activation(section, "logistic")

    def read(self, floats: Floats) -> None:
        """Take biases, then the kernels place by place."""
        self.bias.copy_(floats.take(tuple(self.bias.shape), self.section, "biases"))
        self.weight.copy_(floats.take(tuple(self.weight.shape), self.section, "weights"))

    def forward(self, x: Tensor) -> Tensor:
        columns = F.unfold(F.pad(x, self.padding), self.size, stride=self.stride)  # (B, C * k * k, L)
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

    def forward(self, x: Tensor, kept: dict[int, Tensor]) -> Tensor:
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
        channels = net.number("channels", 3)
        if channels != 3:
            raise net.error(f"{channels} input channels; only RGB networks are supported")
        self.layers = nn.ModuleList()
        self.shapes: list[tuple[int, ...]] = []
        shape: tuple[int, ...] = (3, side, side)
        for section in self.sections:
            layer, shape = make_layer(section, shape, self.shapes)
            self.layers.append(layer)
            self.shapes.append(shape)
        self.heads = [s.index for s in self.sections if s.kind in DECODERS]
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
        sources = {s for layer in self.layers for s in getattr(layer, "sources", ())}
        self._needed = sources | {self.feature_layer}

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
            if section.kind in DECODERS:
                heads.append(x)
            elif isinstance(layer, Mix | Shortcut):
                x = layer(x, kept)
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
        boxes, scores = (torch.cat(part, dim=1) for part in zip(*parts))
        return Raw(boxes, scores, feature.flatten(1), {f"layer{i}": kept[i] for i in self.keep})


class Shortcut(nn.Module):
    """``[shortcut]``: the sum with an earlier output."""

    def __init__(self, section: Section, source: int) -> None:
        super().__init__()
        self.sources, self.act = (source,), activation(section, "linear")

    def forward(self, x: Tensor, kept: dict[int, Tensor]) -> Tensor:
        return self.act(x + kept[self.sources[0]])


class AvgPool(nn.Module):
    """``[avgpool]``: the mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def make_layer(
    section: Section, shape: tuple[int, ...], shapes: Sequence[tuple[int, ...]]
) -> tuple[nn.Module, tuple[int, ...]]:
    """A layer and its output shape, from its input ``shape`` and those of all layers before."""
    kind = section.kind
    if len(shape) != 3 and kind in ON_MAPS:
        raise section.error(f"needs a map, but the layer before gives {shape[0]} values")
    if kind == "route":
        layers = section.options.get("layers", "").split(",")
        sources = tuple(section.earlier(v) for v in layers if v.strip())
        if not sources:
            raise section.error("option 'layers' is missing")
        mix = Mix(section, sources, shapes)
        if any(shapes[s][0] % mix.groups for s in sources) or not 0 <= mix.group < mix.groups:
            raise section.error(f"group {mix.group} of {mix.groups} does not fit its sources")
        channels = sum(shapes[s][0] for s in sources) // mix.groups
        return mix, (channels, *shapes[sources[0]][1:])
    if kind == "shortcut":
        source = section.earlier(section.options.get("from", ""))
        if shapes[source] != shape:
            raise section.error(
                f"layer {source} gives {shapes[source]}, the layer before {shape}; they must agree"
            )
        return Shortcut(section, source), shape
    if kind in DECODERS:
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


def _softmax(section: Section, shape: tuple[int, ...]) -> nn.Module:
    if section.number("groups", 1) != 1:
        raise section.error("softmax over groups is not supported")
    return nn.Softmax(dim=1)


_LAYERS: dict[str, Any] = {
    "crop": Crop,
    "convolutional": Convolutional,
    "connected": Connected,
    "local": Local,
    "maxpool": MaxPool,
    "reorg": Reorg,
    "upsample": lambda section, shape: nn.Upsample(scale_factor=float(section.number("stride", 2))),
    "softmax": _softmax,
    "avgpool": lambda section, shape: AvgPool(),
    "dropout": lambda section, shape: nn.Identity(),  # scaled while training, so nothing is left to do
    "cost": lambda section, shape: nn.Identity(),
}

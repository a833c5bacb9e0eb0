"""YOLOv1: the paper's networks, full, small and tiny, and the small ``demo`` network of the same kind.

The demo network deviates where little training has to do: 40 × 40 cells in place of 7 × 7, each predicting from
its own place of the map in place of a connected layer; residual layers; a coarse map that is laid over a fine one;
confidence through a sigmoid and class scores through a softmax.

The image is stretched to a square and cut into S × S cells. Each cell predicts B boxes, each with a confidence,
and one set of C class scores; a box belongs to the cell that holds its centre. The feature is what goes into
the last layer: the 4096 outputs of the large connected layer in the paper's network.

Sources: Redmon, Divvala, Girshick, Farhadi 2016, "You Only Look Once"; layer tables of the released files
(Darknet ``cfg/yolov1``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.nn.detect.torch_detector import Raw, cell_corners, pooled_side


@dataclass(frozen=True)
class Plan:
    """A network of the YOLOv1 family.

    Attributes:
        layers: words: ``c64-7-2`` convolution (filters, kernel, stride 1 if left out), ``m`` max pooling 2 × 2,
            ``l256-3`` locally connected, ``f4096`` fully connected; all followed by leaky ReLU 0.1; ``n256`` is
            fully connected without it. ``p`` turns pixels of 0 … 1 into -1 … 1, Darknet's ``[crop]``.
            ``r`` two 3 × 3 convolutions whose result is added to what goes in; ``s`` keeps the map, ``u``
            doubles the side of a later one and puts the kept map behind it.
        size: side of the input in pixels.
        cells, boxes, classes: S, B and C.
        norm: whether convolutions are batch-normalised.
        last: ``connected`` predicts all cells from all values (the paper), ``cell`` each cell from its own.
        logits: whether confidence goes through a sigmoid and class scores through a softmax, trained by
            `dense_loss` in place of the paper's loss.
        feature: number of values that a feature taken from a map is averaged down to, about.
    """

    layers: str
    size: int = 448
    cells: int = 7
    boxes: int = 2
    classes: int = 20
    norm: bool = True
    last: str = "connected"
    logits: bool = False
    feature: int = 4096


_PAPER = """c64-7-2 m c192-3 m c128-1 c256-3 c256-1 c512-3 m c256-1 c512-3 c256-1 c512-3 c256-1 c512-3 c256-1
 c512-3 c512-1 c1024-3 m c512-1 c1024-3 c512-1 c1024-3 c1024-3 c1024-3-2 c1024-3 c1024-3"""
_TINY = "c16-3 m c32-3 m c64-3 m c128-3 m c256-3 m c512-3 m c1024-3"
_DEMO = "c16-3-2 c32-3-2 c64-3-2 r s c128-3-2 r r u c64-1 c64-3"
DEMO = Plan(_DEMO, size=320, cells=40, classes=8, last="cell", logits=True, feature=1024)

# The forms in which each network was released; the first is the one that is trained here. Which one a Darknet
# file holds shows in its number of floats.
FORMS: dict[str, tuple[Plan, ...]] = {
    "yolov1": (
        Plan("p " + _PAPER + " f4096", norm=False),  # the paper; yolo.weights of 2015
        Plan(_PAPER + " l256-3", boxes=3),  # yolov1.weights: locally connected, three boxes
        Plan(_PAPER + " l256-3"),  # the same with two boxes, as one reader of yolov1.weights reports
    ),
    "yolov1-small": (Plan("p " + _PAPER + " f512 f4096", norm=False),),
    "yolov1-tiny": (
        Plan(_TINY + " c256-3"),  # tiny-yolov1.weights
        Plan("p " + _TINY + " c1024-3 c1024-3 n256 f4096", norm=False),  # the earlier yolo-tiny.weights
    ),
}
PLANS: dict[str, Plan] = {"demo": DEMO, **{name: forms[0] for name, forms in FORMS.items()}}


def resized(plan: Plan, size: int) -> Plan:
    """A plan whose cells predict from their own place, for images of another size with cells as large as before.

    Raises:
        UsageError: a connected last layer fits one size only, or the size is no whole number of cells.
    """
    if size == plan.size:
        return plan
    cell = plan.size // plan.cells
    if plan.last != "cell" or size % 32:
        raise UsageError(
            f"the network takes images of {plan.size} pixels only, or the size is no multiple of 32"
        )
    return replace(plan, size=size, cells=size // cell)


class Prediction(NamedTuple):
    """What the last layer says of a batch of N images.

    Attributes:
        classes: ``(N, S * S, C)`` class scores of each cell; their logits where the plan says so.
        confidence: ``(N, S * S, B)``; their logits where the plan says so.
        boxes: ``(N, S * S, B, 4)`` centre x, y within the cell (0 … 1), square roots of width and height
            relative to the image.
    """

    classes: Tensor
    confidence: Tensor
    boxes: Tensor


def split(values: Tensor, plan: Plan) -> Prediction:
    """Values ``(N, S * S * (C + 5 B))`` in Darknet's order: all classes, all confidences, all boxes."""
    n, places, b, c = len(values), plan.cells**2, plan.boxes, plan.classes
    classes, confidence, boxes = values.split([places * c, places * b, places * b * 4], dim=1)
    return Prediction(
        classes.reshape(n, places, c), confidence.reshape(n, places, b), boxes.reshape(n, places, b, 4)
    )


def decode(prediction: Prediction, plan: Plan) -> tuple[Tensor, Tensor]:
    """Boxes ``(N, S * S * B, 4)`` centre x, y, w, h in network pixels, and scores ``(N, S * S * B, C)``.

    Score = confidence × class score, cut to 0 … 1 (the last layer is linear and may leave that range).

    Source: paper, equation 1; Darknet ``get_detection_detections``.
    """
    classes, confidence, t = prediction
    if plan.logits:
        classes, confidence = classes.softmax(dim=2), confidence.sigmoid()
    corners = cell_corners(plan.cells, plan.cells, t.device)[:, None]  # (S * S, 1, 2)
    boxes = torch.cat([(t[..., :2] + corners) / plan.cells, t[..., 2:] ** 2], dim=3) * plan.size
    scores = confidence.clamp(0, 1)[..., None] * classes.clamp(0, 1)[:, :, None]  # (N, S * S, B, C)
    return boxes.flatten(1, 2), scores.flatten(1, 2)


class Signed(nn.Module):
    """Pixels of 0 … 1 as -1 … 1."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 - 1


class Conv(nn.Module):
    """Convolution, batch norm, leaky ReLU 0.1."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=not norm)
        self.norm: nn.Module = nn.BatchNorm2d(c_out) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x)), 0.1)


class Residual(nn.Module):
    """Two 3 × 3 convolutions whose result is added to the input."""

    def __init__(self, channels: int, norm: bool) -> None:
        super().__init__()
        self.first, self.second = (Conv(channels, channels, 3, 1, norm) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class Local(nn.Module):
    """A 3 × 3 convolution with a kernel of its own at each place, leaky ReLU 0.1."""

    def __init__(self, c_in: int, c_out: int, kernel: int, side: int) -> None:
        super().__init__()
        self.kernel, self.side = kernel, side
        self.weight = nn.Parameter(torch.zeros(side * side, c_out, c_in * kernel**2))
        self.bias = nn.Parameter(torch.zeros(c_out, side * side))
        nn.init.kaiming_uniform_(self.weight[0], a=0.1)

    def forward(self, x: Tensor) -> Tensor:
        columns = F.unfold(x, self.kernel, padding=self.kernel // 2)  # (N, C * k * k, h * w)
        y = torch.einsum("bkl,lnk->bnl", columns, self.weight) + self.bias
        return F.leaky_relu(y.unflatten(2, (self.side, self.side)), 0.1)  # (N, C_out, h, w)


class Full(nn.Module):
    """Fully connected over channel, row, column; ``slope`` of the negative half, 1 for linear."""

    def __init__(self, n_in: int, n_out: int, slope: float) -> None:
        super().__init__()
        self.linear, self.slope = nn.Linear(n_in, n_out), slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.linear(x.flatten(1)), self.slope)


def make_layer(
    word: str, shape: tuple[int, ...], kept: list[int], norm: bool
) -> tuple[nn.Module, tuple[int, ...]]:
    """The layer of a plan's word and its output shape, ``(C, S, S)`` or ``(n,)``.

    Args:
        word: see `Plan`.
        shape: of its input.
        kept: channels of the maps that earlier words kept; changed by ``s`` and ``u``.
        norm: whether convolutions are batch-normalised.
    """
    kind, numbers = word[0], [int(v) for v in word[1:].split("-") if v]
    channels, side = shape[0], shape[-1]
    layer: nn.Module = nn.Identity()  # what `s` and `u` mean is done in `YoloV1.hidden`
    if kind == "c":
        filters, kernel, stride = (*numbers, 1)[:3]
        layer = Conv(channels, filters, kernel, stride, norm)
        channels, side = filters, (side + 2 * (kernel // 2) - kernel) // stride + 1
    elif kind == "p":
        layer = Signed()
    elif kind == "m":
        layer, side = nn.MaxPool2d(2), side // 2
    elif kind == "r":
        layer = Residual(channels, norm)
    elif kind == "s":
        kept.append(channels)
    elif kind == "u":
        channels, side = channels + kept.pop(), 2 * side
    elif kind == "l":
        layer, channels = Local(channels, numbers[0], numbers[1], side), numbers[0]
    else:
        return Full(prod(shape), numbers[0], 0.1 if kind == "f" else 1.0), (numbers[0],)
    return layer, (channels, side, side)


class YoloV1(nn.Module):
    """A network of a plan: ``(N, 3, size, size)`` RGB 0 … 1 to `Raw`, or to `Prediction` for training.

    Attributes:
        feature_size: values of the feature.
        pooled: side of the grid that a feature map is averaged to; 0 where the feature is taken as it is.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.layers = nn.ModuleList()
        self.words = plan.layers.split()
        shape: tuple[int, ...] = (3, plan.size, plan.size)
        kept: list[int] = []
        for word in self.words:
            layer, shape = make_layer(word, shape, kept, plan.norm)
            self.layers.append(layer)
        per_cell = plan.classes + 5 * plan.boxes
        if plan.last == "connected":
            self.last: nn.Module = nn.Linear(prod(shape), plan.cells**2 * per_cell)
        elif shape[1:] == (plan.cells, plan.cells):
            self.last = nn.Conv2d(shape[0], per_cell, 1)
        else:
            raise WeightsError(
                f"a last layer by cell needs a map of {plan.cells} x {plan.cells}, not {shape[-1]}"
            )
        large = len(shape) == 3 and prod(shape) > 2 * plan.feature
        self.pooled = pooled_side(shape, plan.feature) if large else 0
        self.feature_size = shape[0] * self.pooled**2 if large else prod(shape)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        if plan.logits:
            self._start_at_rest()

    def _start_at_rest(self) -> None:
        """A last layer that says at first: nothing anywhere, boxes in the middle of their cell, of two sizes."""
        c, b = self.plan.classes, self.plan.boxes
        assert isinstance(self.last, nn.Conv2d) and self.last.bias is not None
        with torch.no_grad():
            self.last.weight.mul_(0.3)
            self.last.bias[c : c + b] = -4.0
            boxes = self.last.bias[c + b :].view(b, 4)
            boxes[:, :2] = 0.5
            boxes[:, 2:] = torch.linspace(0.35, 0.5, b)[:, None]  # square roots of an eighth and a quarter

    def hidden(self, x: Tensor) -> Tensor:
        """What goes into the last layer: a map ``(N, c, h, w)`` or values ``(N, n)``."""
        kept: list[Tensor] = []
        for word, layer in zip(self.words, self.layers):
            if word == "s":
                kept.append(x)
            elif word == "u":
                x = F.interpolate(x, scale_factor=2.0)  # (N, c, 2 h, 2 w)
                x = torch.cat([x, kept.pop()], dim=1)  # (N, c + kept, 2 h, 2 w)
            else:
                x = layer(x)
        return x

    def head(self, hidden: Tensor) -> Prediction:
        """The last layer."""
        if self.plan.last == "connected":
            return split(self.last(hidden.flatten(1)).float(), self.plan)
        values = self.last(hidden).float().flatten(2).transpose(1, 2)  # (N, S * S, C + 5 B)
        c, b = self.plan.classes, self.plan.boxes
        classes, confidence, boxes = values.split([c, b, 4 * b], dim=2)
        return Prediction(classes, confidence, boxes.unflatten(2, (b, 4)))

    def predict(self, x: Tensor) -> Prediction:
        """The last layer's answer, for the loss."""
        return self.head(self.hidden(x))

    def forward(self, x: Tensor) -> Raw:
        hidden = self.hidden(x)
        boxes, scores = decode(self.head(hidden), self.plan)
        feature = F.adaptive_avg_pool2d(hidden.float(), self.pooled) if self.pooled else hidden.float()
        return Raw(boxes, scores, feature.flatten(1), {"last": hidden} if hidden.ndim == 4 else {})

"""YOLOX, nano to x, for inference, with weights from the official checkpoints or an ONNX export.

Architecture: Ge, Liu, Wang, Li, Sun 2021, "YOLOX: Exceeding YOLO Series in 2021" (arXiv 2107.08430).
Batch normalisation is folded into the convolutions when weights are read, so the network here has none;
module names are those of the official checkpoints. Input: BGR, 0 … 255, letterboxed with 114.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rolo_bench.nn.detect.torch_detector import Raw, cell_corners

# name: (depth, width, depthwise separable, default input size)
VARIANTS: dict[str, tuple[float, float, bool, int]] = {
    "yolox-nano": (0.33, 0.25, True, 416),
    "yolox-tiny": (0.33, 0.375, False, 416),
    "yolox-s": (0.33, 0.50, False, 640),
    "yolox-m": (0.67, 0.75, False, 640),
    "yolox-l": (1.0, 1.0, False, 640),
    "yolox-x": (1.33, 1.25, False, 640),
}
STRIDES = (8, 16, 32)
MAPS = {"dark3": 8.0, "dark4": 16.0, "dark5": 32.0, "p3": 8.0, "p4": 16.0, "p5": 32.0}


class ConvAct(nn.Module):
    """Convolution with bias (batch norm folded in) and SiLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.conv(x))


class Separable(nn.Module):
    """Depthwise then pointwise convolution, each with SiLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = ConvAct(c_in, c_in, kernel, stride, groups=c_in)
        self.pconv = ConvAct(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pconv(self.dconv(x))


def spatial(c_in: int, c_out: int, kernel: int, stride: int, separable: bool) -> nn.Module:
    """A k × k convolution in the form that the variant uses."""
    return Separable(c_in, c_out, kernel, stride) if separable else ConvAct(c_in, c_out, kernel, stride)


class Focus(nn.Module):
    """Every 2 × 2 block of pixels to channels (left column first), then a convolution.

    With `unfold_focus` the two become one 6 × 6 convolution of stride 2 over the image: the same sums.
    """

    def __init__(self, c_out: int) -> None:
        super().__init__()
        self.conv = ConvAct(12, c_out, 3)
        self.blocks = True

    def forward(self, x: Tensor) -> Tensor:
        if self.blocks:
            parts = (x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2])
            x = torch.cat(parts, dim=1)  # (B, 12, H / 2, W / 2)
        return self.conv(x)


def unfold_focus(focus: Focus) -> None:
    """Turn blocks and 3 × 3 convolution into one 6 × 6 convolution of stride 2, in place."""
    small = focus.conv.conv
    kernel = torch.zeros(small.out_channels, 3, 6, 6)
    for part, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        kernel[:, :, row::2, column::2] = small.weight[:, 3 * part : 3 * part + 3]
    large = nn.Conv2d(3, small.out_channels, 6, 2, 2).requires_grad_(False)
    large.weight.copy_(kernel)
    large.bias.copy_(small.bias)  # type: ignore[union-attr, arg-type]
    focus.conv.conv, focus.blocks = large, False


class Bottleneck(nn.Module):
    """1 × 1 then 3 × 3, added to the input where ``shortcut``."""

    def __init__(self, channels: int, shortcut: bool, separable: bool) -> None:
        super().__init__()
        self.conv1 = ConvAct(channels, channels, 1)
        self.conv2 = spatial(channels, channels, 3, 1, separable)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return y + x if self.shortcut else y


class CSP(nn.Module):
    """Cross-stage partial block: half of the channels pass through the bottlenecks."""

    def __init__(self, c_in: int, c_out: int, n: int, shortcut: bool, separable: bool) -> None:
        super().__init__()
        half = c_out // 2
        self.conv1, self.conv2 = ConvAct(c_in, half, 1), ConvAct(c_in, half, 1)
        self.conv3 = ConvAct(2 * half, c_out, 1)
        self.m = nn.Sequential(*[Bottleneck(half, shortcut, separable) for _ in range(n)])

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.conv1(x), self.conv2(x)
        return self.conv3(torch.cat([self.m(a), b], dim=1))


class SPP(nn.Module):
    """Spatial pyramid pooling with windows of 5, 9 and 13 cells.

    The larger windows are made from the smaller: 9 is 5 twice, 13 is 5 three times; exactly the same maxima.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = ConvAct(channels, channels // 2, 1), ConvAct(channels * 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pools = [self.conv1(x)]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        return self.conv2(torch.cat(pools, dim=1))


class Backbone(nn.Module):
    """CSPDarknet: maps at strides 8, 16 and 32."""

    def __init__(self, depth: float, width: float, sep: bool) -> None:
        super().__init__()
        c, n = int(width * 64), max(round(depth * 3), 1)
        self.stem = Focus(c)
        self.dark2 = nn.Sequential(spatial(c, c * 2, 3, 2, sep), CSP(c * 2, c * 2, n, True, sep))
        self.dark3 = nn.Sequential(spatial(c * 2, c * 4, 3, 2, sep), CSP(c * 4, c * 4, n * 3, True, sep))
        self.dark4 = nn.Sequential(spatial(c * 4, c * 8, 3, 2, sep), CSP(c * 8, c * 8, n * 3, True, sep))
        self.dark5 = nn.Sequential(
            spatial(c * 8, c * 16, 3, 2, sep), SPP(c * 16), CSP(c * 16, c * 16, n, False, sep)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dark3 = self.dark3(self.dark2(self.stem(x)))
        dark4 = self.dark4(dark3)
        return dark3, dark4, self.dark5(dark4)


class Neck(nn.Module):
    """Path-aggregation feature pyramid over the backbone; names as in the checkpoints."""

    def __init__(self, depth: float, width: float, sep: bool) -> None:
        super().__init__()
        c3, c4, c5, n = int(256 * width), int(512 * width), int(1024 * width), round(3 * depth)
        self.backbone = Backbone(depth, width, sep)
        self.lateral_conv0 = ConvAct(c5, c4, 1)
        self.C3_p4 = CSP(2 * c4, c4, n, False, sep)
        self.reduce_conv1 = ConvAct(c4, c3, 1)
        self.C3_p3 = CSP(2 * c3, c3, n, False, sep)
        self.bu_conv2 = spatial(c3, c3, 3, 2, sep)
        self.C3_n3 = CSP(2 * c3, c4, n, False, sep)
        self.bu_conv1 = spatial(c4, c4, 3, 2, sep)
        self.C3_n4 = CSP(2 * c4, c5, n, False, sep)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        dark3, dark4, dark5 = self.backbone(x)
        top = self.lateral_conv0(dark5)
        middle = self.reduce_conv1(self.C3_p4(torch.cat([doubled(top), dark4], dim=1)))
        p3 = self.C3_p3(torch.cat([doubled(middle), dark3], dim=1))
        p4 = self.C3_n3(torch.cat([self.bu_conv2(p3), middle], dim=1))
        p5 = self.C3_n4(torch.cat([self.bu_conv1(p4), top], dim=1))
        return dark3, dark4, dark5, p3, p4, p5


def doubled(x: Tensor) -> Tensor:
    """Each cell to a 2 × 2 block."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Head(nn.Module):
    """Decoupled head: class scores, box and objectness at each level."""

    def __init__(self, width: float, n_classes: int, sep: bool) -> None:
        super().__init__()
        c = int(256 * width)

        def tower() -> nn.Sequential:
            return nn.Sequential(spatial(c, c, 3, 1, sep), spatial(c, c, 3, 1, sep))

        self.stems = nn.ModuleList([ConvAct(int(k * width), c, 1) for k in (256, 512, 1024)])
        self.cls_convs = nn.ModuleList([tower() for _ in STRIDES])
        self.reg_convs = nn.ModuleList([tower() for _ in STRIDES])
        self.cls_preds = nn.ModuleList([nn.Conv2d(c, n_classes, 1) for _ in STRIDES])
        self.reg_preds = nn.ModuleList([nn.Conv2d(c, 4, 1) for _ in STRIDES])
        self.obj_preds = nn.ModuleList([nn.Conv2d(c, 1, 1) for _ in STRIDES])

    def forward(self, levels: Sequence[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For each level box (B, 4, h, w), objectness (B, 1, h, w) and class (B, C, h, w), all as they come."""
        out = []
        for k, level in enumerate(levels):
            x = self.stems[k](level)
            classes = self.cls_preds[k](self.cls_convs[k](x))
            box = self.reg_convs[k](x)
            out.append((self.reg_preds[k](box), self.obj_preds[k](box), classes))
        return out


def rows(parts: Sequence[Tensor]) -> Tensor:
    """Maps of the levels ``(B, C, h, w)`` as one list of cells ``(B, N, C)``."""
    return torch.cat([p.permute(0, 2, 3, 1).flatten(1, 2) for p in parts], dim=1)


class YOLOX(nn.Module):
    """The network: ``(B, 3, S, S)`` BGR 0 … 255 to `Raw` in network pixels.

    The feature is ``dark5`` averaged to 4 × 4 cells: 4096 values for nano.
    """

    def __init__(self, depth: float, width: float, separable: bool, n_classes: int = 80) -> None:
        super().__init__()
        self.backbone = Neck(depth, width, separable)
        self.head = Head(width, n_classes, separable)
        self.feature_size = int(1024 * width) * 16

    def layers(self, x: Tensor) -> tuple[tuple[Tensor, ...], list[tuple[Tensor, Tensor, Tensor]]]:
        """The maps that `MAPS` names, in its order, and what the head says at each level: all convolutions."""
        maps = self.backbone(x)
        return maps, self.head(maps[3:])

    def outputs(self, x: Tensor) -> Tensor:
        """What the ONNX export gives, ``(B, N, 5 + C)``: box (not decoded), objectness and class scores."""
        _, levels = self.layers(x)
        return rows([torch.cat([box, o.sigmoid(), c.sigmoid()], dim=1) for box, o, c in levels])

    def forward(self, x: Tensor) -> Raw:
        maps, levels = self.layers(x)
        box, objectness, classes = (rows(parts) for parts in zip(*levels))
        best, which = classes.max(dim=2)  # (B, N)
        feature = F.adaptive_avg_pool2d(maps[2].float(), 4).flatten(1)  # (B, C * 16)
        scores = objectness.float().squeeze(2).sigmoid() * best.float().sigmoid()
        return Raw(decode(box, x.shape[-1]), scores, feature, dict(zip(MAPS, maps)), which)


def decode(box: Tensor, size: int) -> Tensor:
    """Box values ``(B, N, 4)`` to centre x, centre y, width, height in network pixels.

    Centre = (offset + cell) * stride, side = exp(value) * stride.

    Source: YOLOX ``decode_outputs``.
    """
    box = box.float()
    cells, strides = lattice(size, box.device)
    return torch.cat([(box[..., :2] + cells) * strides, box[..., 2:].exp() * strides], dim=2)


@lru_cache(maxsize=8)
def lattice(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cell corners ``(N, 2)`` as column, row and strides ``(N, 1)`` of all levels for an input of ``size``."""
    cells, strides = [], []
    with torch.inference_mode(False):
        for stride in STRIDES:
            n = size // stride
            cells.append(cell_corners(n, n, device))
            strides.append(torch.full((n * n, 1), float(stride), device=device))
        return torch.cat(cells), torch.cat(strides)

"""Darknet's files: the sections of a .cfg, the numbers of a .weights file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench.errors import WeightsError
from rolo_bench.fetch.formats import darknet_header, unversioned

_TRAINING = {
    "jitter", "random", "ignore_thresh", "truth_thresh", "iou_thresh", "cls_normalizer", "iou_normalizer",
    "iou_loss", "nms_kind", "beta_nms", "obj_normalizer", "delta_normalizer", "iou_thresh_kind", "label_smooth_eps",
    "max_delta", "resize", "max", "focal_loss", "counters_per_class", "map", "thresh", "absolute", "bias_match",
    "object_scale", "noobject_scale", "class_scale", "coord_scale", "rescore", "mask_scale", "forced",
}  # fmt: skip
# Options of each layer that are understood; whatever else a cfg says is refused.
OPTIONS: dict[str, set[str]] = {
    "crop": {
        "crop_height", "crop_width", "noadjust", "flip", "angle", "saturation", "exposure", "shift",
    },
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
SIZES = {"filters", "size", "stride", "groups", "output", "dilation", "width", "height", "channels"}
"""Options that are 1 at least; the other whole numbers are 0 at least."""
NORM_EPS = 1e-6  # of batch norms, see `rolo_bench.nn.detect.darknet`


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

    def earlier(self, text: str) -> int:
        """Index of the layer that a route or shortcut means by a number, from here where that is negative."""
        try:
            value = int(text)
        except ValueError:
            raise self.error(f"{text!r} is not a layer number") from None
        index = self.index + value if value < 0 else value
        if not 0 <= index < self.index:
            raise self.error(f"layer {value} does not lie before it")
        return index

    def number(self, key: str, default: int | None = None) -> int:
        """An option as an integer."""
        text = self.options.get(key)
        if text is None:
            if default is None:
                raise self.error(f"option {key!r} is missing")
            return default
        try:
            value = int(text)
        except ValueError:
            raise self.error(f"option {key}={text} is not an integer") from None
        if value < (key in SIZES):
            raise self.error(f"option {key}={text} is too small")
        return value

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

    Attributes:
        transposed: whether the weights of connected layers lie by input, then output: files of before December 2015.

    Raises:
        WeightsError: no such file, or it has no header, is truncated, or holds values that are not finite.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise WeightsError(f"{path}: no such weight file")
        data = path.read_bytes()
        if len(data) < 16:
            raise WeightsError(
                f"{path}: {len(data)} bytes, too short for a Darknet weights file; fetch it again"
            )
        header = darknet_header(data)
        if not header:
            raise WeightsError(f"{path}: no Darknet header; is it a weights file?")
        if (len(data) - header) % 4 or len(data) < header:
            raise WeightsError(
                f"{path}: {len(data)} bytes are no whole number of floats; truncated, fetch it again"
            )
        self.path, self.values, self.at = path, np.frombuffer(data, "<f4", offset=header), 0
        self.transposed = unversioned(data)

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

    def take_connected(self, shape: tuple[int, ...], section: Section) -> Tensor:
        """The next weights of a connected layer, ``(outputs, inputs)``."""
        if self.transposed:
            return self.take(shape[::-1], section, "weights").T
        return self.take(shape, section, "weights")

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

"""From Darknet files to a detector."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from rolo_bench.errors import WeightsError
from rolo_bench.fetch.weights import obtain
from rolo_bench.files import digest
from rolo_bench.nn.detect.classes import class_names
from rolo_bench.nn.detect.darknet import Convolutional, Darknet
from rolo_bench.nn.detect.darknet_file import read_cfg
from rolo_bench.nn.detect.fused import accelerate
from rolo_bench.nn.detect.torch_detector import Preparation, TorchDetector, pick_device

# Registered networks whose feature is not taken from the default layer (see `Darknet.feature_layer`).
FEATURE_LAYERS = {
    "yolo-nano-voc": 57
}  # the last shortcut of MobileNetV2: 80 channels, pooled to 7 x 7 = 3920


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

    Options as in `rolo_bench.nn.detect.registry.load_detector`. Maps are called ``layerN`` after the cfg's numbering;
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

"""From Darknet files to a detector."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from rolo_bench.errors import WeightsError
from rolo_bench.fetch.weights import obtain
from rolo_bench.files import digest
from rolo_bench.nn.detect.classes import class_names
from rolo_bench.nn.detect.darknet import Convolutional, Darknet
from rolo_bench.nn.detect.darknet_file import read_cfg
from rolo_bench.nn.detect.options import DetectorOptions
from rolo_bench.nn.detect.torch_detector import Preparation, TorchDetector

# Registered networks whose feature is not taken from the default layer (see `Darknet.feature_layer`).
FEATURE_LAYERS = {"yolo-nano-voc": 57}  # MobileNetV2's last shortcut: 80 channels, pooled to 7 x 7 = 3920


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


def load(name: str, options: DetectorOptions) -> TorchDetector:
    """A Darknet detector: a registered name, or the path of a cfg with its ``weights`` (default: beside it).

    Maps are called ``layerN`` after the cfg's numbering; ``keep_maps=True`` hands out the feature's layer and those the
    predictions are made from (yolo-nano-voc: ``layer57`` and ``layer67`` at stride 32, ``layer77`` at stride 16).
    """
    if Path(name).suffix == ".cfg":
        path, cfg = Path(name).with_suffix(".weights"), Path(name)
    else:
        path, cfg = obtain(name)
    path = Path(options.weights or path)
    network = build(name, cfg, path, options.size)
    maps = {f"layer{i}": network.side / s[1] for i, s in enumerate(network.shapes) if len(s) == 3}
    keep = options.keep_maps or ()
    if keep is True:
        chosen = sorted({network.feature_layer, *network.head_inputs()})
        keep = tuple(f"layer{i}" for i in chosen if f"layer{i}" in maps)
    heads = [f"layer{i}" for i in network.head_inputs()]
    looks = tuple(
        sorted(heads, key=lambda m: (maps[m], m))[:1]
    )  # the finest map that boxes are predicted from
    kept = (*keep, *looks) if options.appearance else keep
    network.keep = {int(m.removeprefix("layer")) for m in kept if m in maps}
    both = hashlib.sha256(f"{digest(path)} {digest(cfg)}".encode()).hexdigest()
    return TorchDetector(
        Path(name).stem, network, replace(options, keep_maps=keep), classes=class_names(network.n_classes, cfg),
        size=network.side, weights_digest=both, preparation=Preparation("stretch"), strides=maps, fusible=fusible,
        looks=looks,
    )  # fmt: skip

"""From YOLOv1 weights, Darknet's or ours, to a detector."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.fetch.weights import obtain
from rolo_bench.files import digest
from rolo_bench.folders import shipped_folder
from rolo_bench.nn.detect.classes import VOC
from rolo_bench.nn.detect.darknet_file import NORM_EPS, Floats, Section, take_norm
from rolo_bench.nn.detect.options import DetectorOptions
from rolo_bench.nn.detect.torch_detector import Preparation, TorchDetector
from rolo_bench.nn.detect.weight_file import pack, unpack, usable
from rolo_bench.nn.detect.yolov1 import FORMS, Conv, Full, Local, Plan, Residual, Signed, YoloV1

FORMAT = "rolo-bench detector 1"
SHIPPED = shipped_folder() / "demo-detector.safetensors"


def save_network(network: YoloV1, names: Sequence[str], about: dict[str, Any]) -> bytes:
    """A self-describing safetensors file: float16 weights, plan, class names, and how it came about."""
    state = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    # variances may lie outside float16's range; statistics are small anyway
    tensors = {k: v.float() if "running" in k else v.half() for k, v in state.items()}
    return pack(tensors, FORMAT, plan=asdict(network.plan), names=list(names), about=about)


def read_network(path: Path) -> tuple[YoloV1, tuple[str, ...]]:
    """Network and class names of a file written by `save_network`, in evaluation mode.

    Raises:
        WeightsError: missing, damaged, or something else.
    """
    with usable(path, "a detector of this project", "fetch it again, or `rolo-bench train detector`"):
        state, notes = unpack(path, FORMAT)
        with torch.random.fork_rng(devices=[]):
            network = YoloV1(Plan(**notes["plan"]))
        counters = {k: v for k, v in network.state_dict().items() if not v.is_floating_point()}
        network.load_state_dict({**counters, **state})
        names = tuple(notes["names"])
    return network.eval(), names


def copy_backbone(path: Path, network: YoloV1) -> int:
    """Start from the convolutions of a trained classifier or detector; gives the number of layers taken.

    Where all are, the last layer is, too, if it predicts by cell and has the same shape.

    Raises:
        WeightsError: damaged, or its first layers have other shapes.
    """
    other, _ = read_network(path)
    taken = 0
    for mine, its in zip([*network.layers, network.last], [*other.layers, other.last]):
        shapes = [{k: v.shape for k, v in layer.state_dict().items()} for layer in (mine, its)]
        same = type(mine) is type(its) and shapes[0] == shapes[1]
        if not same or isinstance(mine, Full | Local | nn.Linear):
            break
        mine.load_state_dict(its.state_dict())
        taken += isinstance(mine, Conv | Residual)
    if not taken:
        raise WeightsError(f"{path}: no layer fits the network; train the backbone of the same network")
    return taken


def fold(network: YoloV1) -> YoloV1:
    """The same network with batch norm folded into its convolutions, in place."""
    for layer in network.modules():
        if isinstance(layer, Conv) and isinstance(layer.norm, nn.BatchNorm2d):
            layer.conv = nn.utils.fusion.fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()
    return network


def float_count(plan: Plan) -> int:
    """Number of floats of a plan in a Darknet file."""
    with torch.device("meta"):
        network = YoloV1(plan)
    return sum(v.numel() for v in network.state_dict().values() if v.ndim)  # all but the norms' step counters


def read_darknet(path: Path, forms: Sequence[Plan]) -> YoloV1:
    """The network of that form whose number of floats the file has, in evaluation mode.

    Raises:
        WeightsError: missing, damaged, or of none of these forms.
    """
    floats = Floats(path)
    counts = {float_count(plan): plan for plan in forms}
    if len(floats.values) not in counts:
        wanted = " or ".join(str(n) for n in counts)
        raise WeightsError(
            f"{path}: {len(floats.values)} floats, {wanted} needed; truncated or of another network"
        )
    with torch.random.fork_rng(devices=[]):
        network = YoloV1(counts[len(floats.values)])
    with torch.no_grad():
        for index, layer in enumerate([*network.layers, network.last]):
            section = Section(type(layer).__name__.lower(), {}, index + 1, index, str(path))
            take_layer(layer, floats, section)
    floats.finish()
    return network.eval()


def take_layer(layer: nn.Module, floats: Floats, section: Section) -> None:
    """Fill one layer from a Darknet file: biases, batch norm, weights."""

    def fill(tensor: Tensor, part: str) -> None:
        tensor.copy_(floats.take(tuple(tensor.shape), section, part))

    if isinstance(layer, Conv) and isinstance(layer.norm, nn.BatchNorm2d):
        fill(layer.norm.bias, "biases")
        scales, means, variances = take_norm(floats, section, len(layer.norm.bias))
        layer.norm.weight.copy_(scales)
        layer.norm.running_mean.copy_(means)  # type: ignore[union-attr]
        layer.norm.running_var.copy_(variances)  # type: ignore[union-attr]
        layer.norm.eps = NORM_EPS
        fill(layer.conv.weight, "weights")
    elif not isinstance(layer, nn.MaxPool2d | Signed):
        holder = {Conv: "conv", Full: "linear"}.get(type(layer))
        inner: Any = getattr(layer, holder) if holder else layer
        fill(inner.bias, "biases")
        if isinstance(inner, nn.Linear):
            inner.weight.copy_(floats.take_connected(tuple(inner.weight.shape), section))
        else:
            fill(inner.weight, "weights")


def fusible(module: nn.Module) -> tuple[nn.Conv2d, str] | None:
    """Convolution and activation of a module that can run as one kernel."""
    if isinstance(module, Conv) and isinstance(module.norm, nn.Identity):
        return module.conv, "leaky"
    return None


def load(name: str, options: DetectorOptions) -> TorchDetector:
    """A YOLOv1 detector.

    ``weights`` is a Darknet file or one written by ``rolo-bench train detector``. The map that can be kept is
    ``last``, of what goes into the last layer, where that is a map.

    Raises:
        UsageError: a ``size`` that is not the network's own; its last layer fits no other.
        WeightsError: the weights are missing, damaged or of another network.
    """
    path = Path(options.weights or (SHIPPED if name == "demo" else obtain(name)[0]))
    if path.suffix == ".safetensors":
        network, classes = read_network(path)
        content = digest(path)
    elif name == "demo":
        raise WeightsError(f"{path}: the demo detector's weights are a .safetensors file")
    else:
        network, classes = read_darknet(path, FORMS[name]), VOC
        # the floats alone do not say what network they are of
        content = hashlib.sha256(f"{digest(path)} {network.plan}".encode()).hexdigest()
    plan = network.plan
    if options.size not in (None, plan.size):
        raise UsageError(f"{name} takes images of {plan.size} pixels only, not {options.size}")
    flat = any(isinstance(m, Full) for m in network.layers)
    return TorchDetector(
        name, fold(network), options, classes=classes, size=plan.size, weights_digest=content,
        preparation=Preparation("stretch"), strides={} if flat else {"last": plan.size / plan.cells},
        fusible=fusible, looks=() if flat else ("last",),
    )  # fmt: skip

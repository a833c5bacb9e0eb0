"""From YOLOX weights, a checkpoint or an ONNX file, to a detector."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rolo_bench.errors import WeightsError
from rolo_bench.fetch.weights import obtain
from rolo_bench.files import digest
from rolo_bench.nn.detect.classes import CLASSES
from rolo_bench.nn.detect.fused import accelerate
from rolo_bench.nn.detect.torch_detector import Preparation, TorchDetector, pick_device
from rolo_bench.nn.detect.yolox import MAPS, VARIANTS, YOLOX, ConvAct, unfold_focus

BN_EPS = 1e-3  # YOLOX sets this in place of torch's 1e-5


def folded(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """A checkpoint's tensors with each batch norm folded into its convolution.

    Raises:
        WeightsError: a batch norm without its convolution or with a part missing.
    """
    out = {k: v.float() for k, v in state.items() if ".bn." not in k}
    for key in [k for k in state if k.endswith(".bn.weight")]:
        stem = key.removesuffix(".bn.weight")
        try:
            kernel = out[f"{stem}.conv.weight"]
            beta, mean, var = (
                state[f"{stem}.bn.{p}"].float() for p in ("bias", "running_mean", "running_var")
            )
        except KeyError as error:
            raise WeightsError(f"{source}: not a YOLOX checkpoint, {error} is missing") from None
        scale = state[key].float() / (var + BN_EPS).sqrt()  # (C,)
        out[f"{stem}.conv.weight"] = kernel * scale[:, None, None, None]
        out[f"{stem}.conv.bias"] = beta - mean * scale
    return out


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of an official ``.pth`` file, unpickled with ``weights_only``.

    Raises:
        WeightsError: not a checkpoint, truncated, or holds anything but tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what matters is refused below
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        raise WeightsError(
            f"{path}: not a readable checkpoint of tensors ({type(error).__name__}); fetch it again"
        ) from None
    state = loaded.get("model", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: holds no YOLOX weights (a dict of tensors under 'model' is expected)")
    return folded(state, str(path))


def convolution_order(network: YOLOX) -> list[str]:
    """Names of the convolutions in the order in which they run, which is their order in an ONNX export."""
    names: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: names.append(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.inference_mode():
        network.outputs(torch.zeros(1, 3, 64, 64, device=next(network.parameters()).device))
    for hook in hooks:
        hook.remove()
    return names


def read_onnx(path: Path, network: YOLOX) -> dict[str, Tensor]:
    """Tensors of an ONNX export: the n-th convolution of the graph is the n-th that runs here.

    Raises:
        WeightsError: not an ONNX file, or the number of convolutions differs.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_from_string(path.read_bytes()).graph
        values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    except (DecodeError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{path}: not a readable ONNX file ({type(error).__name__}); fetch it again"
        ) from None
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    names = convolution_order(network)
    if len(nodes) != len(names):
        raise WeightsError(
            f"{path}: has {len(nodes)} convolutions, the network {len(names)}; another variant?"
        )
    state = {}
    for name, node in zip(names, nodes):
        if len(node.input) != 3 or not all(i in values for i in node.input[1:]):
            raise WeightsError(f"{path}: convolution for {name} has no stored weight and bias")
        state[f"{name}.weight"] = torch.from_numpy(np.array(values[node.input[1]], dtype=np.float32))
        state[f"{name}.bias"] = torch.from_numpy(np.array(values[node.input[2]], dtype=np.float32))
    return state


def check_state(state: dict[str, Tensor], network: nn.Module, source: str) -> None:
    """Every tensor of the network is in the file with the same shape, the file holds no other, all finite.

    Raises:
        WeightsError: naming the first tensor that is not so.
    """
    wanted = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    given = {k: tuple(v.shape) for k, v in state.items()}
    for key in [*wanted, *given]:
        if wanted.get(key) != given.get(key):
            raise WeightsError(
                f"{source}: weights of another network: {key} is {given.get(key, 'missing')}, "
                f"{wanted.get(key, 'nothing')} expected"
            )
    bad = [k for k, v in state.items() if not torch.isfinite(v).all()]
    if bad:
        raise WeightsError(f"{source}: {bad[0]} holds values that are not finite; fetch it again")


def build(name: str, path: Path) -> YOLOX:
    """The network of a variant with the weights of one file (``.pth`` or ``.onnx``), in evaluation mode.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    depth, width, separable, _ = VARIANTS[name]
    with torch.random.fork_rng(devices=[]):
        network = YOLOX(depth, width, separable).eval()
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    state = read_onnx(path, network) if path.suffix == ".onnx" else read_checkpoint(path)
    check_state(state, network, str(path))
    network.load_state_dict(state)
    return network.requires_grad_(False)


def fusible(module: nn.Module) -> tuple[nn.Conv2d, str] | None:
    """Convolution and activation of a module that can run as one kernel."""
    if isinstance(module, ConvAct):
        return module.conv, "silu"
    return (module, "linear") if isinstance(module, nn.Conv2d) else None


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
    """A YOLOX detector; options as in `rolo_bench.nn.detect.registry.load_detector`.

    Maps that can be kept: ``dark3 dark4 dark5`` (backbone) and ``p3 p4 p5`` (pyramid), strides 8, 16, 32.
    """
    path = Path(weights) if weights is not None else obtain(name)[0]
    network = build(name, path)
    place, dtype = pick_device(device, half)
    side = size or VARIANTS[name][3]
    unfold_focus(network.backbone.backbone.stem)
    network = network.to(place, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if place.type == "cpu" and dtype is torch.float32:
        example = torch.linspace(0, 255, 3 * side * side).reshape(1, side, side, 3).permute(0, 3, 1, 2)
        network = accelerate(network, example, fusible, "layers")  # type: ignore[assignment]
    return TorchDetector(
        name=name,
        network=network,
        classes=CLASSES,
        size=side,
        feature_size=network.feature_size,
        weights_digest=digest(path),
        preparation=Preparation(fit="letterbox", order="bgr", divisor=1.0, fill=114),
        threshold=0.1 if threshold is None else threshold,
        nms=0.45 if nms is None else nms,
        agnostic=agnostic,
        device=place,
        dtype=dtype,
        strides=MAPS,
        keep_maps=keep_maps,
    )

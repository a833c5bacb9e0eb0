"""From YOLOX weights, a checkpoint or an ONNX file, to a detector."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rolo_bench.errors import WeightsError
from rolo_bench.fetch.weights import obtain
from rolo_bench.files import digest
from rolo_bench.nn.detect.classes import CLASSES
from rolo_bench.nn.detect.options import DetectorOptions
from rolo_bench.nn.detect.torch_detector import Preparation, TorchDetector
from rolo_bench.nn.detect.yolox import MAPS, VARIANTS, YOLOX, ConvAct, unfold_focus

VOTE = 0.6  # many of its cells see an object, and the mean of their boxes is better (docs/results.md)
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
    convs = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    hooks = [m.register_forward_hook(lambda *_, name=name: names.append(name)) for name, m in convs]
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
    except (DecodeError, ValueError, TypeError, LookupError) as error:
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


def load(name: str, options: DetectorOptions) -> TorchDetector:
    """A YOLOX detector.

    Maps that can be kept: ``dark3 dark4 dark5`` (backbone) and ``p3 p4 p5`` (pyramid), strides 8, 16, 32.
    """
    path = Path(options.weights or obtain(name)[0])
    network = build(name, path)
    unfold_focus(network.backbone.backbone.stem)
    return TorchDetector(
        name, network, options, classes=CLASSES, size=options.size or VARIANTS[name][3],
        weights_digest=digest(path), preparation=Preparation("letterbox", "bgr", divisor=1.0), strides=MAPS,
        fusible=fusible, method="layers", looks=("dark4", "p4"), vote=VOTE,
    )  # fmt: skip

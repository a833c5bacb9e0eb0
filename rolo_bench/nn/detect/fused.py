"""Convolution, bias and activation in one oneDNN call: the fast path on a processor.

Torch's eager convolution writes its result to memory and the activation reads and writes it again; for the
thin maps of small detectors that costs as much as the arithmetic. Torch's own build carries oneDNN kernels
that do both at once on prepacked weights (``torch.ops.mkldnn``): `FusedConv`.

Each such call still spends 30 to 50 microseconds on setting itself up, a third of the time of a network of a
hundred small convolutions. `compiled` traces the network into a oneDNN graph, whose kernels are set up once;
it serves one input shape, that of single images, and `FusedConv` the others.

Results differ from the plain path by rounding only (below 1e-4 of the raw outputs). Where the build of torch
lacks the one or the other, the next best is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

# Activation as oneDNN names it, with its parameters.
KERNELS: dict[str, tuple[str, list[float]]] = {
    "linear": ("none", []),
    "relu": ("relu", []),
    "leaky": ("leaky_relu", [0.1]),
    "silu": ("swish", []),
    "swish": ("swish", []),
    "logistic": ("sigmoid", []),
    "tanh": ("tanh", []),
}


class FusedConv(nn.Module):
    """A convolution of a given map size with its activation, for inference in float32 on a processor."""

    def __init__(self, conv: nn.Conv2d, act: str, size: list[int]) -> None:
        super().__init__()
        self.act, self.scalars = KERNELS[act]
        self.padding, self.stride = [int(v) for v in conv.padding], list(conv.stride)
        self.dilation, self.groups = list(conv.dilation), conv.groups
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach().contiguous(), self.padding, self.stride, self.dilation, self.groups, size
        )
        self.bias = None if conv.bias is None else conv.bias.detach().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups,
            self.act, self.scalars, "",
        )  # fmt: skip


def available() -> bool:
    """Whether this build of torch has the kernels, tried on a small convolution."""
    if not torch.backends.mkldnn.is_available():
        return False
    conv = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    x = torch.linspace(-1, 1, 75).reshape(1, 3, 5, 5)
    try:
        with torch.inference_mode():
            return torch.allclose(FusedConv(conv, "relu", [1, 3, 5, 5])(x), conv(x).relu(), atol=1e-5)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


def compiled(function: Callable[[Tensor], Any], example: Tensor) -> Callable[[Tensor], Any] | None:
    """``function``, of plain torch operations, as a oneDNN graph for inputs laid out like ``example``.

    None where torch cannot make one, or where its answers to ``example`` differ from those of ``function``.

    Args:
        function: from a tensor to tensors in tuples, lists and dicts.
        example: float32 on a processor, with values such as images have.
    """
    before = torch.jit.onednn_fusion_enabled()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # tracing is deprecated since torch 2.13, but torch.compile needs a C++ compiler on the machine
            warnings.simplefilter("ignore")
            torch.jit.enable_onednn_fusion(True)
            wanted, structure = pytree.tree_flatten(function(example))
            graph = torch.jit.trace(
                lambda x: tuple(pytree.tree_leaves(function(x))), example, check_trace=False
            )
            for _ in range(2):  # the first call records shapes, the second makes the kernels
                graph(example)
            same = all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(graph(example), wanted))
    except (AttributeError, RuntimeError):
        return None
    finally:
        torch.jit.enable_onednn_fusion(before)
    return (lambda x: pytree.tree_unflatten(graph(x), structure)) if same else None


def like(x: Tensor) -> tuple[Any, ...]:
    """What a compiled graph depends on besides the values of its input."""
    return x.shape, x.stride(), torch.get_num_threads()


def accelerate(
    network: nn.Module,
    example: Tensor,
    describe: Callable[[nn.Module], tuple[nn.Conv2d, str] | None],
    method: str = "",
) -> nn.Module:
    """The network with its convolutions replaced by `FusedConv` and a method by a graph, in place.

    Args:
        network: in evaluation mode, float32, on a processor; called with ``example`` to learn map sizes.
        example: ``(1, 3, S, S)``, channels last.
        describe: for a module, its convolution and activation (a key of `KERNELS`) if the two can be fused.
        method: name of the method to compile for inputs like ``example``; none if empty.
    """
    if not available():
        return network
    graph = compiled(getattr(network, method), example) if method else None
    sizes: dict[nn.Module, list[int]] = {}
    found = {m: d for m in network.modules() if (d := describe(m)) is not None and d[1] in KERNELS}
    hooks = [
        m.register_forward_hook(lambda module, args, _: sizes.__setitem__(module, list(args[0].shape)))
        for m in found
    ]
    with torch.inference_mode():
        network(example)
        for hook in hooks:
            hook.remove()
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if child in found and parent not in found:
                    conv, act = found[child]
                    setattr(parent, name, FusedConv(conv, act, sizes[child]))
    if graph is not None:
        one_by_one, served = getattr(network, method), like(example)
        setattr(network, method, lambda x: (graph if like(x) == served else one_by_one)(x))
    return network

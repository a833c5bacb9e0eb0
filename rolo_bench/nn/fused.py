"""Convolution, bias and activation in one oneDNN call: the fast path on a processor.

Torch's eager convolution writes its result to memory and the activation reads and writes it again; for the
thin maps of small detectors that costs as much as the arithmetic. Torch's own build carries oneDNN kernels
that do both at once on prepacked weights (``torch.ops.mkldnn``). Results differ from the plain path by
rounding only (below 1e-4 of the raw outputs). Where the build has no such kernels, nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

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


def accelerate(
    network: nn.Module, example: Tensor, describe: Callable[[nn.Module], tuple[nn.Conv2d, str] | None]
) -> nn.Module:
    """The network with its convolutions replaced by `FusedConv`, in place.

    Args:
        network: in evaluation mode, float32, on a processor; called once with ``example`` to learn map sizes.
        describe: for a module, its convolution and activation (a key of `KERNELS`) if the two can be fused.
    """
    if not available():
        return network
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
    return network
